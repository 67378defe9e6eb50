"""Draw docs/images/scenes.png for docs/detection.md: what the shipped detector finds in test scenes.

    python tools/make_detections.py [FILE]
"""
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import runner
from runner.shipped import SHARE

ROOT = Path(__file__).parents[1]
COLUMNS, ROWS, SIDE, GAP = 6, 2, 192, 4


def main() -> None:
    net = runner.load(ROOT / "cfg/scenes.cfg", SHARE / "weights/shipped/scenes/best.weights")
    scenes = sorted((ROOT / "data/scenes/images/test").glob("*.png"))[:COLUMNS * ROWS]
    page = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, ROWS * (SIDE + GAP) - GAP), "white")
    for index, scene in enumerate(scenes):
        with Image.open(scene) as pixels:
            twice = pixels.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        row, column = divmod(index, COLUMNS)
        found, = net.detect(twice, thresh=.5)
        page.paste(found.draw(), (column * (SIDE + GAP), row * (SIDE + GAP)))
    page.save(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/images/scenes.png")


if __name__ == "__main__":
    main()
