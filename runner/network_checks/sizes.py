"""Feature maps that must have the same size, and the input sizes for which they do."""
import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from runner.config import Report, Section
from runner.errors import ShapeError
from runner.layers import Region, Yolo
from runner.layers.shared.base import Env, FlatShape, Layer, Shape, shape_text
from runner.net_options import NetOptions

LARGE = 1 << 13             # side of an input so large that rounding does not hide a stride, pixels


Stride = tuple[Fraction, Fraction]      # input pixels per pixel of an output, vertically and horizontally


class Placed(NamedTuple):
    """A section, the layer built from it (None if that failed), and the outputs it reads."""
    section: Section
    layer: Layer | None
    links: tuple[int, ...]


def flat_route(stack: Sequence[Placed], links: Sequence[int], reader: str, env: Env) -> str:
    """The error for a layer that needs an image and reads a [route] whose inputs differ in size, with the line of that
    [route]."""
    at = next(link for link in links if _is_flat(stack, link))
    while (before := next((link for link in stack[at].links if _is_flat(stack, link)), None)) is not None:
        at = before
    section, _, joined = stack[at]
    sizes = " and ".join(dict.fromkeys(size_text(_shape(stack, link, env)) for link in joined))
    return (f"{section.where('layers')} layer {at} joins {sizes}, and {reader} needs an image"
            f"{fitting_size(stack, joined, env)}")


def fitting_size(stack: Sequence[Placed], links: Sequence[int], env: Env) -> str:
    """": width and height must be multiples of 32 (400 x 400 is not; 384 x 384 and 416 x 416 are)" if the inputs of a
    layer differ in width or height; "" if they do not, or if the reason is unknown."""
    shapes = [_shape(stack, link, env) for link in links]
    if len(env.in_shape) != 3 or len({shape[1:] for shape in shapes}) < 2 or {len(shape) for shape in shapes} != {3}:
        return ""
    strides = strides_of(stack, env)
    own = list(dict.fromkeys(strides.get(link) for link in links))
    if None in own:
        return ": one of them has the same size at every size of the input"
    if len(own) > 1:
        return f": their strides are {' and '.join(map(_stride_text, own))}, so they meet at no size of the input"
    text = multiples(deepest_stride(stack, links, strides), env.in_shape)
    return f": {text}" if text else (f": both have stride {_stride_text(own[0])}, and layers without pad=1 made one of "
                                     "them smaller, at every size of the input")


def dividing_size(stack: Sequence[Placed], links: Sequence[int], step: int, env: Env) -> str:
    """As `fitting_size`, for a layer that divides width and height of its input by `step`."""
    stride = strides_of(stack, env).get(links[0]) if len(env.in_shape) == 3 else None
    if stride is None:
        return ""
    deepest = deepest_stride(stack, links, strides_of(stack, env))
    text = multiples((max(stride[0] * step, deepest[0]), max(stride[1] * step, deepest[1])), env.in_shape)
    return f": {text}" if text else ""


def multiples(step: Stride, in_shape: Shape) -> str:
    """The multiples that width and height must be, with the nearest ones; "" if they are."""
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


def size_text(shape: Shape) -> str:
    return f"{shape[2]} x {shape[1]}" if len(shape) == 3 else shape_text(shape)


def _stride_text(stride: Stride | None) -> str:
    """(vertical, horizontal) as text: 32, or 32 x 64, horizontal first; 1/2 of an enlarged image."""
    step_y, step_x = stride or (1, 1)
    return str(step_x) if step_x == step_y else f"{step_x} x {step_y}"


def deepest_stride(stack: Sequence[Placed], links: Sequence[int],
                   strides: dict[int, Stride]) -> Stride:
    """The largest stride, vertical and horizontal, among all ancestors of some outputs."""
    found: set[int] = set()
    waiting = list(links)
    while waiting:
        link = waiting.pop()
        if link >= 0 and link not in found:
            found.add(link)
            waiting += stack[link].links
    pairs = [(Fraction(1), Fraction(1)), *(strides[link] for link in found if link in strides)]
    return max(down for down, _ in pairs), max(across for _, across in pairs)


def strides_of(stack: Sequence[Placed], env: Env) -> dict[int, Stride]:
    """Layer -> its stride relative to the input, vertical and horizontal; only for layers whose size depends on the
    input's.  Computed with an input so large that rounding does not matter."""
    env = dataclasses.replace(env, in_shape=(env.in_shape[0], LARGE, LARGE), allocate=False)
    shapes: dict[int, Shape] = {-1: env.in_shape}
    found = {-1: (Fraction(1), Fraction(1))}
    for index, (_, layer, links) in enumerate(stack):
        if layer is None or not all(link in shapes for link in links):
            continue
        try:
            shapes[index] = type(layer).build(layer.options, [shapes[link] for link in links], env).out_shape
        except ShapeError:
            continue
        shape = shapes[index]
        if len(shape) == 3 and min(shape[1:]) > 1 and shape[1:] != layer.out_shape[1:]:     # [crop] has a fixed size
            found[index] = _stride(shape[1]), _stride(shape[2])
    return found


def _fixed_weights(stack: Sequence[Placed], env: Env) -> int | None:
    """The first layer whose weights have other shapes for an input of twice the size; None if there is none."""
    channels, height, width = env.in_shape
    env = dataclasses.replace(env, in_shape=(channels, 2 * height, 2 * width), allocate=False)
    shapes: dict[int, Shape] = {-1: env.in_shape}
    for index, (_, layer, links) in enumerate(stack):
        if layer is None:
            return None
        try:
            larger = type(layer).build(layer.options, [shapes[link] for link in links], env)
        except ShapeError:
            return None
        if {name: spec.shape for name, spec in larger.specs.items()} != \
                {name: spec.shape for name, spec in layer.specs.items()}:
            return index
        shapes[index] = larger.out_shape
    return None


def _stride(side: int) -> Fraction:
    """Input pixels per pixel of an output with this side, for an input of LARGE pixels."""
    return Fraction(round(LARGE / side)) if side <= LARGE else Fraction(1, max(round(side / LARGE), 1))


def check_sizes(net: NetOptions, section: Section, stack: Sequence[Placed], env: Env, report: Report) -> None:
    """Check the input size against the strides of the heads, and the sizes of random= against the routes."""
    grids = [(index, place.layer) for index, place in enumerate(stack) if isinstance(place.layer, Yolo | Region)]
    if len(env.in_shape) != 3 or not grids:
        return
    _, height, width = env.in_shape
    last, head = grids[-1]
    uneven = any(height % layer.grid[0] or width % layer.grid[1] for _, layer in grids)
    strides = strides_of(stack, env) if uneven or head.options.random else {}
    steps = [(strides[index], index) for index, layer in grids if index in strides]
    steps = [(stride, index) for stride, index in steps if height % stride[0] or width % stride[1]]
    if steps:
        stride, index = max(steps)
        option = "width" if width % stride[1] else "height"
        report.warn(f"{section.where(option)} {width} x {height} is not a multiple of {_stride_text(stride)}, the "
                    f"stride of layer {index} [{stack[index].section.name}]: the outermost cells are partly beyond the "
                    "image")
    if head.options.random:
        where = stack[last].section.where("random")
        fixed = _fixed_weights(stack, env)
        if fixed is not None:
            report.warn(f"{where} random={head.options.random:g} changes the size of the input, and the weights of "
                        f"layer {fixed} [{stack[fixed].section.name}] depend on it: training will refuse that. Set "
                        "random=0")
            return
        for index, (_, layer, links) in enumerate(stack):
            multiple = max(deepest_stride(stack, links, strides)) if len(links) > 1 and layer else 1
            if index in strides and multiple > max(strides[index]) and net.resize_step % multiple:
                report.warn(f"{where} random={head.options.random:g} changes the size of the input in "
                            f"steps of resize_step={net.resize_step} pixels, and layer {index} "
                            f"[{stack[index].section.name}] needs multiples of {multiple}: training will refuse that. "
                            f"Set resize_step={multiple} in [net]")
                return
