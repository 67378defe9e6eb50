"""The vocabulary of CONTRIBUTING.md: idioms that do not belong into code, messages or pages, with the word to use."""
import re
from pathlib import Path

import pytest

from tests.paths import ROOT

# pattern, matched without regard to case -> what to write
INSTEAD = {
    r"(?<!\bthere )\b(is|are|was|were) no (?!longer\b|more\b|one\b)[a-z\[]": "is not a ..., has no ...",
    r"\b(that|which|it|they) (is|are|was|were) (?-i:none)\b": "is not a ...; a number: NaN or infinite",
    r"\bfore(told|tell|sees?|seen)\b": "estimate; of a network: predict",
    r"\bso many\b": "the number: N times, by this many pixels",
    r"\btold\b|\btells\b": "report, print, say",
    r"\b(nobody|somebody|whoever)\b": "name who or what: the caller, a layer, a thread",
    r"\bdata sets?\b": "dataset",
    r"\bpictures\b": "images",
    r"\bby heart\b": "overfit",
    r"\bspoil(s|t|ed)?\b": "corrupt; contain NaN",
    r"\blet(s|ting)? go\b": "free",
    r"\baloud\b": "print, warn",
    r"\bone behind the other\b": "consecutive, adjacent",
    r"\bmade ready\b": "prepared",
    r"\bworked out\b": "computed",
    r"\bhangs? on\b": "depends on",
    r"\brecipes?\b": "plan; augmentation",
    r"\bkernel sets?\b|\bsets? of kernels\b": "backend",
    r"\bsurest\b": "with the highest confidence",
    r"\bis to be (seen|said)\b": "is visible, is reported",
    r"\bin use alone\b": "used on its own",
}
ALLOWED = {("CONTRIBUTING.md", "| estimate |"), ("CONTRIBUTING.md", "| dataset; split |")}      # file, part of the line
PLACES = ["runner", "tests", "docs", "bench", "tools", "cfg", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "run.py"]
SUFFIXES = {".py", ".md", ".cfg", ".sh"}
FILES = sorted(path for place in PLACES for path in [ROOT / place, *(ROOT / place).rglob("*")]
               if path.suffix in SUFFIXES and path.is_file() and path != Path(__file__).resolve()
               and "golden" not in path.parts)


def idioms(text: str) -> list[tuple[int, str, str]]:
    """-> (line number, the words found, what to write) of every match."""
    return [(number, found[0], instead) for number, line in enumerate(text.splitlines(), 1)
            for pattern, instead in INSTEAD.items() for found in re.finditer(pattern, line, re.IGNORECASE)]


@pytest.mark.parametrize("text, count", [("it is no picture", 1), ("There is no image.", 0), ("x is no longer y", 0),
                                         ("Numbers that are none", 1), ("when it is None", 0), ("so\nmany", 0),
                                         ("so many data sets", 2), ("# Told by nobody", 2), ("intellseek", 0)])
def test_idioms_are_found(text: str, count: int) -> None:
    assert len(idioms(text)) == count


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words(path: Path) -> None:
    file, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = [f"{file}:{number}: {words!r}: write {instead}" for number, words, instead in idioms(text)
             if not any(file == allowed and part in lines[number - 1] for allowed, part in ALLOWED)]
    assert not found, "\n".join(found)


def test_every_exception_is_needed() -> None:
    for file, part in ALLOWED:
        lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if part in line]
        assert any(idioms(line) for line in lines), f"{file}: {part!r} is not needed any more"
