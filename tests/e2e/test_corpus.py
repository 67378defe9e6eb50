"""Published cfgs: those that the real darknet loads also load here, with the shapes and BFLOPs of its layer table."""
import csv
import re
from pathlib import Path

import pytest

import runner
from tests.paths import SHARED

CORPUS = SHARED / "cfg-corpus"
ROWS = list(csv.DictReader((CORPUS / "index.tsv").read_text().splitlines(), delimiter="\t")) if CORPUS.exists() else []
# "ok(skips-unknown)" are those darknet loads without the sections of a private fork; [yolo4] of them is known here
LOADED = [row for row in ROWS if {"ok", "ok-batch1"} & {row["alexeyab"], row["pjreddie"]}
          or ("skips" in row["alexeyab"] and row["sections_unknown_to_darknet"].split(":")[0] == "yolo4")]
SIZE = r"(\d+) x *(\d+) x *(\d+)"

pytestmark = pytest.mark.skipif(not ROWS, reason="needs the cfg corpus in ../shared")


def table(path: Path) -> dict[int, tuple[tuple[int, int, int] | None, float | None]]:
    """Layer index -> (w, h, c) of its output and its BFLOPs, where darknet's table prints them."""
    rows: dict[int, tuple[tuple[int, int, int] | None, float | None]] = {}
    for line in path.read_text(errors="replace").splitlines():
        head = re.match(r" *(\d+) [A-Za-z]", line)
        if head:
            out, flops = re.search(r"-> *" + SIZE, line), re.search(r"([\d.]+) BF", line)
            size = (int(out[1]), int(out[2]), int(out[3])) if out else None
            rows.setdefault(int(head[1]), (size, float(flops[1]) if flops else None))
    return rows


@pytest.mark.parametrize("row", LOADED, ids=lambda row: row["file"])
def test_e2e_corpus(row: dict[str, str]) -> None:
    net, report = runner.check(CORPUS / row["file"])
    assert net is not None, "\n".join(report.errors)
    if not row["layer_table"].strip("-"):
        return
    rows = net.summary()
    for index, (size, bflops) in table(CORPUS / row["layer_table"]).items():
        layer = net.layers[index]
        if size is not None and len(layer.out_shape) == 3:
            assert layer.out_shape[::-1] == size, f"layer {index} [{rows[index].name}]"
        if bflops is not None:
            assert abs(rows[index].bflops - bflops) <= 0.0006, f"layer {index} [{rows[index].name}]"


@pytest.mark.parametrize("row", [row for row in ROWS if row not in LOADED], ids=lambda row: row["file"])
def test_e2e_what_darknet_cannot_run_is_an_error_with_its_line(row: dict[str, str]) -> None:
    """Both forks crash, or skip a section they do not know and build another network."""
    net, report = runner.check(CORPUS / row["file"])
    assert net is not None or all(re.match(rf".*{re.escape(row['file'])}:\d+: \[", error) for error in report.errors)
