"""The documentation agrees with the code: generated parts are up to date, examples run, links and paths exist."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import main
from runner.layers import LAYERS
from tests.paths import ROOT
from tools import make_reference

PAGES = [*sorted(ROOT.glob("*.md")), *(page for folder in ("docs", "runner", "bench", "data")
                                       for page in sorted((ROOT / folder).rglob("*.md")))]
PATH = re.compile(r"\b(?:runner|tests|tools|bench)/[\w./-]*\w")
BAD_CFG = """[net]
width=8
height=8
channels=3

[convolutional]
size=3
filers=4
pad=1
activation=leaky

[convolutional]
filters=four
size

[rout]
layers=-1
"""
EXAMPLES = [path for path in PAGES if path.parent == ROOT / "docs/layers"]


def test_generated_parts_are_up_to_date() -> None:
    old = [str(path.relative_to(ROOT)) for path in make_reference.stale()]
    assert not old, f"{old}: run python tools/make_reference.py"


def test_a_stale_page_is_detected(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("before\n<!-- generated: options dropout -->\nold\n<!-- end -->\nafter\n")
    old = make_reference.stale(tmp_path)
    assert set(old) == {page, tmp_path / "docs" / "options.md"}
    assert old[page].startswith("before\n<!--") and old[page].endswith("-->\nafter\n")
    assert "| `probability` |" in old[page] and "old" not in old[page]
    for path, text in old.items():
        path.write_text(text)
    assert not make_reference.stale(tmp_path)


def test_the_reference_has_every_option_of_every_section() -> None:
    page = make_reference.page()
    for cls in set(LAYERS.values()):
        part = page.partition(f"\n## {cls.names[0]}\n")[2].partition("\n## ")[0]
        shared = make_reference.LayerOptions.declared()
        missing = [key for key in cls.Options.declared() if key not in shared and f"| `{key}` |" not in part]
        assert part and not missing, f"[{cls.names[0]}] lacks {missing}"


def test_the_readme_shows_what_check_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.cfg").write_text(BAD_CFG)
    assert main(["check", "bad.cfg"]) == 1
    assert f"```text\n{capsys.readouterr().out}```" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_example_of_a_page_runs(path: Path) -> None:
    """Each Python block of a page about a layer, pasted into a new process."""
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", path.read_text(encoding="utf-8"))
    assert blocks, "a page about a layer needs an example"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for block in blocks:
        done = subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=ROOT, env=environment, text=True,
                              capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        expected = re.findall(r"(?m)^print\(.*?\) +# (.*)$", block)
        assert expected == done.stdout.splitlines(), "the comments show what is printed"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_exist(path: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    broken = [link for link in links if link[0] != "#" and not (path.parent / link.partition("#")[0]).exists()]
    assert not broken
    anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"(?m)^#+ (.*)$", text)}
    assert not [link for link in links if link[0] == "#" and link[1:] not in anchors]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_exist(path: Path) -> None:
    """Files and folders of this repository that a page mentions; paths with a <placeholder> count up to it."""
    missing = {name for name in PATH.findall(path.read_text(encoding="utf-8")) if not (ROOT / name).exists()}
    assert not missing
