"""Kill a training run with SIGKILL at random moments, go on each time, and compare with a run left alone.

  python tools/kill_and_resume.py cfg/net.cfg --kills 20 --set net.max_batches=600

Both runs get the further options; exit status 0 when best.weights, last.weights and the log's scores are equal, 1 when
not.  The two runs are kept in weights/left-alone and weights/killed.
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
NAMES = "left-alone", "killed"


def run(words: Sequence[str]) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(ROOT / "run.py"), "train", *words, "--quiet"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def killed_again_and_again(words: Sequence[str], kills: int, longest: float, rng: random.Random) -> list[int]:
    """Train with `words` until it is done -> the updates the state stood at when it was killed."""
    from runner.training import checkpoint
    place, stood = Path("weights") / NAMES[1] / "state.npz", []
    while True:
        process = run([*words, "--name", NAMES[1], *(["--resume"] if stood else [])])
        while not place.exists() and process.poll() is None:        # killed before the first state, it would start anew
            time.sleep(0.01)
        if len(stood) < kills:
            try:
                process.wait(rng.uniform(0, longest))
            except subprocess.TimeoutExpired:
                process.kill()
        _, err = process.communicate()
        if process.returncode == 0:
            return stood
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(err)
        path = place if place.exists() else place.with_name("state-before.npz")
        stood.append(checkpoint.read(path)[1]["update"])


def results() -> list[tuple]:
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
    parser.add_argument("--longest", type=float, default=6.0, help="seconds a process lives at most (default 6)")
    parser.add_argument("--seed-of-kills", type=int, default=0)
    args, more = parser.parse_known_args(argv)
    process = run([args.cfg, *more, "--name", NAMES[0]])
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(err)
    stood = killed_again_and_again([args.cfg, *more], args.kills, args.longest, random.Random(args.seed_of_kills))
    alone, killed = results()
    equal = alone == killed
    print(f"killed {len(stood)} times, at the states of updates {', '.join(map(str, stood))}; "
          f"{'equal to the bit' if equal else 'NOT EQUAL'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
