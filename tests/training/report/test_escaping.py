"""Names of classes, files and runs are text on every page, never markup."""
import numpy as np

from runner.training.report import html
from runner.training.report_items import ConfusionMatrix

EVIL = '<script>alert("1")</script>&'


def test_names_are_escaped_everywhere() -> None:
    matrix = ConfusionMatrix("title" + EVIL, [EVIL, "b"], np.ones((2, 2), np.int64))
    sections = [html.section(EVIL, ""), html.note(EVIL), html.facts({EVIL: EVIL}), html.table([[EVIL], [EVIL]]),
                html.render(matrix)]
    text = html.page(EVIL, EVIL, sections)
    assert "<script" not in text and text.count("&lt;script&gt;") >= 8
