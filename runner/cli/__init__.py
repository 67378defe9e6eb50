"""The command line: python run.py VERB.  The only place that parses arguments, prints and exits.

Each verb is a file here with a docstring (its help), `arguments(parser)` and `run(args) -> exit status`;
runner/cli/process.py says what the numbers mean.
"""
import argparse
import difflib
import importlib
import keyword
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from runner.cli import common, console, neighbours, process
from runner.errors import RunnerError
from runner.program import adapted, install_command, program

DEBUG = "--debug"
VERBOSE = ("-v", "--verbose")

# verb -> its line of help; its module (`module_of`) is imported only if the verb is used
VERBS = {
    "init": "start a network for your own images: a cfg, a description of the data, folders",
    "train": "train the network of a cfg on images, or on a text",
    "report": "write the report of a training run again",
    "compare": "compare training runs",
    "rates": "find a learning rate: train while it rises, and see where the loss falls fastest",
    "test": "evaluate a trained network: accuracy, metrics per class, confusion matrix",
    "predict": "classify images",
    "detect": "detect objects in images and videos",
    "merge": "put the parts of --json-lines together, as JSON, CSV or COCO results",
    "export": "write a network for other programs: ONNX, safetensors, npz, a folder",
    "verify": "compare an ONNX model with its network",
    "import": "make a cfg and its weights from an ONNX model",
    "weights": "look into .weights files, compare and change them",
    "anchors": "find anchors for a detection dataset",
    "generate": "generate text with a trained character model",
    "check": "find every error in cfg files",
    "summary": "show a network layer by layer: shapes, parameters, BFLOPs, memory",
    "profile": "time every layer of a network, and compare it with the peak performance of the machine",
    "doctor": "describe the installation: versions, backends, extras, and what is wrong with them",
    "explain": "list the sections of a cfg, or the options of one",
    "download": "download a public dataset, MNIST, CIFAR-10 and others, or published weights",
    "data": "describe a dataset: counts, sizes, class balance, unreadable and duplicate images",
    "picture": "draw the effect of one layer on a photo",
    "augment": "draw a sheet of augmented training images",
    "completion": "print a completion script for bash, zsh or tcsh",
}
EXAMPLES = """examples:
  python run.py train cfg/net.cfg
  python run.py predict cfg/net.cfg data/digits/test/7
  python run.py check cfg/*.cfg
  python run.py explain dropout
  python run.py VERB --help          more about a verb
"""


def module_of(verb: str) -> str:
    """The module of a verb: that of its name, with an underscore behind a word that Python reserves."""
    return f"runner.cli.{verb}{'_' * keyword.iskeyword(verb)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command -> exit status.  A RunnerError is printed to stderr; any other exception is a bug, of which one
    line asks for a report; with --debug, or RUNNER_DEBUG set, it is raised."""
    process.open_standard_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)        # behind it, nothing is an option
    debug = DEBUG in words[:end] or bool(os.environ.get("RUNNER_DEBUG"))
    console.be_verbose(any(word in words[:end] for word in VERBOSE))
    try:
        with process.terminable():
            status = _run([word for word in words[:end] if word not in (DEBUG, *VERBOSE)] + words[end:])
            sys.stdout.flush()      # so that a closed pipe or a full disk is noticed here
        console.detail(f"done, exit status {status}")
        return status
    except BrokenPipeError:         # the reader of our output has closed it, as `head` does
        process.discard_output()
        return process.DONE
    except ModuleNotFoundError as error:
        from runner.cli.doctor import REQUIRED
        module = (error.name or "").partition(".")[0]
        if module not in REQUIRED:
            return _unexpected(error, debug)
        return _fail(f"the package {REQUIRED[module][0]!r} is not installed: {install_command()}")
    except RunnerError as error:
        return _fail(str(error))
    except OSError as error:
        named = error.filename and error.strerror
        return _fail(f"{console.one_line(str(error.filename))}: {error.strerror}" if named else str(error))
    except KeyboardInterrupt:
        print(f"{program()}: interrupted", file=sys.stderr)
        return process.INTERRUPTED
    except Exception as error:
        return _unexpected(error, debug)


def _unexpected(error: Exception, debug: bool) -> int:
    """What no message was written for: an error of this program, or no memory -> exit status."""
    if debug:
        raise error
    if isinstance(error, MemoryError):
        why = f" ({error})" if str(error) else ""
        return _fail(f"there is not enough memory{why}. {DEBUG} shows where it was needed")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    what = f" ({why})" if (why := " ".join(str(error).split())[:200]) else ""
    return _fail(f"an error of this program: {type(error).__name__}{what}{place}. Please report it with this command, "
                 f"with what it prints with {DEBUG}, and with the output of `{program()} --version`")


def _run(argv: list[str]) -> int:
    """Find the verb, parse its arguments and run it -> exit status."""
    verb = next((word for word in argv if not word.startswith("-")), None)
    if verb == "detect" or (verb is not None and verb not in VERBS):
        from runner.cli import darknet
        if darknet.is_darknet(argv):
            return darknet.respond(argv)
    if verb is not None and verb not in VERBS:
        command = darknet.near_command(argv)
        near = difflib.get_close_matches(verb.lower(), [*VERBS, command] if command else VERBS, 1)
        if command and command not in VERBS and (not near or " " in command or near == [command]):
            hint = f" (did you mean darknet's {command!r}?)"
        else:
            hint = f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(VERBS)})"
        console.remark(f"{program()}: unknown verb {verb!r}{hint}")
        return process.CANNOT
    parser, of_verb = _parser(verb)
    unknown = neighbours.answer(argv, verb, of_verb) if verb else ""
    if unknown:
        return _fail(unknown)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else process.CANNOT
    if not getattr(args, "run", None):
        parser.print_help()
        return process.CANNOT
    args.words = argv
    common.require_outputs(of_verb, args)
    console.escape_unencodable()
    return args.run(args) or process.DONE


def _fail(message: str) -> int:
    for line in message.splitlines() or ["unknown error"]:
        console.remark(f"{program()}: {line}")
    try:
        sys.stdout.flush()
    except OSError:             # what could not be written is the error itself
        process.discard_output()
    return process.CANNOT


def full_parser() -> argparse.ArgumentParser:
    """The parser with the arguments of every verb."""
    return _parser(None, every=True)[0]


def _parser(verb: str | None, every: bool = False) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser, and the part of it for the verb.  every: with the arguments of every verb."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog=program(), epilog=adapted(EXAMPLES), formatter_class=plain,
                                     description="Train and run the networks of darknet-style .cfg files.")
    parser.add_argument("-V", "--version", action=_Version, nargs=0,
                        help="show the versions of program, Python and NumPy")
    _everywhere(parser)
    command: argparse.ArgumentParser = parser
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    for name, line in VERBS.items():
        if name != verb and not every:
            verbs.add_parser(name, help=line)
            continue
        module = importlib.import_module(module_of(name))
        command = verbs.add_parser(name, help=line, description=adapted(module.__doc__ or ""), formatter_class=plain)
        module.arguments(command)
        command.set_defaults(run=module.run)
        _everywhere(command.add_argument_group("every verb"))
    return parser, command


def _everywhere(parser: argparse._ActionsContainer) -> None:
    """--verbose and --debug, before or behind the verb: `main` has read them, and the parser only describes them."""
    parser.add_argument(*VERBOSE, action="store_true", default=argparse.SUPPRESS, help="report on stderr what is "
                        "chosen, and why: cfg, weights, data, names, backend, threads, memory; with the time")
    parser.add_argument(DEBUG, action="store_true", default=argparse.SUPPRESS,
                        help="show where in the program an unexpected error occurred")


class _Parser(argparse.ArgumentParser):
    """A parser whose messages show control characters of arguments as escapes."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(console.escaped(message or ""), file)


class _Version(argparse.Action):
    """--version: NumPy is imported only if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from runner.cli.doctor import version_text
        print(version_text())
        parser.exit()
