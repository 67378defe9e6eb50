"""What several verbs share: their options, and loading a network with its warnings said aloud."""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import console

if TYPE_CHECKING:
    from PIL import Image

    from runner.network import Network
    from runner.training import DetectionCriteria, RunFolder, TaskOptions


def positive(text: str) -> int:
    """An argument that counts something: 1, 2, 3 ..."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """An argument that may be 0: 0, 1, 2 ..."""
    return _at_least(0, text)


def _at_least(low: int, text: str) -> int:
    if not text.isdecimal() or int(text) < low:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least {low}. Got {text!r}")
    return int(text)


UNITS = {"h": 3600, "m": 60, "s": 1}


def minutes(text: str) -> float:
    """A time as an argument, in seconds: 90 (minutes), 1h30m, 45s."""
    if text.isdecimal() and int(text):
        return 60.0 * int(text)
    return period(text)


def period(text: str) -> float:
    """A time with its units, in seconds: 1h30m, 10m, 45s."""
    import re
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    seconds = sum(int(part) * unit for part, unit in zip(found.groups(), UNITS.values(), strict=True) if part) \
        if found else 0
    if not seconds:
        raise argparse.ArgumentTypeError(f"must be a time such as 1h30m, 10m or 45s. Got {text!r}")
    return float(seconds)


def share(text: str) -> float:
    """An argument from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1. Got {text!r}")
    return value


def letterbox_options(parser: argparse._ActionsContainer) -> None:
    """--letterbox, --stretch."""
    fit = parser.add_mutually_exclusive_group()
    fit.add_argument("--letterbox", action="store_true", default=None, help="keep the aspect ratio of the images")
    fit.add_argument("--stretch", action="store_false", dest="letterbox", help="stretch them to the network's input "
                                                                              "(default: as letter_box= in [net] says)")


def network_options(parser: argparse.ArgumentParser) -> None:
    """--set, --compat, --strict, --seed, --threads, --kernels."""
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="change the cfg for this run: net.batch=32, or a layer by its index, 5.probability=0.3")
    parser.add_argument("--compat", choices=("alexeyab", "pjreddie"),
                        help="compute with that fork's formulas (default: exact; see docs/compat.md)")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is an error")
    parser.add_argument("--seed", type=natural, default=0, help="of every random number (default 0)")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="cores to use (default: all; results do not depend on it)")
    parser.add_argument("--kernels", choices=("auto", "numpy", "fast"), default="auto",
                        help="what computes: plain NumPy, or compiled with numba (default auto: fast where numba is "
                             "installed; see docs/speed.md)")


def data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="PATH", help="a folder with a folder per class, MNIST or CIFAR files, a "
                                                      ".npz, .data or .yaml file (default: [net] data=, then data/<cfg "
                                                      "name>; see docs/data.md)")
    parser.add_argument("--split-share", action=Setting, key="net.split_share", metavar="SHARE",
                        help="where there are no test images: keep this share of the others to test with, 0.1 for a "
                             "tenth. Short for --set net.split_share=")
    parser.add_argument("--on-bad", choices=("skip", "error"), default="skip",
                        help="an image that cannot be read is named and skipped, or ends the run (default skip)")


class Setting(argparse.Action):
    """An option that is short for `--set key=value`."""

    def __init__(self, *words: Any, key: str, **rest: Any):
        self.key = key
        super().__init__(*words, **rest)

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        namespace.settings = [*(getattr(namespace, "settings", None) or []), f"{self.key}={values}"]


def weights_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="FILE",
                        help="default: what training left, weights/<cfg name>/best.weights or last.weights")


def json_option(parser: Any) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the results for a program to read; - is stdout")


def picture_file(path: str) -> None:
    """UsageError unless the ending of `path` names a format images can be written in."""
    from pathlib import Path

    from runner.errors import UsageError
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"):
        raise UsageError(f"--save needs a name that ends in .png, .jpg, .webp, .bmp, .gif or .tif. Got {path!r}")


def save_picture(picture: "Image.Image", path: str) -> None:
    """Write a picture in the format its ending names."""
    import errno
    import os
    from pathlib import Path

    from PIL import Image

    from runner.files import atomic_write
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    with atomic_write(path) as file:
        picture.save(file, kind)


def load_network(args: Any, weights: Any = None, allocate: bool = True) -> "Network":
    """The network of args.cfg; its warnings go to stderr.  allocate False: shapes alone, without weights."""
    import runner
    from runner.config import Report
    from runner.ops import parallel
    if args.threads:
        parallel.set_threads(args.threads)
    choose_kernels(args.kernels)
    report = Report(args.strict)
    try:
        return runner.load(args.cfg, weights, seed=args.seed, settings=args.settings, compat=args.compat,
                           allocate=allocate, report=report)
    finally:
        console.warn(report.warnings)


def choose_kernels(choice: str) -> None:
    """Put the kernels of --kernels in place; a first run says what it waits for."""
    from runner import ops
    ops.use(choice)
    if ops.backend() == "fast":
        import runner.ops.fast.jit as compiling
        compiling.tell = lambda: console.remark("compiling kernels, once: it takes a few seconds each where a kernel "
                                                "is first needed")


def load_trained(args: Any) -> tuple["Network", "RunFolder"]:
    """The network with the weights asked for, or those training left."""
    from runner.errors import WeightsError
    from runner.training import RunFolder
    folder = RunFolder(args.cfg, getattr(args, "name", None))
    path = folder.weights(args.weights)
    how = folder.facts().get("compat", "exact")
    if folder.holds(path) and how != (args.compat or "exact"):
        wanted = "without --compat" if how == "exact" else f"with --compat {how}"
        console.warn([f"{path} was trained {wanted}: its numbers are meant for that"])
    if folder.holds(path) and not any(setting.startswith("net.split_share") for setting in args.settings):
        # what was kept from training is what may be measured
        args.settings = [*args.settings, *(setting for setting in folder.facts().get("settings") or []
                                           if setting.startswith("net.split_share"))]
    try:
        return load_network(args, path), folder
    except WeightsError as error:
        settings = folder.facts().get("settings") or []
        if not folder.holds(path) or settings == args.settings:
            raise
        options = " ".join(f"--set {setting}" for setting in settings) or "no --set"
        raise WeightsError(f"{error}. They were trained with {options}: say the same here") from None


def asked(args: Any, boxes: "DetectionCriteria | None" = None) -> "TaskOptions":
    """The data options of a verb, for the task of its network."""
    from runner.training import DetectionCriteria, TaskOptions
    return TaskOptions(args.cfg, args.data, args.seed, args.on_bad, lambda sentence: console.warn([sentence]),
                 boxes or DetectionCriteria())
