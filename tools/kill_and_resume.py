"""Kill a training run with SIGKILL at random moments, resume it each time, and compare it with an uninterrupted run.

  python tools/kill_and_resume.py cfg/net.cfg --kills 20 --set net.max_batches=600

All other options are passed to both runs.  The exit status is 0 if best.weights, last.weights and the losses and scores
of the log are equal, else 1.  The two runs are kept in weights/uninterrupted and weights/killed.
"""
import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = "uninterrupted", "killed"


def start_training(arguments: Sequence[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(ROOT / "run.py"), "train", *arguments, "--quiet"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def train_with_kills(arguments: Sequence[str], kills: int, longest: float, rng: random.Random) -> list[int]:
    """Train until the run is complete, killing it `kills` times -> the update of the checkpoint at each kill."""
    from runner.training import checkpoint
    latest = Path("weights") / NAMES[1] / "state.npz"
    killed_at: list[int] = []
    while True:
        process = start_training([*arguments, "--name", NAMES[1], *(["--resume"] if killed_at else [])])
        while not latest.exists() and process.poll() is None:       # wait for the first checkpoint
            time.sleep(0.01)
        if len(killed_at) < kills:
            try:
                process.wait(rng.uniform(0, longest))
            except subprocess.TimeoutExpired:
                process.kill()
        _, err = process.communicate()
        if process.returncode == 0:
            return killed_at
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(err)
        path = latest if latest.exists() else latest.with_name("state-before.npz")
        killed_at.append(checkpoint.read(path)[1]["update"])


def results() -> list[tuple[bytes, bytes, list[tuple[str, str, str]]]]:
    """Weights and log of both runs."""
    from runner.training.log import read_rows
    found = []
    for name in NAMES:
        folder = Path("weights") / name
        rows = [(row["update"], row["loss"], row["score"]) for row in read_rows(folder / "log.csv")]
        found.append(((folder / "last.weights").read_bytes(), (folder / "best.weights").read_bytes(), rows))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cfg")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=6.0, help="longest time in seconds before a kill (default 6)")
    parser.add_argument("--seed-of-kills", type=int, default=0)
    args, others = parser.parse_known_args(argv)
    process = start_training([args.cfg, *others, "--name", NAMES[0]])
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(err)
    killed_at = train_with_kills([args.cfg, *others], args.kills, args.longest, random.Random(args.seed_of_kills))
    uninterrupted, killed = results()
    equal = uninterrupted == killed
    print(f"killed {len(killed_at)} times, with checkpoints of updates {', '.join(map(str, killed_at))}; "
          f"{'bit-identical' if equal else 'NOT EQUAL'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
