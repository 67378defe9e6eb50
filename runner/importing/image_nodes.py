"""Operators without weights as sections: activations, pooling, resizing, reshapes, channels and pixels."""
import math
from dataclasses import replace

import numpy as np

from runner import ops
from runner.importing.dense_nodes import explicit_pads, sides_text, stride_options, strides
from runner.importing.drafts import NoSection, Options, Value, text_of
from runner.importing.graph import Node
from runner.importing.node_readers import Reading, axis_of, reads, square

# --- activations ------------------------------------------------------------------------------------------


@reads("Activation")
def activation(r: Reading, node: Node) -> Value:
    """What runner/importing/activations.py has found."""
    return r.drafts.activate(r.value(node), node.attributes["function"])


@reads("LeakyRelu")
def leaky_relu(r: Reading, node: Node) -> Value:
    raise NoSection(f"its slope below zero is {node.attributes.get('alpha', .01):g}; the activation leaky has 0.1, "
                    "relie 0.01")


@reads("PRelu")
def prelu(r: Reading, node: Node) -> Value:
    slopes = r.constant(node, 1, "slopes")
    for slope, name in ((0.1, "leaky"), (0.01, "relie")):
        if np.allclose(slopes, slope, rtol=1e-5):
            return r.drafts.activate(r.value(node), name)
    raise NoSection("its slopes are learned; the activation leaky has 0.1, relie 0.01")


@reads("Gelu")
def gelu(r: Reading, node: Node) -> Value:
    if node.attributes.get("approximate") != b"tanh":
        raise NoSection("it is computed with erf; the activation gelu is the form with tanh")
    return r.drafts.activate(r.value(node), "gelu")


@reads("Swish")
def swish(r: Reading, node: Node) -> Value:
    if node.attributes.get("alpha", 1) != 1:
        raise NoSection(f"its alpha is {node.attributes['alpha']:g}; the activation swish has 1")
    return r.drafts.activate(r.value(node), "swish")


@reads("Clip")
def clip(r: Reading, node: Node) -> Value:
    low, high = (float(r.constant(node, index, "bounds").reshape(-1)[0]) if r.given(node, index) else other
                 for index, other in ((1, -math.inf), (2, math.inf)))
    if low == 0 and high > 3e38:
        return r.drafts.activate(r.value(node), "relu")
    raise NoSection(f"it clips to {low:g}..{high:g}; the activation relu6 clips to 0..6, hardtan to -1..1")


@reads("Softmax")
def softmax(r: Reading, node: Node) -> Value:
    x = r.value(node).whole()
    axis = axis_of(node, x, int(node.attributes.get("axis", -1 if r.graph.opset >= 13 else 1)))
    flat = math.prod(x.shape) == x.shape[0] or (r.graph.opset < 13 and axis == 1)
    if axis != 1 or not (flat or x.shape == x.draft.shape):
        raise NoSection(f"[softmax] is over the channels; this is over axis {axis} of {text_of(x.shape)}")
    return r.drafts.same("softmax", {} if flat else {"spatial": 1}, x)


@reads("Dropout")
def dropout(r: Reading, node: Node) -> Value:
    share = float(r.constant(node, 1, "share").reshape(-1)[0]) if r.given(node, 1) else 0.5
    return r.drafts.same("dropout", {"probability": f"{share:.6g}"}, r.value(node))


# --- pooling ----------------------------------------------------------------------------------------------


def _pooled(r: Reading, node: Node, section: str) -> Value:
    x = r.value(node)
    (_, h, w), stride = x.as_image(), strides(node)
    size = square(node.attributes["kernel_shape"], "windows")
    if set(node.attributes.get("dilations") or (1,)) != {1}:
        raise NoSection("its windows have a dilation")
    pads, outs = explicit_pads(node, (h, w), (size, size), stride)
    if section == "local_avgpool" and node.attributes.get("count_include_pad") and any(pads):
        raise NoSection("it counts the zeros around the image; [local_avgpool] counts pixels only")
    if section == "local_avgpool" and outs == (1, 1) and (h, w) == (size, size) and not any(pads):
        return r.drafts.add("avgpool", {}, x)
    for padding in (2 * pads[0], 2 * pads[0] + 1):
        ours = tuple(ops.count_windows(side + padding, size, step) for side, step in zip((h, w), stride, strict=True))
        if pads[0] == pads[1] and ours == outs:
            options: Options = {"size": size, **stride_options(stride)}
            return r.drafts.add(section, options | ({} if padding == size - 1 else {"padding": padding}), x)
    raise NoSection(f"[{section}] adds half of its padding before the image and half behind it. The node adds "
                    f"{sides_text(pads)}, and gives {outs[1]} x {outs[0]} pixels of {w} x {h}")


@reads("MaxPool")
def max_pool(r: Reading, node: Node) -> Value:
    if len([name for name in node.outputs if name]) > 1:
        raise NoSection("its second output, the positions of the largest values, has no section")
    return _pooled(r, node, "maxpool")


@reads("AveragePool")
def average_pool(r: Reading, node: Node) -> Value:
    return _pooled(r, node, "local_avgpool")


@reads("GlobalAveragePool")
def global_average_pool(r: Reading, node: Node) -> Value:
    x = r.value(node)
    x.as_image()
    return r.drafts.add("avgpool", {}, x)


@reads("GlobalMaxPool")
def global_max_pool(r: Reading, node: Node) -> Value:
    x = r.value(node)
    side = square(x.as_image()[1:], "the image of [maxpool] over all of it")
    return r.drafts.add("maxpool", {"size": side, "stride": side, "padding": 0}, x)


@reads("ReduceMean")
def reduce_mean(r: Reading, node: Node) -> Value:
    x = r.value(node)
    axes = {axis_of(node, x, axis) for axis in r.integers(node, 1, "axes")} if r.given(node, 1) else set()
    if axes != {2, 3} or len(x.shape) != 3:
        raise NoSection("[avgpool] is the mean over height and width; this is over other axes")
    x.as_image()
    y = r.drafts.add("avgpool", {}, x)
    return y if node.attributes.get("keepdims", 1) else Value(y.draft, y.shape[:1])


# --- shapes ------------------------------------------------------------------------------------------------


@reads("Identity", "Cast", "CastLike")
def unchanged(r: Reading, node: Node) -> Value:
    return r.value(node)


def _seen_as(value: Value, shape: tuple[int, ...]) -> Value:
    return Value(value.draft, shape, shared=value.shared)


@reads("Flatten")
def flatten(r: Reading, node: Node) -> Value:
    x = r.value(node).whole()
    if axis_of(node, x, int(node.attributes.get("axis", 1))) != 1:
        raise NoSection("it joins the images of a batch")
    return _seen_as(x, (math.prod(x.shape),))


@reads("Reshape")
def reshape(r: Reading, node: Node) -> Value:
    x = r.value(node).whole()
    have, shape = [r.batch, *x.shape], r.integers(node, 1, "shape")
    if not node.attributes.get("allowzero"):
        shape = [have[axis] if side == 0 and axis < len(have) else side for axis, side in enumerate(shape)]
    if shape.count(-1) == 1:
        rest = math.prod(side for side in shape if side != -1)
        shape = [math.prod(have) // max(rest, 1) if side == -1 else side for side in shape]
    if len(shape) < 2 or shape[0] != r.batch or math.prod(shape) != math.prod(have):
        raise NoSection(f"it reshapes {' x '.join(map(str, have))} to {' x '.join(map(str, shape))}: the first axis is "
                        "the batch, and must stay")
    return _seen_as(x, tuple(shape[1:]))


@reads("Squeeze")
def squeeze(r: Reading, node: Node) -> Value:
    x = r.value(node).whole()
    if not r.given(node, 1):
        axes = {axis for axis, side in enumerate(x.shape, 1) if side == 1}
    else:
        axes = {axis_of(node, x, axis) for axis in r.integers(node, 1, "axes")}
    if 0 in axes or any(x.shape[axis - 1] != 1 for axis in axes):
        raise NoSection("it removes the batch, or an axis that is longer than 1")
    return _seen_as(x, tuple(side for axis, side in enumerate(x.shape, 1) if axis not in axes) or (1,))


@reads("Unsqueeze")
def unsqueeze(r: Reading, node: Node) -> Value:
    x, axes = r.value(node).whole(), r.integers(node, 1, "axes")
    rank = len(x.shape) + 1 + len(axes)
    shape = list(x.shape)
    for axis in sorted(axis % rank for axis in axes):
        if axis == 0:
            raise NoSection("it puts an axis before the batch")
        shape.insert(axis - 1, 1)
    return _seen_as(x, tuple(shape))


@reads("Transpose")
def transpose(r: Reading, node: Node) -> Value:
    x = r.value(node).whole()
    order = [int(axis) for axis in node.attributes.get("perm") or range(len(x.shape), -1, -1)]
    moved = [axis for axis in order if axis == 0 or x.shape[axis - 1] > 1]
    if moved == sorted(moved):          # only axes of length 1 change places
        return _seen_as(x, tuple(x.shape[axis - 1] for axis in order[1:]))
    if order == [0, 2, 1, 3, 4] and x.draft.image == (x.shape[0] * x.shape[1], *x.shape[2:]):
        y = r.drafts.add("channel_shuffle", {"groups": x.shape[0]}, Value(x.draft, x.draft.shape))
        return Value(y.draft, tuple(x.shape[axis - 1] for axis in order[1:]))
    raise NoSection(f"no section exchanges the axes of {text_of(x.shape)} in the order {order}")


@reads("Pad")
def pad(r: Reading, node: Node) -> Value:
    x, before = r.value(node), r.integers(node, 1, "sizes")
    mode = (node.attributes.get("mode") or b"constant").decode()
    axes = r.integers(node, 3, "axes") if r.given(node, 3) else list(range(len(before) // 2))
    rank, sides = len(x.shape) + 1, {}
    for at, axis in enumerate(axes):
        sides[axis % rank] = before[at], before[at + len(axes)]
    if not any(map(any, sides.values())):
        return x
    value = float(r.constant(node, 2, "value").reshape(-1)[0]) if r.given(node, 2) else 0.0
    first, behind = sides.get(1, (0, 0))
    if rank == 4 and mode == "constant" and not value and first == 0 < behind and not any(x.pads) \
            and not any(any(ends) for axis, ends in sides.items() if axis != 1):
        return Value(x.draft, (x.shape[0] + behind, *x.shape[1:]), shared=x.shared, sampled=True)
    if mode != "constant" or value or rank != 4 or any(any(sides.get(axis, ())) for axis in (0, 1)) \
            or min(map(min, sides.values())) < 0:
        raise NoSection("sections add zeros around images only")
    (top, bottom), (left, right) = sides.get(2, (0, 0)), sides.get(3, (0, 0))
    own = top, left, bottom, right
    pads = tuple(old + new for old, new in zip(x.pads, own, strict=True))
    return replace(x, pads=(pads[0], pads[1], pads[2], pads[3]))


@reads("Resize", "Upsample")
def resize(r: Reading, node: Node) -> Value:
    x = r.value(node)
    c, h, w = x.as_image()
    scales_at = 1 if node.op == "Upsample" or r.graph.opset < 11 else 2
    if r.given(node, 3):
        sizes = r.integers(node, 3, "sizes")
        axes = node.attributes.get("axes") or range(4 - len(sizes), 4)
        by_axis = {axis % 4: size / (r.batch, c, h, w)[axis % 4] for axis, size in zip(axes, sizes, strict=True)}
    else:
        numbers = r.constant(node, scales_at, "scales").reshape(-1)
        axes = node.attributes.get("axes") or range(4 - len(numbers), 4)
        by_axis = {axis % 4: float(number) for axis, number in zip(axes, numbers, strict=True)}
    scale = by_axis.get(2, 1)
    if by_axis.get(0, 1) != 1 or by_axis.get(1, 1) != 1 or by_axis.get(3, 1) != scale or scale % 1 or scale < 1:
        raise NoSection(f"[upsample] repeats pixels in width and height by one whole number. Got "
                        f"{' x '.join(f'{by_axis.get(axis, 1):g}' for axis in range(4))}")
    mode = (node.attributes.get("mode") or b"nearest").decode()
    if mode != "nearest":
        raise NoSection(f"[upsample] repeats pixels; the mode of this is {mode}")
    if scales_at == 2:
        where = (node.attributes.get("coordinate_transformation_mode") or b"half_pixel").decode()
        rounding = (node.attributes.get("nearest_mode") or b"round_prefer_floor").decode()
        repeats = rounding.startswith("round") if "half_pixel" in where else where == "asymmetric" and (
            rounding == "floor" or (rounding == "round_prefer_floor" and scale == 2))
        if not repeats and scale > 1:
            raise NoSection(f"[upsample] repeats every pixel alike; {where} with {rounding} does not")
    return x if scale == 1 else r.drafts.add("upsample", {"stride": int(scale)}, x)


# --- channels and pixels -------------------------------------------------------------------------------------


def part_of(r: Reading, x: Value, start: int, end: int) -> Value:
    """The channels start to end - 1."""
    channels = x.shape[0]
    if (start, end) == (0, channels):
        return x
    x.as_image()
    size = end - start
    if size > 0 and channels % size == 0 and start % size == 0:
        y = r.drafts.add("route", {"groups": channels // size, "group_id": start // size}, x)
    else:
        y = r.drafts.add("channel_slice", {"start": start, "end": end}, x)
    return Value(y.draft, (size, *x.shape[1:]))


@reads("Slice")
def slice_(r: Reading, node: Node) -> Value:
    x = r.value(node)
    starts, ends = r.integers(node, 1, "starts"), r.integers(node, 2, "ends")
    axes = r.integers(node, 3, "axes") if r.given(node, 3) else list(range(len(starts)))
    steps = r.integers(node, 4, "steps") if r.given(node, 4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = axis_of(node, x, axis)
        length = r.batch if axis == 0 else x.shape[axis - 1]
        start, end, step = slice(start, end, step).indices(length)
        if (start, end, step) == (0, length, 1):
            continue
        if axis in (2, 3) and len(x.shape) == 3 and start == 0 and step > 1:
            sides = list(x.shape)
            sides[axis - 1] = len(range(start, end, step))
            x = replace(x, shape=tuple(sides), sampled=True)
            continue
        if axis != 1 or step != 1:
            raise NoSection("[route] and [channel_slice] take consecutive channels; this takes "
                            f"{start}:{end}:{step} of axis {axis}")
        x = part_of(r, x.whole(), start, end)
    return x


@reads("Split")
def split(r: Reading, node: Node) -> list[Value]:
    x = r.value(node).whole()
    if axis_of(node, x, int(node.attributes.get("axis", 0))) != 1:
        raise NoSection("sections split channels only")
    if r.given(node, 1):
        sizes = r.integers(node, 1, "sizes")
    else:
        each = -(-x.shape[0] // len(node.outputs))
        sizes = [min(each, x.shape[0] - at) for at in range(0, x.shape[0], each)]
    ends = np.cumsum(sizes)
    return [part_of(r, x, int(end) - size, int(end)) for size, end in zip(sizes, ends, strict=True)]


@reads("DepthToSpace")
def depth_to_space(r: Reading, node: Node) -> Value:
    x, scale = r.value(node), int(node.attributes["blocksize"])
    if (node.attributes.get("mode") or b"DCR") != b"DCR" and x.as_image()[0] != scale * scale:
        raise NoSection("[shuffler] has the channel order of mode DCR; this has CRD")
    x.as_image()
    return r.drafts.add("shuffler", {"scale": scale}, x)


@reads("SpaceToDepth")
def space_to_depth(r: Reading, node: Node) -> Value:
    x = r.value(node)
    x.as_image()
    return r.drafts.add("reorg3d", {"stride": int(node.attributes["blocksize"])}, x)


@reads("LpNormalization")
def lp_normalization(r: Reading, node: Node) -> Value:
    x, p = r.value(node).whole(), int(node.attributes.get("p", 2))
    if axis_of(node, x, int(node.attributes.get("axis", -1))) != 1 or p not in (1, 2):
        raise NoSection("[l1norm] and [l2norm] are over the channels")
    x.as_image()
    return r.drafts.same(f"l{p}norm", {}, x)
