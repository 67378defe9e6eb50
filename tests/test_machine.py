"""Free memory as the system and the control groups report it, and bytes as text."""
from pathlib import Path

import pytest

from runner.machine import available_memory, bytes_text


def machine(tmp_path: Path, available: str, membership: str = "", **files: str) -> dict[str, str]:
    """Arguments of available_memory: MemAvailable in kB, the groups of the process, and files of the groups."""
    for name, text in {"meminfo": f"MemTotal: 9 kB\nMemAvailable:   {available} kB\n", "mine": membership}.items():
        (tmp_path / name).write_text(text)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"meminfo": str(tmp_path / "meminfo"), "groups": str(tmp_path / "groups"),
            "membership": str(tmp_path / "mine")}


def test_without_a_limit_it_is_what_the_system_has(tmp_path: Path) -> None:
    assert available_memory(**machine(tmp_path, "3000")) == 3000 * 1024
    files = {"memory.max": "max\n", "memory.current": "1000\n"}
    assert available_memory(**machine(tmp_path, "3000", "0::/\n", **files)) == 3000 * 1024
    assert available_memory(**machine(tmp_path, "3000", "0::/\n", **files | {"memory.max": "2000\n"})) == 1000


def test_the_least_of_a_group_and_those_around_it(tmp_path: Path) -> None:
    files = {"outer/memory.max": "1000\n", "outer/memory.current": "300\n", "outer/inner/memory.max": "max\n",
             "outer/inner/memory.current": "5\n"}
    assert available_memory(**machine(tmp_path, "3000", "0::/outer/inner\n", **files)) == 700
    files["outer/inner/memory.max"] = "200\n"
    assert available_memory(**machine(tmp_path, "3000", "0::/outer/inner\n", **files)) == 195
    files["outer/inner/memory.max"] = "3\n"
    assert available_memory(**machine(tmp_path, "3000", "0::/outer/inner\n", **files)) == 0, "never below nothing"


def test_the_files_of_version_1(tmp_path: Path) -> None:
    files = {"memory/docker/memory.limit_in_bytes": "500\n", "memory/docker/memory.usage_in_bytes": "100\n"}
    assert available_memory(**machine(tmp_path, "3000", "3:cpu:/\n4:memory:/docker\n", **files)) == 400


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    """Without MemAvailable the system's page counts answer; without groups nothing limits them."""
    where = machine(tmp_path, "unknown")
    where["membership"] = str(tmp_path / "none")
    real = available_memory(**where)
    assert real is None or real > 1 << 20


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs Linux")
def test_this_machine(tmp_path: Path) -> None:
    """No more than the memory that is built in."""
    total = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    free = available_memory()
    assert free is not None and 0 < free < 1024 * total


@pytest.mark.parametrize("count, text", [(0, "0.0 KB"), (1536, "1.5 KB"), (2**20, "1.0 MB"),
                                         (2**30 - 2**20, "1023.0 MB"), (1.5 * 2**30, "1.50 GB")])
def test_bytes_as_text(count: float, text: str) -> None:
    assert bytes_text(count) == text
