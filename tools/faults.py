"""Faults on purpose: kill training at random moments, fail each write, fill the disk; then resume, and compare the
result with that of an undisturbed run.

  python tools/faults.py                       20 of each kind with each model, in a temporary folder
  python tools/faults.py --times 100 --seed 1  more of them, others
  python tools/faults.py --kinds kill,term --models classifier
  python tools/faults.py cfg/net.cfg --data data/net --set net.max_batches=600 --kinds kill    a network of yours

The models: a classifier with Adam, a moving average, dropout and batch norm; a detector with mosaic=1 and random=1; a
character model with an LSTM.  After each fault the run is resumed, or started again where it was stopped before its
first checkpoint.  It passes if last.weights, best.weights, and losses and scores of the log are equal to the bit.  The
exit status is 1 if one does not pass.  Needs a system with fork; the kinds `full disk` and `read-only` need the right
to mount a tmpfs.
"""
import argparse
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import runner.training.tasks  # noqa: F401 (loaded once, not in each process)
from runner import cli, files
from runner.training.log import read_rows
from tests import toy, toy_boxes

NAME = "net"
Hook = Callable[[str, Path], None]
CLASSIFIER = toy.CFG.replace("momentum=0", "adam=1\nsubdivisions=2\nema_alpha=.9\nangle=9\nexposure=1.5").replace(
    "[connected]", "[dropout]\nprobability=.3\n[connected]").replace("filters=3", "filters=3\nbatch_normalize=1")
DETECTOR = toy_boxes.CFG.replace("max_batches=200", "max_batches=30\nmosaic=1").replace("jitter=.1",
                                                                                       "jitter=.1\nrandom=1")
CHARACTERS = ("[net]\ninputs=256\nbatch=4\ntime_steps=5\nmax_batches=40\nadam=1\nreposition=.2\nlearning_rate=.01\n"
              "[lstm]\noutput=6\nbatch_normalize=1\n[connected]\noutput=256\n[softmax]\n")


@dataclass
class Model:
    """words: the arguments of `train`, with --name; expected: what an undisturbed run leaves."""
    words: list[str]
    seconds: float = 0.
    expected: object = None

    @property
    def folder(self) -> Path:
        return Path("weights", NAME)


@dataclass
class Outcome:
    """failures: one sentence for each fault that did not pass; skipped: why the kind was not tried."""
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: str = ""


def make(name: str) -> Model:
    """Write cfg and data of a model into the working directory."""
    here = Path(".")
    if name == "classifier":
        toy.make(here)
        Path("cfg/toy.cfg").write_text(CLASSIFIER)
        words = ["cfg/toy.cfg", "--data", "data/toy"]
    elif name == "detector":
        toy_boxes.make(here)
        Path("cfg/squares.cfg").write_text(DETECTOR)
        words = ["cfg/squares.cfg", "--data", "data/squares"]
    else:
        Path("novel.txt").write_text("to be or not to be, that is the question. " * 40)
        Path("chars.cfg").write_text(CHARACTERS)
        words = ["chars.cfg", "--data", "novel.txt"]
    return Model([*words, "--validate-every", "8", "--save-every", "3", "--backend", "numpy"])


MODELS = ("classifier", "detector", "characters")


# --- processes --------------------------------------------------------------------------------------------------------

def start(words: Sequence[str], hook: Hook | None = None) -> int:
    """`train` in a forked process, which has the modules loaded -> its number.  Its output goes to the file `out`."""
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        out = os.open("out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
        files.on_event = hook
        status = cli.main(["train", *words, "--name", NAME, "--quiet", "--no-report"])
        sys.stdout.flush()
    except BaseException:
        import traceback
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for a process -> its exit status; of a killed one, minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train(words: Sequence[str], hook: Hook | None = None) -> int:
    return ended(start(words, hook))


def resume(model: Model) -> int:
    """Resume, or start again where there is no checkpoint yet -> exit status."""
    return train([*model.words, *(["--resume"] if has_checkpoint(model) else [])])


def has_checkpoint(model: Model) -> bool:
    return any((model.folder / name).exists() for name in ("state.npz", "state-before.npz"))


def result(folder: Path) -> object:
    """What must be equal: both weights files, and losses and scores of the log."""
    rows = [(row["update"], row["loss"], row["score"]) for row in read_rows(folder / "log.csv")]
    return (folder / "last.weights").read_bytes(), (folder / "best.weights").read_bytes(), rows


def check(model: Model, outcome: Outcome, what: str) -> None:
    """Resume after a fault and compare; note a failure.  Nothing temporary may be left, except the lock of the name
    that a run was given when it was set aside: the next run with that name takes it."""
    status = resume(model)
    left = [path.name for path in model.folder.glob("*") if path.name.endswith((".tmp", ".new"))] + [
        path.name for path in Path("weights").glob(".*.lock") if "-before" not in path.name]
    if status or result(model.folder) != model.expected or left:
        tail = Path("out").read_text(errors="replace")[-300:] if Path("out").exists() else ""
        outcome.failures.append(f"{what}: status {status}, left {left}. {tail}")
    clean()


def clean() -> None:
    shutil.rmtree("weights", ignore_errors=True)
    Path("out").unlink(missing_ok=True)


# --- kinds of faults --------------------------------------------------------------------------------------------------

def at_random_moments(model: Model, times: int, rng: random.Random, number: int, allowed: set[int]) -> Outcome:
    """A signal at a random moment, until the run is complete; several hit one run."""
    outcome = Outcome()
    while outcome.tried < times:
        words, status = model.words, -1
        while outcome.tried < times and status:
            pid = start(words)
            time.sleep(rng.uniform(0, model.seconds))
            os.kill(pid, number)
            status = ended(pid)
            outcome.tried += status != 0        # 0: it was complete already
            if status and status not in allowed:
                outcome.failures.append(f"signal {number}: status {status}")
            words = [*model.words, *(["--resume"] if has_checkpoint(model) else [])]
        check(model, outcome, f"signal {number}")
    return outcome


def kill(model: Model, times: int, rng: random.Random) -> Outcome:
    """SIGKILL at a random moment."""
    return at_random_moments(model, times, rng, signal.SIGKILL, {-signal.SIGKILL})


def term(model: Model, times: int, rng: random.Random) -> Outcome:
    """SIGTERM at a random moment; before Python handles signals it ends the process, as everywhere."""
    return at_random_moments(model, times, rng, signal.SIGTERM, {130, -signal.SIGTERM})


def steps_of(model: Model, words: Sequence[str]) -> int:
    """How many steps of writing files a run has."""
    with open("steps", "wb", buffering=0) as file:
        def hook(step: str, path: Path) -> None:
            file.write(b".")
        assert train(words, hook) == 0
    return Path("steps").stat().st_size


def at_steps(model: Model, times: int, rng: random.Random, fault: Hook, allowed: set[int]) -> Outcome:
    """A fault at steps of writing files, each of them where there are no more than `times`."""
    outcome = Outcome()
    count = steps_of(model, model.words)
    clean()
    for at in sorted(rng.sample(range(count), times)) if count > times else range(count):
        seen: list[str] = []

        def hook(step: str, path: Path, seen: list[str] = seen, at: int = at) -> None:
            seen.append(step)
            if len(seen) == at + 1:
                fault(step, path)
        status = train(model.words, hook)
        if status not in allowed:
            outcome.failures.append(f"step {at}: status {status}. {Path('out').read_text()[-300:]}")
        outcome.tried += 1
        check(model, outcome, f"step {at}")
    return outcome


def killed(step: str, path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_space(step: str, path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def no_quota(step: str, path: Path) -> None:
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))


def kill_at_a_write(model: Model, times: int, rng: random.Random) -> Outcome:
    """SIGKILL before a step of writing a file."""
    return at_steps(model, times, rng, killed, {-signal.SIGKILL})


def error_at_a_write(model: Model, times: int, rng: random.Random) -> Outcome:
    """The system answers a step of writing a file with "No space left on device"."""
    return at_steps(model, times, rng, no_space, {2})


def set_aside(model: Model, times: int, rng: random.Random) -> Outcome:
    """SIGKILL at a step of starting a new run over a complete one, whose files must all remain, in one folder."""
    outcome = Outcome()
    for number in range(times):
        at = number % 20
        clean()
        assert train(model.words) == 0
        before = {path.name: path.read_bytes() for path in model.folder.iterdir()}
        seen: list[str] = []

        def hook(step: str, path: Path, seen: list[str] = seen, at: int = at) -> None:
            seen.append(step)
            if len(seen) == at + 1:
                killed(step, path)
        train(model.words, hook)
        kept = any({path.name: path.read_bytes() for path in folder.iterdir()} == before
                   for folder in Path("weights").iterdir() if folder.is_dir())
        if not kept:
            outcome.failures.append(f"step {at}: the files of the earlier run are not complete")
        outcome.tried += 1
        check(model, outcome, f"step {at}")
    return outcome


def two_at_once(model: Model, times: int, rng: random.Random) -> Outcome:
    """Two processes start the same run at the same moment: one runs, one is refused."""
    outcome = Outcome()
    for _ in range(times):
        statuses = sorted(ended(pid) for pid in [start(model.words), start(model.words)])
        folders = [path.name for path in Path("weights").iterdir() if path.is_dir()]
        # the second may also start after the first has ended: then it sets its run aside
        if not (statuses == [0, 2] and folders == [NAME]) and not (statuses == [0, 0] and len(folders) == 2):
            outcome.failures.append(f"statuses {statuses}, folders {folders}")
        outcome.tried += 1
        check(model, outcome, "after two at once")
    return outcome


def quota_at_a_write(model: Model, times: int, rng: random.Random) -> Outcome:
    """The system answers a step of writing a file with "Disk quota exceeded".  (A real quota does not bind root.)"""
    return at_steps(model, times, rng, no_quota, {2})


def mount(*options: str) -> bool:
    """A tmpfs at the folder of the runs; False where it may not be mounted, or not now."""
    return not subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", "weights"], capture_output=True,
                              check=False).returncode


def on_a_small_disk(model: Model, times: int, rng: random.Random, fault: Callable[[], None],
                    end: Callable[[], None]) -> Outcome:
    """The folder of the runs is a small tmpfs; `fault` happens to it at a random moment, and `end` takes it back."""
    outcome = Outcome()
    clean()
    Path("weights").mkdir()
    used = sum(map(len, model.expected[:2])) if isinstance(model.expected, tuple) else 0
    if not mount("-o", f"size={10 * used + 500_000}"):
        return Outcome(skipped="a tmpfs cannot be mounted here")
    try:
        while outcome.tried < times:
            pid = start(model.words)
            time.sleep(rng.uniform(0, model.seconds))
            fault()
            status = ended(pid)
            end()
            outcome.tried += status != 0        # 0: it was complete already
            if status not in (0, 2):
                outcome.failures.append(f"status {status}: {Path('out').read_text()[-300:]}")
            check(model, outcome, fault.__name__)
            for path in Path("weights").iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        subprocess.run(["umount", "weights"], check=True)
    return outcome


def fill() -> None:
    """Use all space of the disk."""
    try:
        with open("weights/filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass


def full_disk(model: Model, times: int, rng: random.Random) -> Outcome:
    """The run folder is on a small tmpfs that is filled; after the fault there is space again."""
    return on_a_small_disk(model, times, rng, fill, Path("weights/filler").unlink)


def make_read_only() -> None:
    """It is refused while a file is open for writing: try for a second."""
    for _ in range(1000):
        if mount("-o", "remount,ro"):
            return
        time.sleep(.001)


def make_writable() -> None:
    mount("-o", "remount,rw")


def read_only(model: Model, times: int, rng: random.Random) -> Outcome:
    """The run folder is on a tmpfs that is mounted read-only at a random moment; after the fault it is writable."""
    return on_a_small_disk(model, times, rng, make_read_only, make_writable)


KINDS: dict[str, Callable[[Model, int, random.Random], Outcome]] = {
    "kill": kill, "kill at a write": kill_at_a_write, "error at a write": error_at_a_write,
    "quota at a write": quota_at_a_write, "full disk": full_disk, "read-only": read_only, "set aside": set_aside,
    "two at once": two_at_once, "term": term}


def names(text: str, known: Sequence[str]) -> list[str]:
    """Argument: a list of names."""
    chosen = [name.strip() for name in text.split(",")]
    wrong = [name for name in chosen if name not in known]
    if wrong:
        raise SystemExit(f"{wrong[0]!r} is not one of {', '.join(known)}")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cfg", nargs="?", help="a network of yours, with options of train after it")
    parser.add_argument("--times", type=int, default=20, help="faults of each kind with each model (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)}")
    args, more = parser.parse_known_args(argv)
    if more and not args.cfg:
        parser.error(f"unknown: {' '.join(more)}")
    own = [os.path.abspath(word) if os.path.exists(word) else word for word in (args.cfg, *more)] if args.cfg else []
    kinds, failed, before = names(args.kinds, list(KINDS)), 0, Path.cwd()
    print("| fault | model | tried | passed |\n| --- | --- | --- | --- |", flush=True)
    for name in ["yours"] if args.cfg else names(args.models, MODELS):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                model = Model(own) if own else make(name)
                began = time.perf_counter()
                if train(model.words):
                    raise SystemExit(Path("out").read_text())
                model.seconds, model.expected = time.perf_counter() - began, result(model.folder)
                clean()
                for kind in kinds:
                    outcome = KINDS[kind](model, args.times, random.Random(f"{args.seed} {kind} {name}"))
                    clean()
                    failed += len(outcome.failures)
                    passed = outcome.skipped or f"{outcome.tried - len(outcome.failures)}"
                    print(f"| {kind} | {name} | {outcome.tried} | {passed} |", flush=True)
                    for sentence in outcome.failures[:3]:
                        print(f"    {sentence}", file=sys.stderr)
            finally:
                os.chdir(before)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
