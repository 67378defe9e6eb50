"""What a cfg means, beyond how it is written: numbers that must agree with each other.

An error: training, testing or detecting would refuse the network later, or another network would be built without a
word.  A warning: darknet computes something defined, and it is rarely what was meant.  Every sentence names its line.
"""
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runner.config import Report, Section
from runner.errors import CfgError, ShapeError
from runner.layers import LAYERS, Activation, Connected, Convolutional, Logistic, Region, Shortcut, Softmax, Yolo
from runner.layers.shared.base import Env, FlatShape, Head, Layer, Shape, shape_text
from runner.layers.shared.heads import DetectionHead
from runner.net_options import NetOptions

IMAGE_CHANNELS = (1, 3)     # what an image file can be read with
LARGE = 1 << 13             # side of an input so large that rounding does not hide a stride, pixels
UNCHANGED = ("dropout", "empty", "shift_channels", "control_channels")  # their first input means the same behind them
IN_RANGE = ("avgpool", "local_avgpool", "maxpool", "dropout", "empty", "route", "upsample")     # of 0..1 they make 0..1
PROBABLE = ("logistic", "normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval")
YOLOR_SECTIONS = ("implicit_add", "implicit_mul", "shift_channels", "control_channels", "alternate_channels")


class Placed(NamedTuple):
    """A section and what was built of it: layer None where that failed."""
    section: Section
    layer: Layer | None
    links: tuple[int, ...]


# --- [net] on its own ---------------------------------------------------------------------------------------------


def check_net(options: NetOptions, section: Section, report: Report) -> None:
    """The [net] section by itself."""
    _check_input(options, section, report)
    _check_policy(options, section, report)
    _check_length(options, section, report)
    if options.adam and options.optimizer != "sgd":
        report.error(f"{section.where('optimizer')} adam=1 and optimizer={options.optimizer} are two update rules: "
                     "leave one of them out")
    if options.batch % options.subdivisions:
        images = max(options.batch // options.subdivisions, 1) * options.subdivisions
        what = "is less than" if options.batch < options.subdivisions else "is not a multiple of"
        report.warn(f"{section.where('subdivisions')} batch={options.batch} {what} "
                    f"subdivisions={options.subdivisions}: an update sees {images} images, as in darknet")


def _check_input(o: NetOptions, section: Section, report: Report) -> None:
    shape = o.in_shape()
    if not all(shape):
        report.error(f"{section.where()} needs width, height and channels (or inputs, where the input is not an image)")
    elif len(shape) == 3 and o.inputs != math.prod(shape):
        report.error(f"{section.where('inputs')} inputs={o.inputs}, and width x height x channels is "
                     f"{o.width} x {o.height} x {o.channels} = {math.prod(shape)}: leave inputs out for images, or the "
                     "other three for values")
    elif len(shape) == 3 and o.channels not in IMAGE_CHANNELS:
        report.warn(f"{section.where('channels')} channels={o.channels}: image files are read with 1 (grey) or 3 "
                    "(colour) channels, so this network takes arrays only")


def _check_policy(o: NetOptions, section: Section, report: Report) -> None:
    if o.policy == "steps" and not o.steps:
        report.error(f"{section.where('policy')} policy=steps needs steps= and scales=, a list of updates and one of "
                     "factors")
    elif o.policy == "steps" and len(o.steps) != len(o.scales):
        report.error(f"{section.where('scales')} scales must have as many numbers as steps: {len(o.steps)}. "
                     f"Got {len(o.scales)}")
    elif o.policy == "steps" and list(o.steps) != sorted(o.steps):
        report.warn(f"{section.where('steps')} steps={_listed(o.steps)} do not ascend: a step that follows a later one "
                    "is taken together with it")
    for option, policies in (("steps", ("steps",)), ("scales", ("steps",)), ("step", ("step", "sigmoid")),
                             ("scale", ("step",)), ("gamma", ("exp", "sigmoid")), ("sgdr_cycle", ("sgdr",))):
        if option in section.lines and o.policy not in policies:
            report.warn(f"{section.where(option)} {option} has no effect with policy={o.policy}: it belongs to policy="
                        f"{' and '.join(policies)}")


def _check_length(o: NetOptions, section: Section, report: Report) -> None:
    """What max_batches never reaches: it is the one line everybody changes."""
    end = o.max_batches
    if not end:
        return
    late = [step for step in o.steps if step >= end] if o.policy == "steps" else []
    if late:
        report.warn(f"{section.where('steps')} steps={_listed(late)} will not be reached: training ends at "
                    f"max_batches={end}, so the learning rate does not change there")
    if o.policy == "step" and o.step >= end:
        report.warn(f"{section.where('step')} step={o.step} will not be reached: training ends at max_batches={end}, "
                    "so the learning rate does not change")
    if o.policy == "sgdr" and o.sgdr_cycle > end:
        report.warn(f"{section.where('sgdr_cycle')} sgdr_cycle={o.sgdr_cycle} is not over when training ends at "
                    f"max_batches={end}")
    if o.burn_in >= end:
        rate = o.learning_rate * (end / o.burn_in) ** o.power
        report.warn(f"{section.where('burn_in')} burn_in={o.burn_in} is not over when training ends at "
                    f"max_batches={end}: the learning rate rises to {rate:.2g} and never to {o.learning_rate:g}")


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" if isinstance(number, float) else str(number) for number in numbers)


# --- the graph -----------------------------------------------------------------------------------------------


def check_network(net: NetOptions | None, sections: Sequence[Section], stack: Sequence[Placed], env: Env,
                  report: Report) -> None:
    """The sections together; sections[0] is [net], `net` its options unless they are wrong."""
    heads = [(place.section, options) for place in stack if (options := _head_options(place.section)) is not None]
    for section, options in heads:
        _check_anchors(section, options, report)
        _check_files(section, options, env, report)
    _check_classes(heads, report)
    _check_dialect(sections, heads, env, report)
    for index, place in enumerate(stack):
        if isinstance(place.layer, DetectionHead):
            _check_activation(index, stack, env, report)
    if report.errors or net is None:
        return      # what follows needs all layers
    _check_readers(stack, env, report)
    _check_sizes(net, sections[0], stack, env, report)
    if not heads:
        _check_crop(net, sections[0], report)


def _head_options(section: Section) -> Any:
    """The options of a detection head, also of one that could not be built; None for every other section."""
    kind = LAYERS.get(section.name)
    return kind.Options.parse(section, Report()) if kind and issubclass(kind, DetectionHead) else None


def _check_anchors(section: Section, o: Any, report: Report) -> None:
    """anchors=, num= and mask= of a head."""
    if not hasattr(o, "anchors"):
        return
    given, mask = len(o.anchors), getattr(o, "mask", ())
    if not given:
        report.warn(f"{section.where()} anchors are left out: all {o.num} are 0.5 x 0.5, as in darknet")
    elif given % 2:
        report.error(f"{section.where('anchors')} anchors must be pairs of width and height. Got {given} numbers")
    elif given != 2 * o.num:
        report.error(f"{section.where('anchors')} anchors must be {o.num} pairs of width and height, as num={o.num} "
                     f"says. Got {given // 2} (num={given // 2}?)")
    elif min(o.anchors) <= 0:
        report.error(f"{section.where('anchors')} the sides of an anchor must be greater than 0. Got "
                     f"{min(o.anchors):g}")
    twice = sorted({number for number in mask if mask.count(number) > 1})
    if twice:
        report.warn(f"{section.where('mask')} mask names anchor {_listed(twice)} more than once: of equal anchors only "
                    "the first learns")


def _check_files(section: Section, o: Any, env: Env, report: Report) -> None:
    """tree= and map= are read when boxes are wanted; that they are missing can be said now."""
    for option in ("tree", "map"):
        name = getattr(o, option, "")
        if name and not any((folder / name).is_file() for folder in (Path(env.folder), Path())):
            report.warn(f"{section.where(option)} {option}={name} is neither in the folder of the cfg nor in the "
                        "working directory: training and detecting will need it")


def _check_classes(heads: Sequence[tuple[Section, Any]], report: Report) -> None:
    """The boxes of all heads are of the same classes."""
    for section, options in heads[1:]:
        first, wanted = heads[0][0], heads[0][1].classes
        if options.classes != wanted:
            report.error(f"{section.where('classes')} classes={options.classes}, and classes={wanted} in "
                         f"{first.where('classes')}: the heads of a network must have the same classes")


def _check_dialect(sections: Sequence[Section], heads: Sequence[tuple[Section, Any]], env: Env,
                   report: Report) -> None:
    """Signs of the PyTorch forks, whose [yolo] decodes otherwise than darknet's, whatever its options say."""
    if env.compat.yolo_decoding == "yolor" or not any(hasattr(o, "new_coords") and not o.new_coords for _, o in heads):
        return
    for section in sections[1:]:
        silu = "activation" in section.lines and section.lines["activation"].value.lower() == "silu"
        if silu or section.name in YOLOR_SECTIONS:
            sign = f"{section.where('activation')} activation=silu is" if silu else \
                f"{section.where()} these sections are"
            report.warn(f"{sign} of the YOLOR forks, whose heads decode boxes by another formula: for weights trained "
                        "there, add --compat yolor")
            return


def _check_activation(index: int, stack: Sequence[Placed], env: Env, report: Report) -> None:
    """A head reads raw values; with new_coords=1, values that went through a logistic function."""
    section, head = stack[index].section, stack[index].layer
    maker = _maker(index, stack)
    activation = None if maker is None else _activation(stack[maker].layer)
    if maker is None or activation is None or head is None:
        return
    place = stack[maker].section
    name = f"layer {maker} [{place.name}]"
    if getattr(head.options, "new_coords", False) and env.compat.yolo_decoding != "yolor":
        if activation != "logistic":
            report.warn(f"{section.where('new_coords')} new_coords=1 wants activation=logistic in {name}; it is "
                        f"{activation} ({place.where('activation')})")
    elif activation != "linear":
        default = "" if "activation" in place.lines else ", the default,"
        report.warn(f"{place.where('activation')} activation={activation}{default} in {name}, and layer {index} "
                    f"[{section.name}] wants raw values: activation=linear")


def _maker(index: int, stack: Sequence[Placed]) -> int | None:
    """The layer that computes what layer `index` reads first, past those that only pass it on."""
    links = stack[index].links
    while links and links[0] >= 0:
        _, layer, further = stack[links[0]]
        if layer is None:
            return None
        if not (layer.names[0] in UNCHANGED or (layer.names[0] == "route" and len(further) == 1)):
            return links[0]
        links = further
    return None


def _activation(layer: Layer | None) -> str | None:
    """The activation a layer ends with; None where it has none to name."""
    if isinstance(layer, Logistic):
        return "logistic"
    return layer.options.activation if isinstance(layer, Convolutional | Connected | Activation) else None


def _check_readers(stack: Sequence[Placed], env: Env, report: Report) -> None:
    """A wrong index in layers= or from= leaves an output without a consumer, reads boxes as if they were features, or
    adds images of different sizes."""
    read = {link for place in stack for link in place.links}
    for index, (section, layer, links) in enumerate(stack):
        if index not in read and index < len(stack) - 1 and not isinstance(layer, Head):
            report.warn(f"{section.where()} no layer reads the output of layer {index}: it is computed for nothing")
        boxes = [link for link in links if link >= 0 and isinstance(stack[link].layer, DetectionHead)]
        if boxes:
            report.warn(f"{section.where('layers' if 'layers' in section.lines else 'from')} layer {index} reads layer "
                        f"{boxes[0]} [{stack[boxes[0]].section.name}], which holds boxes: is the index right?")
        if isinstance(layer, Shortcut) and len({shape[1:] for shape in layer.in_shapes}) > 1:
            strides = _strides(stack, env)      # those that differ are pjreddie's ResNets: a row and column of two
            if len({strides.get(link) for link in links}) == 1:
                sizes = " and ".join(map(_size, layer.in_shapes))
                report.warn(f"{section.where('from')} layer {index} adds images of {sizes}, where both have pixels: "
                            f"{_multiples(_deepest(stack, links, strides), env.in_shape)}")


def _check_crop(o: NetOptions, section: Section, report: Report) -> None:
    """The sizes a classifier's images are scaled to before they are cropped."""
    side = max(o.width, o.height)
    least, most = o.min_crop or side, o.max_crop or side
    if least > most and len(o.in_shape()) == 3:
        default = "" if "min_crop" in section.lines else ", the width of the network"
        report.warn(f"{section.where('max_crop')} max_crop={most} is below min_crop={least}{default}: images are "
                    f"scaled to {most} to {least} pixels, as in darknet")


# --- sizes ---------------------------------------------------------------------------------------------------


def flat_route(stack: Sequence[Placed], links: Sequence[int], reader: str, env: Env) -> str:
    """The sentence for a layer that reads as an image the values of a [route] whose inputs differ in size; it begins
    with the line of that [route]."""
    at = next(link for link in links if _is_flat(stack, link))
    while (before := next((link for link in stack[at].links if _is_flat(stack, link)), None)) is not None:
        at = before
    section, _, joined = stack[at]
    sizes = " and ".join(dict.fromkeys(_size(_shape(stack, link, env)) for link in joined))
    return (f"{section.where('layers')} layer {at} joins {sizes}, and {reader} needs an image"
            f"{fitting_size(stack, joined, env)}")


def fitting_size(stack: Sequence[Placed], links: Sequence[int], env: Env) -> str:
    """": width and height must be multiples of 32 (400 x 400 is not; 384 x 384 and 416 x 416 are)", where inputs of
    a layer differ in width or height; "" where they do not, or nothing can be said."""
    shapes = [_shape(stack, link, env) for link in links]
    if len({shape[1:] for shape in shapes}) < 2 or {len(shape) for shape in shapes} != {3}:
        return ""
    strides = _strides(stack, env)
    own = list(dict.fromkeys(strides.get(link) for link in links))
    if None in own:
        return ""
    if len(own) > 1:
        return f": their strides are {' and '.join(map(_stride_text, own))}, so they meet at no size of the input"
    multiples = _multiples(_deepest(stack, links, strides), env.in_shape)
    return f": {multiples}" if multiples else ""


def _multiples(step: tuple[int, int], in_shape: Shape) -> str:
    """What width and height must be multiples of, and the nearest that are; "" where they are."""
    (step_y, step_x), (_, height, width) = step, in_shape
    if not height % step_y and not width % step_x:
        return ""
    smaller = width // step_x * step_x, height // step_y * step_y
    larger = -(-width // step_x) * step_x, -(-height // step_y) * step_y
    fits = [f"{w} x {h}" for w, h in dict.fromkeys([smaller, larger]) if w and h]
    return (f"width and height must be multiples of {_stride_text(step)} ({width} x {height} is not; "
            f"{' and '.join(fits)} {'are' if len(fits) > 1 else 'is'})")


def _shape(stack: Sequence[Placed], link: int, env: Env) -> Shape:
    layer = stack[link].layer if link >= 0 else None
    return layer.out_shape if layer else env.in_shape


def _is_flat(stack: Sequence[Placed], link: int) -> bool:
    layer = stack[link].layer if link >= 0 else None
    return layer is not None and isinstance(layer.out_shape, FlatShape)


def _size(shape: Shape) -> str:
    return f"{shape[2]} x {shape[1]}" if len(shape) == 3 else shape_text(shape)


def _stride_text(stride: tuple[int, int] | None) -> str:
    """(down, across) as a word: 32, or 32 x 64, width first."""
    step_y, step_x = stride or (1, 1)
    return str(step_x) if step_x == step_y else f"{step_x} x {step_y}"


def _deepest(stack: Sequence[Placed], links: Sequence[int], strides: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """The largest stride, down and across, of all layers that some outputs are computed from."""
    found: set[int] = set()
    waiting = list(links)
    while waiting:
        link = waiting.pop()
        if link >= 0 and link not in found:
            found.add(link)
            waiting += stack[link].links
    pairs = [strides[link] for link in found if link in strides] or [(1, 1)]
    return max(down for down, _ in pairs), max(across for _, across in pairs)


def _strides(stack: Sequence[Placed], env: Env) -> dict[int, tuple[int, int]]:
    """Layer -> pixels of the input from one of its pixels to the next, down and across; only of layers whose size
    follows the input's.  Computed with an input so large that rounding does not matter."""
    env = dataclasses.replace(env, in_shape=(env.in_shape[0], LARGE, LARGE), allocate=False)
    shapes: dict[int, Shape] = {-1: env.in_shape}
    found = {-1: (1, 1)}
    for index, (_, layer, links) in enumerate(stack):
        if layer is None or not all(link in shapes for link in links):
            continue
        try:
            shapes[index] = type(layer).build(layer.options, [shapes[link] for link in links], env).out_shape
        except ShapeError:
            continue
        shape = shapes[index]
        if len(shape) == 3 and min(shape[1:]) > 1:
            found[index] = round(LARGE / shape[1]), round(LARGE / shape[2])
    return found


def _check_sizes(net: NetOptions, section: Section, stack: Sequence[Placed], env: Env, report: Report) -> None:
    """Does the input's size suit the grids of the heads, and do the sizes that random= will try suit the routes?"""
    grids = [(index, place.layer) for index, place in enumerate(stack) if isinstance(place.layer, Yolo | Region)]
    if len(env.in_shape) != 3 or not grids:
        return
    _, height, width = env.in_shape
    last, head = grids[-1]
    uneven = any(height % layer.grid[0] or width % layer.grid[1] for _, layer in grids)
    strides = _strides(stack, env) if uneven or head.options.random else {}
    steps = [(strides[index], index) for index, layer in grids if index in strides]
    steps = [(stride, index) for stride, index in steps if height % stride[0] or width % stride[1]]
    if steps:
        stride, index = max(steps)
        option = "width" if width % stride[1] else "height"
        report.warn(f"{section.where(option)} {width} x {height} is not a multiple of {_stride_text(stride)}, the "
                    f"stride of layer {index} [{stack[index].section.name}]: the outermost cells are partly beyond the "
                    "image")
    if head.options.random:
        for index, (_, layer, links) in enumerate(stack):
            multiple = max(_deepest(stack, links, strides)) if len(links) > 1 and layer else 1
            if index in strides and multiple > max(strides[index]) and net.resize_step % multiple:
                report.warn(f"{stack[last].section.where('random')} random={head.options.random:g} changes the size of "
                            f"the input in steps of resize_step={net.resize_step} pixels, and layer {index} "
                            f"[{stack[index].section.name}] needs multiples of {multiple}: training will refuse that. "
                            f"Set resize_step={multiple} in [net]")
                return


# --- for those who run a network -------------------------------------------------------------------------------


def untrainable(layers: Sequence[Layer]) -> str:
    """Why a network cannot be trained; "" if it can."""
    if any(isinstance(layer, Head) for layer in layers):
        return ""
    return ("nothing in this network is compared with labels, so it cannot be trained: [softmax], [logistic], [cost] "
            "or a detection head does that")


def check_images(sections: Sequence[Section], in_shape: Shape) -> None:
    """CfgError where image files cannot be read for a network."""
    if len(in_shape) == 3 and in_shape[0] not in IMAGE_CHANNELS:
        where = sections[0].where("channels") if sections else "[net]"
        raise CfgError(f"{where} image files are read with 1 (grey) or 3 (colour) channels. Got channels={in_shape[0]}")


def gives_probabilities(layers: Sequence[Layer], links: Sequence[tuple[int, ...]], index: int) -> bool:
    """Whether the outputs of a layer are always between 0 and 1."""
    layer = layers[index]
    if isinstance(layer, Softmax) or _activation(layer) in PROBABLE:
        return True
    return layer.names[0] in IN_RANGE and all(link >= 0 and gives_probabilities(layers, links, link)
                                              for link in links[index])
