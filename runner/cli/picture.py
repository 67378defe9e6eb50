"""Draw what one layer does to a photo: input, output, and how a random gradient comes back through it.

The layer stands alone, with fresh weights, in training mode.  The sheet shows whole pictures above and an enlarged
part of channel 0 below; of [dropout] it shows the mask too.

  python run.py picture dropout --set probability=.1 docs/images/photo.jpg --save dropout.png
  python run.py picture maxpool --set size=4 --set stride=4 docs/images/photo.jpg --save maxpool.png
"""
import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    import numpy as np

    from runner.layers import Layer


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layer", metavar="LAYER", help="a section's name; `explain` lists them")
    parser.add_argument("photo", metavar="PHOTO", help="any image")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", dest="settings",
                        help="an option of the layer, as in its section; may be repeated")
    parser.add_argument("--save", metavar="FILE", required=True,
                        help="where the sheet goes; its ending names the format")
    parser.add_argument("--size", type=common.positive, default=256, metavar="PIXELS",
                        help="the photo is shrunk to this width (default 256)")
    parser.add_argument("--grey", action="store_true", help="one channel instead of three")
    parser.add_argument("--seed", type=common.natural, default=0, help="of mask, weights and gradient (default 0)")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.images import read_image, resize
    from runner.images.array_sheet import Panel, array_sheet
    common.picture_file(args.save)
    photo = read_image(args.photo, 1 if args.grey else 3)
    if photo.shape[2] > args.size:
        photo = resize(photo, args.size, max(1, photo.shape[1] * args.size // photo.shape[2]))
    rng = np.random.default_rng(args.seed)
    layer, sources = alone(args.layer, args.settings, photo.shape, rng)
    x = photo[None]
    y, saved = layer.forward(*(x.copy() for _ in range(sources)), train=True)
    dy = patches(y.shape, rng)
    dx = layer.backward(dy.copy(), saved)[0]
    panels = [Panel("input", x[0]), Panel("output", _image(y))]
    if layer.names[0] == "dropout":
        panels.append(Panel("mask", _image(np.ones_like(y) if saved is None else saved)))
    panels += [Panel("gradient that comes in: random", _image(dy)),
               Panel("gradient that goes out", _image(np.zeros_like(x) if dx is None else dx.reshape(x.shape)))]
    heading = " ".join((f"[{layer.names[0]}]", *args.settings))
    page = array_sheet(heading, panels, args.size)
    common.save_picture(page, args.save)
    console.say(f"{args.save}: {', '.join(panel.title for panel in panels)}, {page.width} x {page.height} pixels")
    return 0


def alone(name: str, settings: Sequence[str], shape: tuple[int, ...], rng: Any) -> tuple["Layer", int]:
    """The layer of a section called `name` on an image (c, h, w), and how many inputs it reads.

    A layer that reads several outputs gets the photo for each.  CfgError tells every mistake in the settings.
    """
    from runner.config import Line, Report, Section
    from runner.errors import CfgError, ShapeError
    from runner.layers import Env, find
    report = Report()
    lines = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (key and equals and value):
            report.error(f"--set {setting}: expected OPTION=VALUE, for instance probability=.1")
            continue
        lines[key] = Line(f"--set {setting}", value)
    section = Section("picture", 0, name.strip("[]"), 0, lines)
    kind = find(section, report)
    options = kind.Options.parse(section, report) if kind else None
    console.warn(_plain(sentence) for sentence in report.warnings)
    if kind is None or options is None or report.errors:
        raise CfgError(*map(_plain, report.errors))
    sources = len(kind.sources(options))
    try:
        return kind.build(options, [shape] * sources, Env(rng=rng, in_shape=shape)), sources
    except ShapeError as error:
        raise ShapeError(f"[{section.name}] {error}") from None


def _plain(sentence: str) -> str:
    """There is no file to point to: `picture:0:` says nothing."""
    return sentence.removeprefix("picture:0: ")


def patches(shape: tuple[int, ...], rng: Any) -> "np.ndarray":
    """A random gradient, 0.2 to 1, in soft patches rather than noise: holes in it can be seen."""
    import numpy as np

    from runner.images import resize
    if len(shape) != 4:
        return rng.uniform(.2, 1, shape).astype(np.float32)
    n, c, h, w = shape
    coarse = rng.uniform(.2, 1, (n, c, max(2, h // 24), max(2, w // 24))).astype(np.float32)
    return np.ascontiguousarray(resize(coarse, w, h))


def _image(values: "np.ndarray") -> "np.ndarray":
    """Without the batch: (c, h, w), or (k,) where it is no image."""
    return values[0] if values.ndim == 4 else values[0].ravel()
