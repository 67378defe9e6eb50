"""The table of a network: a row for each layer, readable as text and in a notebook."""
from collections.abc import Iterable
from html import escape

from runner.errors import counted
from runner.machine import bytes_text
from runner.network import LayerSummary
from runner.text_table import aligned


class Summary(list[LayerSummary]):
    """The layers of a network in numbers; printed, a table."""

    def cells(self) -> tuple[list[tuple[str, ...]], tuple[int, ...]]:
        """-> the rows of the table as text, its head first; and which of its columns are aligned left."""
        rows: list[tuple[str, ...]] = [("", "layer", "reads", "input", "output", "parameters", "BFLOPs",
                                        "memory")]
        for row in self:
            reads = "" if row.reads == (row.index - 1,) else ",".join("input" if r < 0 else str(r) for r in row.reads)
            rows.append((str(row.index), row.name, reads, row.in_shape, row.out_shape,
                         f"{row.params:,}" if row.params else "", bflops_text(row.bflops) if row.bflops else "",
                         bytes_text(4 * row.out_values)))
        if not any(row[2] for row in rows[1:]):
            return [row[:2] + row[3:] for row in rows], (1,)     # a plain sequence
        return rows, (1, 2)

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(row.params for row in self)

    @property
    def bflops(self) -> float:
        """Billions of operations for one image."""
        return sum(row.bflops for row in self)

    def _total(self) -> str:
        return f"{counted(len(self), 'layer')}, {self.parameters:,} parameters, {bflops_text(self.bflops)} BFLOPs"

    def __repr__(self) -> str:
        rows, left = self.cells()
        return "\n".join([*aligned(rows, left), "", f"{self._total()} per image"])

    def _repr_html_(self) -> str:
        rows, _ = self.cells()
        return f"{_html_table(rows)}<p>{escape(self._total())} per image</p>"


def bflops_text(count: float) -> str:
    """Three digits, or six below a hundredth."""
    return f"{count:.3f}" if count >= .01 or not count else f"{count:.6f}"


def _html_table(rows: Iterable[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = ["".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
             for tag, part in (("th", [head]), ("td", body)) for row in part]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
