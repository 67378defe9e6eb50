"""The rank of a process, as launchers write it into the environment."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.distributed import LAUNCHERS, launched_here, launched_rank
from runner.errors import UsageError
from tests.paths import ROOT

MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def test_without_a_launcher() -> None:
    assert launched_rank({}) is None
    assert launched_rank({"PMIX_RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) is None      # a batch script


@pytest.mark.parametrize("names", LAUNCHERS, ids=lambda names: names[0])
def test_every_launcher(names: tuple[str, str]) -> None:
    assert launched_rank({names[0]: "2", names[1]: "3"}) == (2, 3)


def test_mpiexec_inside_of_slurm() -> None:
    outer = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}
    assert launched_rank({**outer, "PMI_RANK": "1", "PMI_SIZE": "2"}) == (1, 2)
    assert launched_rank(outer) == (0, 1)


@pytest.mark.parametrize("rank, size, text", [
    ("x", "2", "PMI_RANK=x in the environment, which launchers of parallel programs set: must be a whole number"),
    ("2", "2", "must be a whole number, at least 0, at most 1"), ("-1", "2", "PMI_RANK=-1"), ("0", "0", "PMI_SIZE=0")])
def test_wrong_variables_are_named(rank: str, size: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        launched_rank({"PMI_RANK": rank, "PMI_SIZE": size})


def test_how_many_are_on_this_machine() -> None:
    assert launched_here({}) is None and launched_here({"MPI_LOCALNRANKS": "3"}) == 3
    slurm = {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}
    assert [launched_here({**slurm, "SLURM_NODEID": str(node)}) for node in range(5)] == [2, 2, 2, 1, None]


@pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec")
def test_under_mpiexec() -> None:
    code = "from runner.distributed import launched_rank; print(launched_rank())"
    done = subprocess.run([str(MPIEXEC), "-n", "2", sys.executable, "-c", code], cwd=ROOT, capture_output=True,
                          text=True, timeout=60, check=True)
    assert sorted(re.findall(r"\(\d, \d\)", done.stdout)) == ["(0, 2)", "(1, 2)"]     # their lines may mix
