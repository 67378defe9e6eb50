"""Draw the effect of one layer on a photo: its input and output, and a random gradient before and after its backward
pass.

The layer has random weights and is in training mode.  The sheet shows the whole arrays above and an enlarged crop of
channel 0 below; for [dropout] also the mask.

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
    parser.add_argument("layer", metavar="LAYER", help="name of a section, as listed by `explain`")
    parser.add_argument("photo", metavar="PHOTO", help="an image file")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", dest="settings",
                        help="an option of the layer, as in its section; may be repeated")
    parser.add_argument("--save", metavar="FILE", required=True, action=common.Output, content="image",
                        help="output file; its extension selects the format")
    parser.add_argument("--size", type=common.positive, default=256, metavar="PIXELS",
                        help="maximum width of the photo; wider ones are reduced (default 256)")
    parser.add_argument("--grey", action="store_true", help="use one channel instead of three")
    parser.add_argument("--seed", type=common.natural, default=0, help="of mask, weights and gradient (default 0)")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.images import read_image, resize
    from runner.images.array_sheet import Panel, array_sheet
    from runner.machine import require_memory
    from runner.shipped import find
    common.require_image_name(args.save)
    photo = read_image(find(args.photo), 1 if args.grey else 3)
    if photo.shape[2] > args.size:
        photo = resize(photo, args.size, max(1, photo.shape[1] * args.size // photo.shape[2]))
    rng = np.random.default_rng(args.seed)
    layer, sources = build_layer(args.layer, args.settings, photo.shape, rng)
    x = photo[None]
    require_memory(6 * layer.bytes_of(layer.out_shape), f"[{layer.names[0]}] on an image of this size")
    y, saved = layer.forward(*(x.copy() for _ in range(sources)), train=True)
    dy = patches(y.shape, rng)
    dx = layer.backward(dy.copy(), saved)[0]
    panels = [Panel("input", x[0]), Panel("output", _image(y))]
    if layer.names[0] == "dropout":
        panels.append(Panel("mask", _image(np.ones_like(y) if saved is None else saved)))
    panels += [Panel("gradient of the output: random", _image(dy)),
               Panel("gradient of the input", _image(np.zeros_like(x) if dx is None else dx.reshape(x.shape)))]
    heading = " ".join((f"[{layer.names[0]}]", *args.settings))
    page = array_sheet(heading, panels, args.size)
    common.save_image(page, args.save)
    console.say(f"{args.save}: {', '.join(panel.title for panel in panels)}, {page.width} x {page.height} pixels")
    return 0


def build_layer(name: str, settings: Sequence[str], shape: tuple[int, ...], rng: Any) -> tuple["Layer", int]:
    """-> the layer of section `name` for an image (c, h, w), and its number of inputs, each of this shape.

    CfgError lists every error in the settings.
    """
    from runner.config import Line, Report, Section
    from runner.errors import CfgError, OutOfMemory, ShapeError
    from runner.layers import Env, find
    from runner.machine import available_memory
    report = Report()
    lines = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (key and equals and value):
            report.error(f"--set {setting}: expected OPTION=VALUE, for instance probability=.1")
            continue
        lines[key] = Line(f"--set {setting}", value)
    section = Section("picture", 0, name.strip("[]"), 0, lines)
    layer_class = find(section, report)
    options = layer_class.Options.parse(section, report) if layer_class else None
    console.warn(_plain(sentence) for sentence in report.warnings)
    if layer_class is None or options is None or report.errors:
        raise CfgError(*map(_plain, report.errors))
    sources = len(layer_class.sources(options))
    try:
        env = Env(rng=rng, in_shape=shape, free=available_memory())
        return layer_class.build(options, [shape] * sources, env), sources
    except (ShapeError, OutOfMemory) as error:
        raise type(error)(f"[{section.name}] {error}") from None


def _plain(sentence: str) -> str:
    """Without the position `picture:0:`, which belongs to no file."""
    return sentence.removeprefix("picture:0: ")


def patches(shape: tuple[int, ...], rng: Any) -> "np.ndarray":
    """A smooth random gradient, 0.2 to 1, in which zeros stand out as they would not in noise."""
    import numpy as np

    from runner.images import resize
    if len(shape) != 4:
        return rng.uniform(.2, 1, shape).astype(np.float32)
    n, c, h, w = shape
    coarse = rng.uniform(.2, 1, (n, c, max(2, h // 24), max(2, w // 24))).astype(np.float32)
    return np.ascontiguousarray(resize(coarse, w, h))


def _image(values: "np.ndarray") -> "np.ndarray":
    """The first of a batch: (c, h, w), or (k,) if it is not an image."""
    return values[0] if values.ndim == 4 else values[0].ravel()
