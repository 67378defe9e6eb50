"""Report items as HTML: text is escaped, images are reduced."""
import base64
import io
import re

import numpy as np
from PIL import Image

from runner.training.metrics import Table
from runner.training.report import html
from runner.training.report_items import CaptionedImage, ConfusionMatrix, ImageGrid


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
