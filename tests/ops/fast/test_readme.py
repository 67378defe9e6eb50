"""runner/ops/fast/README.md lists the files of the compiled backend."""
import re

from tests.paths import ROOT

FOLDER = ROOT / "runner" / "ops" / "fast"


def test_each_file_has_one_row() -> None:
    rows = re.findall(r"^\| `([\w/]+\.py)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))


def test_named_kernels_exist() -> None:
    """What a row of simd/ names in its second column is defined in its file."""
    wrong = []
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| `(simd/\w+\.py)` \| (.*?) \|", line):
            source = (FOLDER / row[1]).read_text()
            wrong += [f"{row[1]}: {name}" for name in re.findall(r"`([a-z_]\w{2,})`", row[2])
                      if not re.search(rf"\b{name}\b", source) and name != "gemm_packed"]
    assert not wrong
