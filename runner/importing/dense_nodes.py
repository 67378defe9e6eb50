"""Operators with weights as sections: convolutions, products, batch norm; and arithmetic with constants."""
from dataclasses import replace

import numpy as np

from runner import ops
from runner.importing.drafts import Draft, NoSection, Options, Value
from runner.importing.graph import Node
from runner.importing.node_readers import Reading, reads, square

Pair = tuple[int, int]


def explicit_pads(node: Node, sides: Pair, window: Pair, stride: Pair) -> tuple[list[int], Pair]:
    """-> top, left, bottom, right; the size of the output.  from auto_pad and ceil_mode too."""
    pads = [int(each) for each in node.attributes.get("pads") or (0, 0, 0, 0)]
    mode = (node.attributes.get("auto_pad") or b"NOTSET").decode()
    if mode.startswith("SAME"):
        whole = [max(0, (-(-side // step) - 1) * step + size - side)
                 for side, size, step in zip(sides, window, stride, strict=True)]
        small, large = [each // 2 for each in whole], [each - each // 2 for each in whole]
        pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    elif mode == "VALID":
        pads = [0] * 4
    outs = []
    for axis, (side, size, step) in enumerate(zip(sides, window, stride, strict=True)):
        span = side + pads[axis] + pads[axis + 2] - size
        if node.attributes.get("ceil_mode"):
            out = -(-span // step) + 1
            outs.append(out - 1 if (out - 1) * step >= side + pads[axis] else out)
        else:
            outs.append(span // step + 1)
    return pads, (outs[0], outs[1])


def strides(node: Node) -> Pair:
    stride = node.attributes.get("strides") or (1, 1)
    if len(stride) != 2:
        raise NoSection("it works on images only, with height and width")
    return int(stride[0]), int(stride[1])


def stride_options(stride: Pair) -> Options:
    if stride[0] == stride[1]:
        return {"stride": stride[0]} if stride[0] != 1 else {}
    return {"stride_y": stride[0], "stride_x": stride[1]}


def pad_options(size: int, padding: int) -> Options:
    if padding == size // 2:
        return {"pad": 1} if padding else {}
    return {"padding": padding} if padding else {}


def sides_text(pads: list[int]) -> str:
    return f"{pads[0]} above, {pads[2]} below, {pads[1]} left, {pads[3]} right"


@reads("Conv")
def conv(r: Reading, node: Node) -> Value:
    x, weights = r.value(node), r.constant(node, 1, "weights")
    if weights.ndim != 4:
        raise NoSection(f"it is a convolution over {weights.ndim - 2} axes; sections have height and width")
    unpadded = replace(x, pads=(0, 0, 0, 0))
    image = unpadded.as_image()
    size = square(weights.shape[2:], "filters")
    dilation = square(node.attributes.get("dilations") or (1, 1), "dilation") if size > 1 else 1
    stride, window = strides(node), dilation * (size - 1) + 1
    padded = image[1] + x.pads[0] + x.pads[2], image[2] + x.pads[1] + x.pads[3]
    pads, outs = explicit_pads(node, padded, (window, window), stride)
    pads = [own + more for own, more in zip(pads, x.pads, strict=True)]
    padding = pads[0] // dilation
    ours = tuple(ops.count_windows(side + 2 * padding, size, step)
                 for side, step in zip(image[1:], stride, strict=True))
    if pads[0] != pads[1] or padding * dilation != pads[0] or ours != outs:
        raise NoSection(f"[convolutional] adds zeros on all sides alike, here {padding * dilation}, which gives "
                        f"{ours[1]} x {ours[0]} pixels. The node adds {sides_text(pads)}, and gives "
                        f"{outs[1]} x {outs[0]}")
    groups = int(node.attributes.get("group") or 1)
    options: Options = {"filters": len(weights), "size": size, **stride_options(stride), **pad_options(size, padding),
                        "activation": "linear"}
    if groups > 1:
        options["groups"] = groups
    if dilation > 1:
        options["dilation"] = dilation
    biases = r.constant(node, 2, "biases") if r.given(node, 2) else np.zeros(len(weights))
    return r.drafts.add("convolutional", options, unpadded, weights=weights, biases=biases)


@reads("ConvTranspose")
def conv_transpose(r: Reading, node: Node) -> Value:
    x, weights = r.value(node), r.constant(node, 1, "weights")
    if weights.ndim != 4:
        raise NoSection(f"it is a convolution over {weights.ndim - 2} axes; sections have height and width")
    x.as_image()
    size, stride = square(weights.shape[2:], "filters"), square(strides(node), "stride")
    pads = [int(each) for each in node.attributes.get("pads") or (0, 0, 0, 0)]
    facts = {"group": int(node.attributes.get("group") or 1) == 1,
             "dilations": set(node.attributes.get("dilations") or (1,)) == {1},
             "output_padding": not any(node.attributes.get("output_padding") or ()),
             "output_shape": not node.attributes.get("output_shape"),
             "auto_pad": (node.attributes.get("auto_pad") or b"NOTSET") in (b"NOTSET", b"VALID"),
             "pads that differ": len(set(pads)) == 1}
    wrong = [name for name, fits in facts.items() if not fits]
    if wrong:
        raise NoSection(f"[deconvolutional] has no {', '.join(wrong)}")
    options: Options = {"filters": weights.shape[1], "size": size, "stride": stride, **pad_options(size, pads[0]),
                        "activation": "linear"}
    biases = r.constant(node, 2, "biases") if r.given(node, 2) else np.zeros(weights.shape[1])
    return r.drafts.add("deconvolutional", options, x, weights=weights, biases=biases)


@reads("Gemm")
def gemm(r: Reading, node: Node) -> Value:
    if node.attributes.get("transA"):
        raise NoSection("its input is transposed")
    weights = r.constant(node, 1, "weights")
    weights = weights if node.attributes.get("transB") else weights.T
    weights = weights * np.float32(node.attributes.get("alpha", 1))
    biases = np.zeros(1)
    if r.given(node, 2):
        biases = r.constant(node, 2, "biases") * np.float32(node.attributes.get("beta", 1))
    return _connected(r, r.value(node), weights, biases)


@reads("MatMul")
def matmul(r: Reading, node: Node) -> Value:
    weights = r.constant(node, 1, "weights")
    if weights.ndim != 2:
        raise NoSection(f"its weights must be a matrix. Got {weights.ndim} axes")
    return _connected(r, r.value(node), weights.T, np.zeros(1))


def _connected(r: Reading, x: Value, weights: np.ndarray, biases: np.ndarray) -> Value:
    outputs, inputs = weights.shape
    if x.flat() != inputs:
        raise NoSection(f"it has weights for {inputs} values, and reads {x.shape[0]}")
    if biases.size not in (1, outputs):
        raise NoSection(f"it has {biases.size} biases for {outputs} outputs")
    return r.drafts.add("connected", {"output": outputs, "activation": "linear"}, x, weights=weights,
                        biases=np.broadcast_to(biases.reshape(-1), (outputs,)))


@reads("BatchNormalization")
def batch_normalization(r: Reading, node: Node) -> Value:
    if node.attributes.get("training_mode") or len([name for name in node.outputs if name]) > 1:
        raise NoSection("it normalizes by the statistics of the batch: export the model for inference")
    scales, biases, mean, variance = (r.constant(node, index, what) for index, what in
                                      enumerate(("scales", "biases", "means", "variances"), 1))
    return r.drafts.normalize(r.value(node), scales, biases, mean, variance, node.attributes.get("epsilon", 1e-5))


# --- arithmetic with constants ----------------------------------------------------------------------------------


def per_channel(value: Value, constant: np.ndarray) -> np.ndarray:
    """A constant that is broadcast to a tensor, as one number for each channel."""
    channels = value.shape[0]
    if constant.size == 1:
        return np.full(channels, constant.reshape(-1)[0])
    shape = (1,) * (len(value.shape) + 1 - constant.ndim) + constant.shape
    if shape != (1, channels, *[1] * (len(value.shape) - 1)):
        raise NoSection(f"its constant has the shape {' x '.join(map(str, constant.shape))}; a section has one number "
                        "for each channel")
    return constant.reshape(-1)


def with_constant(r: Reading, node: Node) -> Value:
    """Add, Sub, Mul or Div of a tensor and a constant."""
    first = node.inputs[0] in r.graph.constants
    value = r.value(node, 1 if first else 0)
    constant = per_channel(value.whole(), r.constant(node, 0 if first else 1, "numbers")).astype(np.float64)
    if node.op == "Add":
        return r.drafts.scale_and_shift(value, None, constant)
    if node.op == "Sub":
        return r.drafts.scale_and_shift(value, -np.ones_like(constant) if first else None,
                                        constant if first else -constant)
    if node.op == "Div":
        if first:
            raise NoSection("no section divides a number by its input")
        if not constant.all():
            raise NoSection("it divides by 0")
        constant = 1 / constant
    return r.drafts.scale_and_shift(value, constant, None)


def is_input(draft: Draft) -> bool:
    return not draft.reads and draft.section == "input"
