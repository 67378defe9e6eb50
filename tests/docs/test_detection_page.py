"""The commands of docs/detection.md about what `detect` and `test` write, as they stand there."""
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.images.video import VideoWriter
from tests.paths import ROOT
from tests.verbs import main

SECTIONS = ("### Crops, and objects made unrecognisable", "### Objects followed through a video", "### Official scores")


def commands(heading: str) -> list[str]:
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    assert f"\n{heading}\n" in page
    section = re.split(r"\n##", page.split(f"\n{heading}\n")[1])[0]
    return re.findall(r"^python run\.py (.*)$", section, re.MULTILINE)


@pytest.mark.parametrize("heading", SECTIONS)
def test_commands(heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writes what it says, in an empty folder with cfgs and data."""
    monkeypatch.chdir(tmp_path)
    for name in ("cfg", "data"):
        Path(name).symlink_to(ROOT / name)
    before = {"cfg", "data"}
    lines = commands(heading)
    assert len(lines) > 1
    if any("clip.mp4" in line for line in lines):
        pytest.importorskip("cv2")
        with Image.open("data/scenes/images/test/0000.png") as image, VideoWriter("clip.mp4", 5) as writer:
            for shift in range(6):      # the camera moves
                writer.write(Image.fromarray(np.roll(np.asarray(image.convert("RGB")), 2 * shift, axis=1)))
        before.add("clip.mp4")
    for line in lines:
        main(*shlex.split(line))
        named = re.findall(r"--(?:crops|save|txt|mot|json|submit-to) (\S+)", line)
        assert named and all(Path(name).stat().st_size for name in named), line
        before |= set(named)
    assert {path.name for path in Path().iterdir()} == before
