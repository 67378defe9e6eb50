"""Self-contained HTML pages: headings, tables, charts and images, for light and dark screens and for print."""
import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from runner.errors import MissingExtra
from runner.images.draw import Style
from runner.images.fonts import printed
from runner.training.metrics import Table
from runner.training.report import charts
from runner.training.report_items import ConfusionMatrix, FoldedTable, ImageGrid, LineChart, ReportItem

STYLE = """
:root { color-scheme: light dark; --ink: #1a1c20; --paper: #fff; --soft: #6b7280; --rule: #e2e5ea; --hit: 37, 99, 235;
  --miss: 220, 80, 40 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15171b; --soft: #9aa3af; --rule: #343a44;
  --hit: 96, 150, 255; --miss: 250, 130, 80 } }
@media print { :root { --ink: #000; --paper: #fff; --soft: #555; --rule: #ccc } section { break-inside: avoid } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.soft { color: var(--soft) }
.scroll { overflow-x: auto } section + section { margin-top: 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .7rem .15rem 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap }
th { font-weight: 600; color: var(--soft) } th.left, td.left { text-align: left; white-space: normal }
table.confusion td { padding: .2rem .45rem; text-align: center; min-width: 1.6rem }
.chart svg { width: 100%; height: auto; max-width: 34rem }
@media (max-width: 40rem) { body { margin: 1rem auto; padding: 0 .5rem } }
.images { display: flex; flex-wrap: wrap; gap: .8rem } figure { margin: 0 }
figure img { display: block; max-width: 92vw; height: auto; border: 1px solid var(--rule) }
.small img { image-rendering: pixelated }
figcaption { font-size: .8rem; color: var(--soft); overflow-wrap: anywhere }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
.legend svg { vertical-align: -.3rem; margin-right: .4rem }
summary { cursor: pointer }
pre { white-space: pre-wrap; font-size: .85rem }
"""

MIN_CAPTION = 112       # pixels of the page: the least width at which a caption wraps


def escape(text: str) -> str:
    r"""A text as it is safe in a page: names of files and classes have no command in it, and characters that are not
    printed are shown as escapes, \u202e."""
    if not text.isprintable():
        text = "".join(letter if printed(letter) or letter in "\n\t" else letter.encode("unicode_escape").decode()
                       for letter in text)
    return html.escape(text)


def page(title: str, under: str, sections: Sequence[str]) -> str:
    """A complete HTML file."""
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
            f'<meta name="generator" content="cfgrunner">\n'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
            f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(under)}</p>\n' + "\n".join(sections)
            + "\n</body></html>\n")


def section(title: str, body: str) -> str:
    heading = f"<h2>{escape(title)}</h2>\n" if title else ""
    return f"<section>{heading}{body}</section>"


def note(sentence: str) -> str:
    return f'<p class="soft">{escape(sentence)}</p>'


def facts(rows: Mapping[str, object]) -> str:
    """A table of names and values."""
    cells = "".join(f'<tr><th class="left">{escape(str(name))}</th><td class="left">{escape(str(value))}</td></tr>'
                    for name, value in rows.items())
    return f'<div class="scroll"><table>{cells}</table></div>'


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table; the first row is the header.  Columns in `left` are aligned left, the others right."""
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{' class=left' if i in left else ''}>{escape(cell)}</{tag}>"
                                for i, cell in enumerate(cells)) + "</tr>"
    return (f'<div class="scroll"><table><thead>{line(rows[0], "th")}</thead><tbody>'
            + "".join(line(row, "td") for row in rows[1:]) + "</tbody></table></div>")


def render(item: ReportItem) -> str:
    """A report item as a section."""
    if isinstance(item, LineChart):
        try:
            return section(item.title, f'<div class="chart">{charts.svg(item)}</div>')
        except MissingExtra as error:
            return section(item.title, note(str(error)))
    if isinstance(item, ConfusionMatrix):
        return section(item.title, _confusion(item))
    if isinstance(item, ImageGrid):
        return section(item.title, _images(item))
    if isinstance(item, FoldedTable):
        return section(item.title, f"<details><summary>{escape(item.summary)}</summary>{table(item.rows, item.left)}"
                                   "</details>")
    assert isinstance(item, Table)
    return section(item.title[:1].upper() + item.title[1:], table(item.rows))


def _confusion(item: ConfusionMatrix) -> str:
    """Cells coloured by their share of the row, the diagonal in another colour than the errors."""
    names = [escape(name) for name in item.names]
    rows = [f"<tr><th></th>{''.join(f'<th>{escape(name[:8])}</th>' for name in item.columns or item.names)}</tr>"]
    for i, (name, counts) in enumerate(zip(names, item.counts, strict=True)):
        total, cells = max(int(counts.sum()), 1), []
        for j, count in enumerate(counts):
            colour = f"rgba(var(--{'hit' if i == j else 'miss'}), {max(.12, .75 * count / total):.2f})" if count else ""
            cells.append(f'<td style="background:{colour}">{count}</td>' if count else "<td></td>")
        rows.append(f'<tr><th class="left">{name}</th>{"".join(cells)}</tr>')
    return (note(f"Rows are true classes, columns predicted classes.{item.note and ' '}{item.note}")
            + f'<div class="scroll"><table class="confusion">{"".join(rows)}</table></div>')


def _images(item: ImageGrid) -> str:
    if not item.images:
        return note("none")
    small = max(max(image.pixels.shape[:2]) for image in item.images) < item.side
    figures = ""
    for pixels, caption in item.images:
        lines = [escape(line) for line in caption.splitlines()]
        width = _width(pixels, item.side)
        figures += (f'<figure><img alt="{", ".join(lines)}" src="{_png(pixels, item.side)}" width="{width}">'
                    f'<figcaption style="max-width:{max(width, MIN_CAPTION)}px">{"<br>".join(lines)}</figcaption>'
                    '</figure>')
    return f'{_legend(item.legend)}<div class="images{" small" if small else ""}">{figures}</div>'


def _legend(legend: Mapping[Style, str]) -> str:
    """A line as boxes are drawn, and its meaning."""
    if not legend:
        return ""
    entries = ""
    for style, meaning in legend.items():
        dashes = f' stroke-dasharray="{" ".join(str(3 * length) for length in style.dashes)}"' if style.dashes else ""
        path = 'd="M0 6H40" stroke-width'
        entries += (f'<span><svg width="40" height="12" aria-hidden="true"><path {path}="6" stroke="#000"/>'
                    f'<path {path}="3" stroke="rgb{style.colour}"{dashes}/></svg>{escape(meaning)}</span>')
    return f'<p class="legend">{entries}</p>'


def _width(pixels: np.ndarray, side: int) -> int:
    """The width on the page at which the longer side has `side` pixels."""
    height, width = pixels.shape[:2]
    return max(1, round(side * width / max(height, width)))


def _png(pixels: np.ndarray, side: int) -> str:
    """An image as a data: URL, reduced to at most 2 * `side` pixels, for high-resolution screens."""
    image = Image.fromarray(pixels)
    image.thumbnail((2 * side, 2 * side))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
