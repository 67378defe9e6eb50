"""Report items as HTML: text is escaped, images are reduced."""
import base64
import io
import re

import numpy as np
from PIL import Image

from runner.images.draw import RIGHT, WRONG
from runner.training.metrics import Table
from runner.training.report import html
from runner.training.report_items import CaptionedImage, ConfusionMatrix, FoldedTable, ImageGrid


def test_text_is_escaped() -> None:
    for thing in (Table("<b>", [("<i>",), ("&",)]), ConfusionMatrix("<b>", ["<i>"], np.array([[3]])),
                  ImageGrid("<b>", [CaptionedImage(np.zeros((4, 5, 3), np.uint8), "<i>\n&")])):
        made = html.render(thing)
        assert "<b>" not in made and "<i>" not in made and "&lt;i&gt;" in made


def test_large_images_are_reduced() -> None:
    made = html.render(ImageGrid("p", [CaptionedImage(np.zeros((400, 1000, 3), np.uint8), "")], 50))
    match = re.search("base64,(.*?)\"", made)
    assert match
    image = Image.open(io.BytesIO(base64.b64decode(match[1])))
    assert image.size == (100, 40) and 'width="50"' in made


def test_names_have_no_invisible_commands() -> None:
    """Marks that change the direction, surrogates of undecodable paths and control characters are shown; letters of
    any alphabet, and joiners within words, stay."""
    assert html.escape("a\u202eb\udcff\x1b") == r"a\u202eb\udcff\x1b"
    assert html.escape("क\u200dष 猫 <") == "क\u200dष 猫 &lt;"


def test_the_legend_has_the_lines_of_the_boxes() -> None:
    image = CaptionedImage(np.zeros((4, 5, 3), np.uint8), "a")
    made = html.render(ImageGrid("t", [image], legend={RIGHT: "correct", WRONG: "<wrong>"}))
    assert made.count("<svg") == 2 and made.count("stroke-dasharray") == 1 and "&lt;wrong&gt;" in made
    assert f"rgb{WRONG.colour}" in made and "<svg" not in html.render(ImageGrid("t", [image]))


def test_a_folded_table_and_a_matrix_with_other_columns() -> None:
    made = html.render(FoldedTable("", "2 <files>", [("image", "p"), ("a&b", "1 %")]))
    assert "<details><summary>2 &lt;files&gt;</summary>" in made and "a&amp;b" in made and "<h2>" not in made
    made = html.render(ConfusionMatrix("m", ["cat", "background"], np.eye(2, dtype=int), ["cat", "missed"], "So."))
    assert "<th>missed</th>" in made and ">background</th>" in made and "predicted classes. So.<" in made
