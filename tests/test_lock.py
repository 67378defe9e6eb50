"""The lock of a folder: one process at a time, and what a killed one leaves behind."""
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import lock as lock_module
from runner.errors import UsageError
from runner.lock import Lock, Owner, lock_files, require_free
from tests.paths import ROOT

FILE = Path("weights/.net.lock")
# waits for a line on stdin, locks weights/net, says whether it could, and holds the lock until stdin is closed
PROGRAM = """
import sys
from runner.errors import UsageError
from runner.lock import Lock
sys.stdin.readline()
try:
    with Lock("weights/net"):
        print("locked", flush=True)
        sys.stdin.read()
except UsageError as error:
    print(error, flush=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock_module, "WAIT", .1)


def start(count: int = 1) -> list[subprocess.Popen[str]]:
    return [subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env=os.environ | {"PYTHONPATH": str(ROOT)}) for _ in range(count)]


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def leave(owner: Owner) -> None:
    """The lock file of an owner that does not hold the lock of the system."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(vars(owner)))


def parent() -> Owner:
    """A process that is running: the one that started the tests."""
    return replace(Owner.current(), pid=os.getppid(), started=lock_module._started(os.getppid()) or "")


def test_of_processes_that_start_at_once_one_gets_the_lock() -> None:
    FILE.parent.mkdir()
    FILE.write_text('{"pid": 99')           # left by one that was killed while it wrote
    processes = start(6)
    for process in processes:
        go(process)
    lines = [line(process) for process in processes]
    assert lines.count("locked\n") == 1
    winner = processes[lines.index("locked\n")].pid
    for text in lines:
        assert text == "locked\n" or re.fullmatch(
            rf"weights/net: another run writes into this folder \(process {winner} on \S+, since [\d-]+ [\d:]+\). Wait "
            r"until it has ended, or choose another folder with --name\n", text)
    with pytest.raises(UsageError, match=f"process {winner} "):
        Lock("weights/net")
    with pytest.raises(UsageError, match=f"process {winner} "):
        require_free(Path("weights/net"))
    for process in processes:
        process.communicate()
    require_free(Path("weights/net"))
    assert not list(FILE.parent.iterdir())


def test_a_killed_process_leaves_a_lock_that_the_next_one_takes() -> None:
    process, = start()
    go(process)
    assert line(process) == "locked\n" and Owner.read(FILE.read_text()).pid == process.pid      # type: ignore[union-attr]
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL and FILE.exists()
    require_free(Path("weights/net"))
    with Lock("weights/net"):
        assert Owner.read(FILE.read_text()) == replace(Owner.current(), since=json.loads(FILE.read_text())["since"])
    assert not FILE.exists()


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"started": "1"}, {"boot": "another"}])
def test_a_lock_without_its_owner_is_taken(change: dict[str, Any]) -> None:
    """A process that has ended; another one with its number; the machine was started again."""
    leave(replace(parent(), **change))
    require_free(Path("weights/net"))
    Lock("weights/net").release()


def test_without_locks_of_the_system_the_text_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_lock", lambda file: None)
    leave(parent())
    with pytest.raises(UsageError, match="another run writes into this folder"):
        Lock("weights/net")
    leave(replace(parent(), host="a-container"))      # of this machine, but its processes may not be visible
    with pytest.raises(UsageError, match="another run writes"):
        Lock("weights/net")
    leave(replace(parent(), started="1"))
    monkeypatch.setattr(lock_module.time, "sleep", lambda seconds: leave(parent()))   # who writes at the same moment
    with pytest.raises(UsageError, match=f"process {os.getppid()} "):
        Lock("weights/net")
    FILE.unlink()
    monkeypatch.setattr(lock_module.time, "sleep", lambda seconds: None)
    Lock("weights/net").release()
    assert not FILE.exists()


def test_the_lock_of_another_machine_is_refused_with_the_file_to_delete() -> None:
    leave(replace(Owner.current(), host="node7", boot="another"))
    with pytest.raises(UsageError, match=r"weights/net: a run of another machine .*on node7.* If it has ended, delete "
                                         r".*weights/\.net\.lock; else choose another folder with --name"):
        Lock("weights/net")
    require_free(Path("weights/net"))       # it cannot be checked, so this is left to the lock
    assert FILE.exists()
    leave(replace(Owner.current(), pid=1, host="a-container", started="1"))     # the same machine, seen from outside
    Lock("weights/net").release()


def test_a_file_of_the_user_with_this_name_is_not_overwritten() -> None:
    FILE.parent.mkdir()
    FILE.write_text("my notes")
    with pytest.raises(UsageError, match="has another content"):
        Lock("weights/net")
    assert FILE.read_text() == "my notes"


def test_a_process_may_lock_a_folder_twice() -> None:
    first, second = Lock("weights/net"), Lock("weights/net")
    first.release()
    first.release()
    assert FILE.exists()
    second.release()
    assert not FILE.exists()


def test_it_stays_when_the_folder_is_renamed_and_knows_it_by_other_names() -> None:
    Path("disk/net").mkdir(parents=True)
    Path("weights").mkdir()
    Path("weights/net").symlink_to(Path("disk/net").resolve())
    Path("link").symlink_to("weights")
    real = os.path.realpath(".")
    assert lock_files(Path("link/net")) == [f"{real}/weights/.net.lock", f"{real}/disk/.net.lock"]
    assert lock_files(Path("disk/net")) == [f"{real}/disk/.net.lock"]
    with Lock("link/net"):
        Path("weights/net").rename("weights/net-before")
        assert FILE.exists() and Path("disk/.net.lock").exists()
    assert not FILE.exists() and not Path("disk/.net.lock").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": 1}', '{"pid": "x"}', "[" * 5000])
def test_a_damaged_text_names_no_owner(text: str) -> None:
    assert Owner.read(text) is None
