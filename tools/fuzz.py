"""Change valid inputs at random, read them, and report what is neither read nor refused with a RunnerError.

  python tools/fuzz.py list                               the readers
  python tools/fuzz.py cfg --seconds 60                   one reader for a minute
  python tools/fuzz.py coco voc --inputs 10000 --seed 3   two readers, 10,000 inputs each
  python tools/fuzz.py all --inputs 1000000               everything; takes days on one core
  python tools/fuzz.py cfg --file a.cfg                   one input, with the traceback

An input may neither raise another exception, nor take more CPU time or memory than its size justifies, nor lead to an
error message of more than 120,000 characters.  Failures are grouped by exception and function; the smallest input of
each is reduced and, with --save, written to FOLDER/READER/.  Exit status 1 if there are failures.
"""
import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="+", help="names of readers, all, or list")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of each reader (default: no limit)")
    parser.add_argument("--inputs", type=int, help="of each reader (default: 1000, or no limit with --seconds)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FOLDER", help="write the reduced input of each failure here")
    parser.add_argument("--file", help="read only this input, and print what comes of it")
    args = parser.parse_args(argv)

    from runner import ops
    from runner.ops import parallel
    from tools.fuzzing.hunt import Reader, attempt, filled_folder, hunt
    from tools.fuzzing.readers import readers
    from tools.fuzzing.reduce import reduce
    known = readers()
    if args.readers == ["list"]:
        print("\n".join(known))
        return 0
    names = list(known) if args.readers == ["all"] else args.readers
    if wrong := [name for name in names if name not in known]:
        parser.error(f"unknown readers: {', '.join(wrong)}. Known: {', '.join(known)}")
    parallel.set_threads(1)     # a thread pool does not survive a fork
    for backend in ("auto", "numpy"):       # both are imported before the forks
        ops.use(backend)
    if args.file:
        data = Path(args.file).read_bytes()
        with filled_folder(known[names[0]]) as folder:
            outcome = attempt(known[names[0]], data, folder)
        print(f"{outcome.kind} in {outcome.seconds:.2f} s  {outcome.where}\n{outcome.detail}")
        return int(outcome.kind == "failed")

    inputs = args.inputs or (1000 if args.seconds == float("inf") else sys.maxsize)
    failures = 0

    def one(reader: Reader) -> int:
        start = time.monotonic()
        found = hunt(reader, args.seed, inputs, args.seconds, lambda _: None)
        print(f"{reader.name}: {found.inputs:,} inputs, {found.read:,} read, {found.refused:,} refused, slowest "
              f"{found.slowest:.2f} s, {len(found.failures)} kinds of failures; {time.monotonic() - start:.0f} s",
              flush=True)
        for failure in sorted(found.failures.values(), key=lambda one: -one.count):
            data = reduce(reader, failure)
            print(f"  {failure.where}  {failure.count} times, smallest input {len(data)} bytes: {data[:100]!r}",
                  flush=True)
            if args.save:
                folder = Path(args.save) / reader.name
                folder.mkdir(parents=True, exist_ok=True)
                name = hashlib.blake2b(failure.where.encode(), digest_size=4).hexdigest()
                (folder / name).write_bytes(data)
                (folder / f"{name}.why").write_text(f"{failure.where}\n{failure.detail}\n")
        return len(found.failures)

    for name in names:
        failures += one(known[name])
    return int(failures > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
