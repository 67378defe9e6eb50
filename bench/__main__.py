"""Measure ours against PyTorch, ONNX Runtime, OpenCV and darknet on this machine.

Every peer builds the same network, gets the same weights and must give the same numbers before it is timed.  Each lives
in a process of its own, and they take turns, so that a change of the machine's speed meets all of them.  A peer that
is not installed is named and left out.

  python -m bench                                     every network: about ten minutes
  python -m bench --quick --networks net cifar        a first impression
  python -m bench --darknet ../darknet/libdarknet.so --markdown >> bench/README.md
"""
import argparse
import json
import os
import sys

SPOILS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")      # they choose slow kernels, or blocks of the wrong size


def main() -> int:
    held = [name for name in SPOILS if name in os.environ]
    if held:
        print(f"bench: {' and '.join(held)} unset: with it BLAS would not be what this processor can do",
              file=sys.stderr)
        for name in held:
            del os.environ[name]
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])
    args = _arguments()
    from bench import report
    from bench.measure import measure
    if args.darknet:
        os.environ["BENCH_DARKNET"] = os.path.abspath(args.darknet)
    rows = []
    for case in args.networks:
        rows += measure(case, args.tasks, args.peers, args.threads, 2 if args.quick else args.rounds,
                        lambda line: print(line, file=sys.stderr, flush=True))
    facts = report.machine(args.threads)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": facts, "rows": [row.plain() for row in rows]}, file, indent=1)
    print(report.markdown(rows, facts) if args.markdown else report.text(rows, facts))
    return 0


def _arguments() -> argparse.Namespace:
    from bench.networks import CASES
    from bench.worker import PEERS, TASKS
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES), metavar="NAME",
                        help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK",
                        help=f"of {', '.join(TASKS)}: inference of 1 and of 8 images, a training step on 8")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER",
                        help=f"of {', '.join(PEERS)}; fast and numpy are our two sets of kernels")
    parser.add_argument("--threads", type=int, default=2, help="for everybody (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each peer (default 5)")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--darknet", metavar="PATH", help="libdarknet.so of a build with LIBSO=1 AVX=1 OPENMP=1")
    parser.add_argument("--json", metavar="FILE", help="every single time, for a program")
    parser.add_argument("--markdown", action="store_true", help="tables as bench/README.md has them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
