"""Several processes at one piece of work: which of them this one is.

A launcher (mpiexec, srun) starts the processes and writes into the environment of each its rank, from 0, and how many
there are.
"""
import os
import re
from collections.abc import Mapping

from runner.errors import UsageError
from runner.reading.numbers import LARGEST, shown, whole

# the variables of rank and size, by launcher; the first pair of which both are set counts.  Inside of a job of Slurm
# mpiexec sets its own, so Slurm's come last.  SLURM_STEP_NUM_TASKS and not SLURM_NTASKS: a batch script has the latter
# too, and it is one process, which no srun has started.
LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),                               # MPICH, Intel MPI, MS-MPI
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),       # Open MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),         # MVAPICH
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),                  # srun --mpi=pmix; PMIx itself has no variable for the size
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),               # srun
)


def launched_rank(environment: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """(rank, number of processes) as the launcher of this process has set them; None where it was started on its own.

    UsageError where a variable is not such a number.  environment: instead of os.environ
    """
    variables = os.environ if environment is None else environment
    for rank_name, size_name in LAUNCHERS:
        if rank_name in variables and size_name in variables:
            size = _number(variables, size_name, 1)
            return _number(variables, rank_name, 0, size - 1), size
    return None


def _number(variables: Mapping[str, str], name: str, low: int, high: int = LARGEST) -> int:
    try:
        return whole(variables[name], low, high)
    except ValueError as error:
        raise UsageError(f"{name}={shown(variables[name])[1:-1]} in the environment, which launchers of parallel "
                         f"programs set: {str(error).partition('. Got')[0]}. Unset it, or use a launcher") from None


def launched_here(environment: Mapping[str, str] | None = None) -> int | None:
    """How many of the launched processes are on this machine; None where the launcher does not say.

    UsageError as in `launched_rank`.
    """
    variables = os.environ if environment is None else environment
    for name in ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE"):
        if name in variables:
            return _number(variables, name, 1)
    name = "SLURM_STEP_TASKS_PER_NODE"          # such as 2(x3),1: three machines with 2, one with 1
    if name in variables and "SLURM_NODEID" in variables:
        node = _number(variables, "SLURM_NODEID", 0)
        for each, times in re.findall(r"([0-9]{1,9})(?:\(x([0-9]{1,9})\))?(?:,|$)", variables[name]):
            node -= whole(times or "1")
            if node < 0:
                return whole(each)
    return None
