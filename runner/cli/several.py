"""Training with several processes: starting them, agreement before the first update, and ending together."""
import argparse
import atexit
import contextlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runner.cli import common, console, process
from runner.errors import MissingExtra, RunnerError, UsageError, counted
from runner.program import command

if TYPE_CHECKING:
    from runner.network import Network
    from runner.process_group import Group
    from runner.training import RunFolder, Task

PACKAGE = Path(__file__).resolve().parents[1]
STARTED = "RUNNER_STARTED_BY_NP"        # set in the processes of --np; "resume" when they are to continue
CRASHED = 3                             # exit status between these processes: not a user's mistake, worth a restart
ONE_SIGNAL = 1.0                        # seconds in which two signals are one: the terminal's, and that of mpiexec
NOT_COMPARED = ("threads", "quiet", "json", "log_json", "tensorboard", "no_report", "np", "max_restarts", "run",
                "words", "parser")
SKIPPED = "; the image is skipped"       # ends the loader's warnings


def options(parser: argparse.ArgumentParser) -> None:
    """--np, --max-restarts, --bn-per-process."""
    group = parser.add_argument_group("several processes (docs/scale.md)")
    group.add_argument("--np", type=common.positive, metavar="N",
                       help="train with N processes on this machine, which share each batch; starts mpiexec (needs "
                            f"mpi4py). On several machines: mpiexec -n N {command('train')} ...".replace("%", "%%"))
    group.add_argument("--max-restarts", type=common.natural, metavar="K",
                       help="with --np: continue up to K times when a process was killed or ended by an unexpected "
                            "error")
    group.add_argument("--bn-per-process", action="store_true",
                       help="batch norm uses the statistics of each process's own part of a batch (default: of the "
                            "whole batch, so that the result is that of one process)")


# --- starting ---------------------------------------------------------------------------------------------------

def is_launcher(args: argparse.Namespace) -> bool:
    """Does this process only start the others?  UsageError where a launcher has started it already."""
    from runner.distributed import launched_rank
    started = STARTED in os.environ
    if args.np and args.np > 1 and not started:
        launched = launched_rank()
        if launched:
            raise UsageError(f"--np starts processes itself, and this is already one of {launched[1]} that a launcher "
                             "has started: leave --np out, or the launcher")
        return True
    if args.max_restarts is not None and not started:
        raise UsageError("--max-restarts needs --np N, with N at least 2: only the process that has started the others "
                         "can start them again")
    return False


def launch(args: argparse.Namespace) -> int:
    """Start the processes with mpiexec, again where that is wanted and makes sense -> exit status."""
    from importlib.util import find_spec
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if find_spec("mpi4py") is None or mpiexec is None:
        raise MissingExtra("mpi4py" if find_spec("mpi4py") is None else "mpiexec", "--np", "mpi")
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); sys.argv[0] = {sys.argv[0]!r}; " \
        "from runner.cli import main; sys.exit(main())"
    words = [mpiexec, "-n", str(args.np), sys.executable, "-c", code, *args.words]
    resume = ""
    for left in reversed(range((args.max_restarts or 0) + 1)):
        began = time.time()
        status = _one_launch(words, resume)
        if status in (process.DONE, process.CANNOT, process.INTERRUPTED):
            return status
        if status == process.NO:        # of mpiexec itself: it has said why
            return process.CANNOT
        if status != CRASHED:
            console.remark(f"a process was ended by signal {status % 128}, and the others with it")
        saved = _checkpoint_since(args, began) or resume
        if not left:
            if saved:
                console.remark("the same command with --resume continues after the last checkpoint")
            return process.CANNOT
        resume = "resume" if saved else ""
        console.remark(f"starting again {'after the last checkpoint' if resume else 'from the beginning'} "
                       f"({counted(left, 'restart')} left)")
    return process.CANNOT


def _checkpoint_since(args: argparse.Namespace, began: float) -> bool:
    """Has the run written a checkpoint since then?"""
    from runner.cli.train import choose_folder
    with contextlib.suppress(RunnerError, OSError):
        given = argparse.Namespace(**{**vars(args), "resume": True, "weights": None, "clear": False, "cutoff": None,
                                      "partial": None})
        return os.path.getmtime(choose_folder(given).checkpoint) >= began - 2
    return False


def _one_launch(words: Sequence[str], resume: str) -> int:
    """-> the exit status of mpiexec, which is ended with this process."""
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                             errors="replace", env=os.environ | {STARTED: resume})
    relays = [threading.Thread(target=_relay, args=pair) for pair in ((child.stdout, sys.stdout),
                                                                      (child.stderr, sys.stderr))]
    for relay in relays:
        relay.start()
    interrupted = 0.
    while True:
        try:
            child.wait()
            break
        except KeyboardInterrupt:
            again = interrupted and time.monotonic() - interrupted > ONE_SIGNAL
            interrupted = interrupted or time.monotonic()
            with contextlib.suppress(OSError):
                child.kill() if again else child.terminate()
    for relay in relays:
        relay.join()
    return process.INTERRUPTED if interrupted else child.returncode


def _relay(source: IO[str], sink: IO[str]) -> None:
    """Pass on what the processes print, without what mpiexec says about their end."""
    held = ""
    for line in source:
        if line.startswith("=" * 40) or (line == "\n" and not held):
            held += line
        elif held and "BAD TERMINATION" in line:
            break
        elif not line.startswith(("Abort(", "[mpiexec@")):
            with contextlib.suppress(OSError):
                sink.write(held + line)
                sink.flush()
            held = ""
    for _ in source:
        pass


def join(args: argparse.Namespace) -> "Group | None":
    """The processes that train together, in each of them; None for one on its own."""
    from runner import process_group
    try:
        group = process_group.join()
    except process_group.Elsewhere:
        sys.exit(process.CANNOT)
    if group is None:
        return None
    if os.environ.get(STARTED):         # continue what has begun
        args.resume, args.weights, args.clear, args.cutoff, args.partial = True, None, False, None, None
    args.threads = args.threads or _threads(group)
    if not group.is_root:
        args.quiet, args.json, args.log_json, args.tensorboard, args.no_report = True, None, None, False, True
    return group


def _threads(group: "Group") -> int:
    """Threads of this process: the cores it may use, each divided by the processes that may use it."""
    from runner.process_group import host
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    every = [cores for where, cores in group.gather((host(), own)) if where == host()]
    return max(1, int(sum(1 / sum(core in cores for cores in every) for core in own) + 1e-6))


# --- agreement --------------------------------------------------------------------------------------------------

def share(net: "Network", group: "Group", args: argparse.Namespace) -> None:
    """Let the network train on its part of each batch, if it fits into this process's part of the memory."""
    from runner.analysis.footprint import check_fits
    from runner.machine import available_memory
    from runner.training.shared_run import share_batches
    share_batches(net, group, synchronized=not args.bn_per_process)
    free = available_memory()
    check_fits(net, None if free is None else free // group.here)


def agreed(group: "Group", prepare: "Callable[[], tuple[Task, RunFolder, str | None]]",
           args: argparse.Namespace) -> "tuple[Task, RunFolder, str | None]":
    """What `prepare` returns, where it succeeds in all processes, with the same network and data: else the first
    process raises the error."""
    from runner.process_group import Elsewhere, host
    problem: Exception | None = None
    prepared, seen = None, {}
    try:
        prepared = prepare()
        seen = _seen(prepared[0], args)
    except (RunnerError, OSError) as error:
        problem = error
    every = group.gather((host(), str(problem) if problem else "", seen))
    same = not any(text for _, text, _ in every) and all(one == every[0][2] for _, _, one in every)
    group.left = not same
    if not group.is_root:
        if not same:
            raise Elsewhere("process 0 reports the error")
        assert prepared
        return prepared
    if problem:
        raise problem
    failed = [f"process {rank} on {where}: {text}" for rank, (where, text, _) in enumerate(every) if text]
    if failed:
        raise UsageError("\n".join(failed))
    wrong = [f"process {rank} on {where} has another {name} than process 0: {_shown(one[name])} instead of "
             f"{_shown(value)}" for rank, (where, _, one) in enumerate(every) for name, value in seen.items()
             if one[name] != value]
    if wrong:
        raise UsageError("\n".join(wrong) + "\nAll processes must train the same network on the same data")
    assert prepared
    return prepared


def _seen(task: "Task", args: argparse.Namespace) -> dict[str, Any]:
    """What has to be the same in all processes, by what it is called in messages."""
    import hashlib

    from runner import __version__
    from runner.config import write
    from runner.training.checkpoint import computed_by
    net = task.net
    weights = hashlib.blake2b(digest_size=8)
    for layer in net.layers:
        for array in (*layer.params.values(), *layer.buffers.values()):
            weights.update(array.tobytes())
    cfg = hashlib.blake2b(write(net.sections).encode(), digest_size=8)
    options = {name: value for name, value in sorted(vars(args).items())
               if name not in NOT_COMPARED and not callable(value)}
    found = {"version": __version__, **computed_by(), "cfg": cfg.hexdigest(),
             **{f"option --{name.replace('_', '-')}": str(value) for name, value in options.items()},
             "training data": task.fingerprint(), "test data": task.fingerprint("test"),
             "initial weights": weights.hexdigest()}
    return {("backend" if name == "kernels" else name): value for name, value in found.items()}


def _shown(value: Any) -> str:
    return str(value)[:60] or "none"


def description(net: "Network", group: "Group") -> str:
    """What is printed at the start."""
    from runner.ops import parallel
    o, share = net.options, net.env.share
    part = max(o.batch // o.subdivisions, 1) // group.size
    how = "of the whole batch" if share and share.synchronized else "per process"
    return (f"{counted(group.size, 'process')} with {counted(parallel.threads(), 'thread')} each: the batch stays "
            f"{o.batch} images an update, {part} at a time in each process; batch-norm statistics {how}")


class _OnlySkipped(io.TextIOBase):
    """The stderr of the other processes: what the first one does not know of, the images that they skip."""

    def __init__(self, stream: Any, rank: int):
        self.stream, self.rank = stream, rank

    def write(self, text: str) -> int:
        if SKIPPED in text:
            self.stream.write(f"process {self.rank}: {text.rstrip()}\n")
            self.stream.flush()
        return len(text)


# --- ending -----------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def ending_together(group: "Group") -> Iterator[None]:
    """Around the work of a process.  What ends one ends all.  Only the first process prints, and one that has failed on
    its own."""
    from runner.process_group import Elsewhere
    silence = contextlib.nullcontext() if group.is_root else \
        contextlib.redirect_stderr(_OnlySkipped(sys.stderr, group.rank))
    try:
        with silence:
            yield
        return
    except Elsewhere:
        return
    except KeyboardInterrupt:
        _abort_at_end(group, process.INTERRUPTED)
        if group.is_root:
            raise
        sys.exit(process.INTERRUPTED)
    except RunnerError as error:
        if group.left:
            raise
        _abort_at_end(group, process.CANNOT)
        if group.is_root:
            raise
        raise RunnerError(f"process {group.rank}: {error}") from error
    except BaseException:
        if not group.left:
            _abort_at_end(group, CRASHED if STARTED in os.environ else process.CANNOT)
        raise


def _abort_at_end(group: "Group", status: int) -> None:
    """End all processes when this one has printed its message."""
    atexit.register(group.abort, status)


def leave(group: "Group | None") -> bool:
    """The common work is done, with the same result in all processes -> whether this one has nothing more to do."""
    if group is None:
        return False
    group.left = True
    return not group.is_root
