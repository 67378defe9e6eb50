"""--json-lines of `detect` and `predict`: parts for very many images, by any number of processes; docs/scale.md.

The process that computes is always a child of one that only waits (but with one process, which computes itself).  A
launcher such as mpiexec ends all ranks when one is killed; here it is a child that is killed, and its rank ends with an
exit status, after which the other ranks go on.
"""
import argparse
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.cli import common, console, process
from runner.errors import UsageError, counted
from runner.program import PACKAGE

if TYPE_CHECKING:
    from runner.chosen_run import ChosenRun
    from runner.inference.shards import Results, Shards, Work

WORKER = "RUNNER_SHARD_WORKER"      # in the environment of a child: see Worker
READY = "ready\n"                   # what a child prints when the work is known to fit the folder
PAUSE = 0.5                         # seconds between two looks at the parent
# options that the records do not depend on, or that are compared in another form
MOST_STARTED = 64        # by --np, on a machine of few cores
NOT_COMPARED = {"help", "verbose", "debug", "cfg", "images", "weights", "names", "json_lines", "shard_size", "np",
                "threads", "on_bad", "strict", "size"}
# options that only the other outputs, or videos, depend on
OF_OTHERS = {"save_conf", "blur", "pixelate", "track", "track_keep", "every", "frames"}


class Worker(NamedTuple):
    """What a child is given: its number, its threads, its parent, and whether that waits for READY."""
    rank: int
    threads: int
    parent: int
    piped: int

    @classmethod
    def current(cls) -> "Worker | None":
        """What this process was given; None where it is not a child."""
        return cls(*map(common.natural, os.environ[WORKER].split())) if WORKER in os.environ else None


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Remarks and warnings in the block are those of the first process: the others would repeat them."""
    worker = Worker.current()
    if worker is None or not worker.rank:
        yield
        return
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def options(parser: argparse.ArgumentParser) -> None:
    """--json-lines, --shard-size, --np."""
    parser.set_defaults(parser=parser)
    group = parser.add_argument_group("very many images (docs/scale.md)")
    group.add_argument("--json-lines", metavar="FOLDER", action=common.Output, content="folder",
                       help="write the results as JSON, one line for each image, in parts; the same command continues "
                            "what was interrupted, and any number of processes may share the work; `merge` puts the "
                            "parts together")
    group.add_argument("--shard-size", type=common.positive, metavar="N",
                       help="images in a part (default: 16 to 1000, by their number)")
    group.add_argument("--np", type=common.positive, metavar="N",
                       help="start N processes that share the work; each gets its part of the cores as --threads")


def requested(args: Any) -> bool:
    """Is --json-lines given?  UsageError for options that do not go together with it, or only with it."""
    if not args.json_lines:
        for flag, value in (("--np", args.np), ("--shard-size", args.shard_size)):
            if value:
                raise UsageError(f"{flag} is an option of --json-lines FOLDER, which is not given")
        return False
    others = [action.option_strings[0] for action in args.parser._actions if isinstance(action, common.Output)
              and action.dest != "json_lines" and getattr(args, action.dest) is not None]
    others += [action.option_strings[0] for action in args.parser._actions if action.dest in OF_OTHERS
               and getattr(args, action.dest) != action.default]
    if others:
        raise UsageError(f"--json-lines FOLDER does not go together with {', '.join(others)}: its parts have a record "
                         "for each image, of which `merge` makes JSON, CSV and COCO results")
    return True


def shared_out(args: Any) -> int | None:
    """The exit status of the processes that do the work; None where this process is to do it."""
    from runner.distributed import launched_here, launched_rank
    worker = Worker.current()
    if worker:
        args.threads = args.threads or worker.threads
        _end_with(worker.parent)
        return None
    launched = launched_rank()
    if launched and args.np:
        raise UsageError(f"--np starts processes itself, and this is already one of {launched[1]} that a launcher has "
                         "started: leave --np out, or the launcher")
    rank, size = launched or (0, args.np or 1)
    if size == 1:
        return None
    here = launched_here() or size
    if not launched and size > (most := max(MOST_STARTED, 4 * _cores())):
        raise UsageError(f"--np {size}: more than {most} processes would only wait for each other on the "
                         f"{counted(_cores(), 'core')} of this machine. Other machines can share the folder")
    threads = args.threads or max(1, _cores() // here)
    if launched:
        return _wait([_start(args.words, rank, threads)])
    first = _start(args.words, 0, threads, piped=True)
    assert first.stdout is not None
    if first.stdout.readline() != READY:        # what is wrong for one is wrong for all, and is said once
        return _wait([first])
    relay = threading.Thread(target=_relay, args=(first,))
    relay.start()
    try:
        return _wait([first, *(_start(args.words, number, threads) for number in range(1, size))])
    finally:
        relay.join()


def _start(words: Sequence[str], rank: int, threads: int, piped: bool = False) -> "subprocess.Popen[str]":
    """A process that runs the same command."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); sys.argv[0] = {sys.argv[0]!r}; " \
        "from runner.cli import main; sys.exit(main())"
    worker = Worker(rank, threads, os.getpid(), piped)
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE if piped else None, text=True,
                            env=os.environ | {WORKER: " ".join(str(int(value)) for value in worker)})


def _relay(child: "subprocess.Popen[str]") -> None:
    for line in child.stdout or ():
        console.say(line.rstrip("\n"))


def _wait(children: "Sequence[subprocess.Popen[str]]") -> int:
    """Wait for the children -> the exit status of them all; what interrupts this process interrupts them."""
    interrupted = False
    while any(child.poll() is None for child in children):
        try:
            for child in children:
                child.wait()
        except KeyboardInterrupt:
            interrupted = True
            for child in children:
                with contextlib.suppress(OSError):
                    child.terminate()
    killed = [-child.returncode for child in children if child.returncode < 0]
    for number in killed:
        console.remark(f"a process was ended by signal {number}: the shard that it was computing is missing. The same "
                       "command computes it")
    found = {process.CANNOT if child.returncode < 0 else child.returncode for child in children}
    if interrupted or process.INTERRUPTED in found:
        return process.INTERRUPTED
    return max(found)


def _end_with(parent: int) -> None:
    """Interrupt this process when its parent has ended, which may have been killed."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PAUSE)
        os.kill(os.getpid(), signal.SIGTERM)
    if os.name != "nt":
        threading.Thread(target=watch, daemon=True).start()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_of(args: Any, run: "ChosenRun", names: Sequence[str], count: int, digest: str) -> "Work":
    """What is to be computed: every option of the verb that the records depend on."""
    from runner import ops
    from runner.inference.shards import Work
    compared = {action.dest: getattr(args, action.dest, None) for action in args.parser._actions
                if action.dest not in NOT_COMPARED | OF_OTHERS and not isinstance(action, common.Output)}
    weights = run.weights or (run.cfg if args.cfg.lower().endswith(".onnx") else run.folder.weights())
    return Work(args.parser.prog.split()[-1], args.images, count, digest, args.cfg, str(weights), names,
                {**compared, "backend": ops.backend()})


def write_parts(args: Any, run: "ChosenRun", names: Sequence[str], results: "Results") -> int:
    """Do the part of the work that falls to this process -> exit status."""
    from runner.inference.image_list import ImageList
    from runner.inference.shards import Shards, compute
    began = time.perf_counter()
    images = ImageList(args.images)
    shards = Shards(args.json_lines, work_of(args, run, names, images.count, images.digest), args.shard_size)
    console.detail(f"{args.json_lines}: {counted(images.count, 'image')} in {counted(shards.total, 'shard')} of "
                   f"{shards.size:,}, {len(shards.missing()):,} of them to do")
    worker = Worker.current()
    if worker and worker.piped:
        print(READY, end="", flush=True)
    progress = Progress(shards)
    compute(shards, images.images, results, progress.done)
    return progress.end(time.perf_counter() - began)


class Progress:
    """What is reported about the work of this process."""

    def __init__(self, shards: "Shards"):
        self.shards, self.parts, self.images = shards, 0, 0

    def done(self, number: int, images: int, errors: int) -> None:
        from runner.inference.shards import part_name
        self.parts, self.images = self.parts + 1, self.images + images
        console.detail(f"{part_name(number)}: {counted(images, 'image')}" + (f", {errors:,} bad" if errors else ""))

    def end(self, seconds: float) -> int:
        """The summary, by the process that has finished the last part -> exit status."""
        from runner.inference.shards import SHOWN, named, part_name, summary
        shards, folder = self.shards, self.shards.folder
        worker = Worker.current()
        found = shards.complete()
        if found is not None:
            if found.now or (shards.was_complete and not (worker and worker.rank)):
                how = console.duration(seconds) if found.now else "nothing is left to do"
                console.say(f"{folder}: {summary(shards.count, found.errors)}, in {counted(shards.total, 'part')}; "
                            f"{how}")
            return process.CANNOT if found.errors == shards.count else process.DONE
        running, elsewhere, lost = shards.under_way()
        if running:
            console.detail(f"{folder}: other processes are computing {named(running)}")
        for number, owner in list(elsewhere.items())[:SHOWN]:
            console.remark(f"{folder}: {part_name(number)} is claimed by {owner}, another machine. If it has ended, "
                           f"delete {shards.claim_file(number)}")
        if lost:
            console.remark(f"{folder}: missing: {named(lost)}; the processes that computed them have ended. The same "
                           "command computes what is missing")
        return process.CANNOT if lost else process.DONE
