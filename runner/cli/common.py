"""Shared by several verbs: options, and loading a network and printing its warnings."""
import argparse
import os
from typing import TYPE_CHECKING, Any

from runner.cli import console
from runner.reading import numbers

if TYPE_CHECKING:
    from PIL import Image

    from runner.datasets.format import Task
    from runner.network import Network
    from runner.training import DetectionCriteria, TaskOptions
    from runner.training import Task as NetworkTask


def positive(text: str) -> int:
    """Argument type: an integer of at least 1."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """Argument type: an integer of at least 0."""
    return _at_least(0, text)


def _at_least(low: int, text: str) -> int:
    try:
        return numbers.whole(text, low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, at least {low}. Got {numbers.shown(text)}") from None


UNITS = {"h": 3600, "m": 60, "s": 1}


def minutes(text: str) -> float:
    """Argument type: a duration in seconds, from 90 (minutes), 1h30m or 45s."""
    return 60.0 * numbers.whole(text) if numbers.is_whole(text) and text.strip("0") else period(text)


def period(text: str) -> float:
    """Argument type: a duration in seconds, from 1h30m, 10m or 45s."""
    import re
    match = re.fullmatch(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", text)
    seconds = sum(numbers.whole(part) * unit for part, unit in zip(match.groups(), UNITS.values(), strict=True)
                  if part) if match else 0
    if not seconds:
        raise argparse.ArgumentTypeError(f"must be a duration such as 1h30m, 10m or 45s. Got {numbers.shown(text)}")
    return float(seconds)


def share(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    value = _real(text)
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1. Got {numbers.shown(text)}")
    return value


def above_zero(text: str) -> float:
    """Argument type: a number above 0."""
    value = _real(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0. Got {numbers.shown(text)}")
    return value


def _real(text: str) -> float | None:
    try:
        return numbers.real(text)
    except ValueError:
        return None


def letterbox_options(parser: argparse._ActionsContainer) -> None:
    """--letterbox, --stretch."""
    fit = parser.add_mutually_exclusive_group()
    fit.add_argument("--letterbox", action="store_true", default=None, help="keep the aspect ratio of the images")
    fit.add_argument("--stretch", action="store_false", dest="letterbox",
                     help="stretch the images to the network's input (default: as letter_box= in [net] says)")


BACKENDS = ("auto", "numpy", "fast")
EXACT = "exact"


def compat_option(parser: argparse.ArgumentParser) -> None:
    """--compat."""
    parser.add_argument("--compat", choices=(EXACT, "alexeyab", "pjreddie", "yolor"),
                        help="use the formulas of this darknet fork (default: exact, or those of the run; see "
                             "docs/compat.md)")


def network_options(parser: argparse.ArgumentParser) -> None:
    """--set, --compat, --strict, --seed, --threads, --backend."""
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="override a cfg option: net.batch=32, or 5.probability=0.3 for the layer with index 5")
    compat_option(parser)
    parser.add_argument("--strict", action="store_true", help="treat unknown options as errors")
    parser.add_argument("--seed", type=natural, default=0, help="of all random numbers (default 0)")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="number of threads (default: all cores; results do not depend on it)")
    parser.add_argument("--backend", choices=BACKENDS, default="auto",
                        help="numpy, or fast: kernels compiled with numba (default auto: fast if numba is installed; "
                             "see docs/speed.md)")
    parser.add_argument("--kernels", choices=BACKENDS, dest="backend", default=argparse.SUPPRESS,
                        help=argparse.SUPPRESS)     # the former name of --backend


class FormatNames:
    """The dataset formats of some tasks, as text in a help message; looked up only where that is printed."""

    def __init__(self, *tasks: "Task"):
        self.tasks = tasks

    def __str__(self) -> str:
        from runner.datasets.formats import format_names
        return format_names(*self.tasks)


def data_option(parser: argparse.ArgumentParser, *tasks: "Task", default: str, more: str = "") -> None:
    """--data, for datasets of some tasks."""
    option = parser.add_argument("--data", metavar="PATH", help="the dataset, a file or a folder in one of these "
                                                                f"formats: %(formats)s{more} (default: {default})")
    option.formats = FormatNames(*tasks)    # type: ignore[attr-defined]    # what %(formats)s stands for


def data_options(parser: argparse.ArgumentParser) -> None:
    """--data, --split-share, --on-bad."""
    data_option(parser, "classification", "detection",
                more="; for a character model, a text file",
                default="[net] data=, then data/<cfg name>; see docs/data.md and docs/detection-data.md")
    parser.add_argument("--split-share", action=Setting, key="net.split_share", metavar="SHARE",
                        help="without test images: hold out this share of the training images, 0.1 for a tenth. Short "
                             "for --set net.split_share=")
    on_bad_option(parser)


def on_bad_option(parser: argparse.ArgumentParser) -> None:
    """--on-bad."""
    parser.add_argument("--on-bad", choices=("skip", "error"), default="skip",
                        help="report and skip an unreadable image, or stop (default skip)")


class Output(argparse.Action):
    """An option that names a file this program writes, or a folder it writes into.

    content  what will be in the file, a key of runner.outputs.OURS; "folder"
    """

    def __init__(self, *words: Any, content: str, **rest: Any):
        self.content = content
        super().__init__(*words, **rest)

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values)


def require_outputs(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """UsageError where an output would replace an input, another output, or a file this program did not write."""
    from runner.errors import UsageError
    outputs = {action: path for action in parser._actions if isinstance(action, Output)
               and (path := getattr(args, action.dest)) not in (None, "-")}
    if not outputs:
        return
    from runner.outputs import obstacle  # needs Pillow, and `doctor` says that it is missing
    others = {action.dest for action in parser._actions} - {action.dest for action in outputs}
    values = [getattr(args, name, None) for name in others]
    inputs = [text for value in values for text in (value if isinstance(value, list) else [value])
              if isinstance(text, str)]
    wrong: list[str] = []
    seen: dict[str, str] = {}
    for action, path in outputs.items():
        name = action.option_strings[0]
        place = os.path.realpath(path)
        if action.content != "folder" and place in seen:
            wrong.append(f"{name} {path}: this is also the file of {seen[place]}")
        seen[place] = name
        problem = obstacle(path, action.content, inputs)
        wrong += [f"{name} {problem}"] if problem else []
    if wrong:
        raise UsageError("\n".join(wrong))


class Setting(argparse.Action):
    """A flag that is short for `--set key=value`."""

    def __init__(self, *words: Any, key: str, **rest: Any):
        self.key = key
        super().__init__(*words, **rest)

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        namespace.settings = [*(getattr(namespace, "settings", None) or []), f"{self.key}={values}"]


class Size(argparse.Action):
    """--size N or WxH: short for --set net.width= and --set net.height=."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        sides = str(values).lower().split("x")
        if len(sides) > 2 or not all(numbers.is_whole(side) and side.strip("0") for side in sides):
            parser.error(f"argument --size: must be N or WxH, in pixels. Got {numbers.shown(values)}")
        namespace.settings = [*(getattr(namespace, "settings", None) or []), f"net.width={sides[0]}",
                              f"net.height={sides[-1]}"]


def size_option(parser: argparse._ActionsContainer) -> None:
    """--size."""
    parser.add_argument("--size", action=Size, metavar="N|WxH",
                        help="input size of the network, pixels: 416, or 416x320. Short for --set net.width= --set "
                             "net.height=")


def weights_option(parser: argparse.ArgumentParser) -> None:
    """--weights."""
    parser.add_argument("--weights", metavar="FILE",
                        help="default: those of the training run, weights/<cfg name>/best.weights or last.weights")


def json_option(parser: Any) -> None:
    """--json."""
    parser.add_argument("--json", metavar="FILE", action=Output, content="JSON",
                        help="write the results as JSON; - is stdout")


def require_image_name(path: str) -> None:
    """UsageError unless the extension of `path` is that of an image format."""
    from pathlib import Path

    from runner.errors import UsageError
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"):
        raise UsageError(f"--save needs a file name ending in .png, .jpg, .webp, .bmp, .gif or .tif. Got {path!r}")


def save_image(image: "Image.Image", path: str) -> None:
    """Write an image in the format of its extension."""
    import errno
    from pathlib import Path

    from PIL import Image

    from runner.files import atomic_write
    from runner.outputs import mark
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    image_format = Image.registered_extensions()[Path(path).suffix.lower()]
    with atomic_write(path) as file:
        image.save(file, image_format, **mark(image_format))


def load_network(args: Any, weights: Any = None, allocate: bool = True, training: bool = True) -> "Network":
    """The network of args.cfg; its warnings go to stderr.

    allocate False: shapes only, without weights; training False: without the warnings about how it is trained
    """
    import runner
    from runner.analysis.footprint import require_inference
    from runner.config import Report
    from runner.ops import parallel
    if args.threads:
        parallel.set_threads(args.threads)
    choose_backend(args.backend)
    report = Report(args.strict, training)
    try:
        net = runner.load(args.cfg, weights, seed=args.seed, settings=args.settings, compat=compat_of(args),
                          allocate=allocate, report=report, folder=getattr(args, "home", None))
        require_inference(net)
        if console.verbose():
            _describe(args, net, weights)
        return net
    finally:
        console.warn(report.warnings)


def _describe(args: Any, net: "Network", weights: Any) -> None:
    """--verbose: what was loaded, and what it computes with."""
    from runner import ops
    from runner.analysis import footprint
    from runner.errors import counted, plural
    from runner.layers.shared.base import shape_text
    from runner.machine import available_memory, bytes_text
    from runner.ops import parallel
    if args.settings:
        console.detail(f"settings: {' '.join(args.settings)}")
    console.detail(f"network: {args.cfg}: {counted(len(net.layers), 'layer')}, {net.param_count:,} "
                   f"{plural(net.param_count, 'parameter')}, input {shape_text(net.in_shape)}, output "
                   f"{shape_text(net.out_shape)}, formulas: {compat_of(args) or EXACT}")
    console.detail(f"weights: read, {net.progress.seen:,} images seen" if weights else
                   f"weights: random, --seed {args.seed}")
    why = "--backend" if args.backend != "auto" else "numba is installed" if ops.backend() == "fast" else \
        "numba is not installed"
    threads = "--threads" if args.threads else "default"
    console.detail(f"backend: {ops.backend()} ({why}); threads: {parallel.threads()} ({threads})")
    free = available_memory()
    console.detail(f"memory, estimated for one image: {bytes_text(footprint.inference(net).total)}"
                   + (f" of {bytes_text(free)} free" if free else ""))


def compat_of(args: Any) -> str | None:
    """--compat as `runner.load` takes it."""
    return None if args.compat == EXACT else args.compat


def choose_backend(choice: str) -> None:
    """Use the backend of --backend, and print a remark before kernels are compiled for the first time."""
    from runner import ops
    ops.use(choice)
    if ops.backend() == "fast":
        import runner.ops.fast.jit as jit
        jit.on_first_compilation = lambda: console.remark(
            "compiling kernels, once: a few seconds for each kernel when it is first used")


def repeated(args: Any) -> list[str]:
    """The options of this call that give another verb the same network and data."""
    options = {"--data": args.data, "--compat": args.compat, "--seed": str(args.seed) if args.seed else None}
    return [*(word for flag, value in options.items() if value for word in (flag, value)),
            *(word for setting in args.settings for word in ("--set", setting))]


def open_network_task(args: Any, net: "Network", criteria: "DetectionCriteria | None" = None) -> "NetworkTask":
    """The task of a network: it opens the data."""
    from runner.training import open_task
    task = open_task(net, task_options(args, criteria))
    why = "--data, or that of the run" if args.data else "[net] data=" if net.options.data else "named like the cfg"
    console.detail(f"data: {task.source} ({why}): {task.data_summary()}")
    return task


def task_options(args: Any, criteria: "DetectionCriteria | None" = None) -> "TaskOptions":
    """The options of a verb that concern the task of its network."""
    from runner.training import DetectionCriteria, TaskOptions
    return TaskOptions(args.cfg, args.data, args.seed, args.on_bad, lambda sentence: console.warn([sentence]),
                       criteria or DetectionCriteria())
