"""Benchmark this project against PyTorch, ONNX Runtime, OpenCV and darknet on this machine.

Each peer builds the same network with the same weights, and must compute the same outputs before it is timed.  Each
runs in its own process, and they alternate, so that a change of the machine's speed affects all of them.  A peer that
is not installed is reported and skipped.

  python -m bench                                     all networks: about ten minutes
  python -m bench --quick --networks net cifar        a quick look
  python -m bench --darknet ../darknet/libdarknet.so --markdown >> bench/README.md
"""
import argparse
import json
import os
import sys

BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")      # select slow BLAS kernels or a wrong block size


def main() -> int:
    overrides = [name for name in BLAS_OVERRIDES if name in os.environ]
    if overrides:
        print(f"bench: unset {' and '.join(overrides)}, which would slow down BLAS on this processor", file=sys.stderr)
        for name in overrides:
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
                        help=f"of {', '.join(PEERS)}; fast and numpy are the two backends of this project")
    parser.add_argument("--threads", type=int, default=2, help="of each peer (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per peer (default 5)")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--darknet", metavar="PATH", help="libdarknet.so of a build with LIBSO=1 AVX=1 OPENMP=1")
    parser.add_argument("--json", metavar="FILE", help="write the time of every run, for programs")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables, as in bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
