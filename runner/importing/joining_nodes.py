"""Operators that read several tensors as sections: sums, products, concatenations."""
from runner.importing.dense_nodes import with_constant
from runner.importing.drafts import NoSection, Value, text_of
from runner.importing.graph import Node
from runner.importing.node_readers import Reading, axis_of, reads


def _broadcast(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape without the batch, with the axes it lacks; flat values have none to give."""
    return shape if len(shape) == rank else (*shape, *[0] * (rank - len(shape)))


@reads("Add", "Sub", "Mul", "Div")
def arithmetic(r: Reading, node: Node) -> Value:
    if any(name in r.graph.constants for name in node.inputs):
        return with_constant(r, node)
    a, b = r.value(node, 0), r.value(node, 1)
    if node.op == "Add" and a.shape == b.shape and a.sampled != b.sampled:
        own, other = (b, a) if a.sampled else (a, b)
        own.as_image()
        return r.drafts.add("shortcut", {"activation": "linear"}, own, other)
    a, b = a.whole(), b.whole()
    if node.op in ("Sub", "Div"):
        raise NoSection("no section computes it of two outputs")
    if a.shape == b.shape:
        return _joined(r, "shortcut" if node.op == "Add" else "sam", a, b)
    for one, other in ((a, b), (b, a)):
        if len(other.shape) == 3 and _broadcast(one.shape, 3) == (other.shape[0], 1, 1):
            other.as_image()
            one.as_image()
            if node.op == "Add":
                return r.drafts.add("shift_channels", {}, other, one)
            return r.drafts.add("scale_channels", {"activation": "linear"}, one, other)
        if node.op == "Mul" and len(other.shape) == 3 and one.shape == (1, *other.shape[1:]):
            other.as_image()
            one.as_image()
            return r.drafts.add("scale_channels", {"scale_wh": 1, "activation": "linear"}, one, other)
    raise NoSection(f"no section does it with {text_of(a.shape)} and {text_of(b.shape)}")


def _joined(r: Reading, section: str, *xs: Value) -> Value:
    """[shortcut] or [sam] of tensors of one shape."""
    if len({x.draft.image for x in xs}) > 1:
        raise NoSection(f"its inputs are {' and '.join(text_of(x.draft.shape) for x in xs)} in other shapes")
    y = r.drafts.add(section, {"activation": "linear"}, *xs)
    return Value(y.draft, xs[0].shape)


@reads("Sum")
def sum_(r: Reading, node: Node) -> Value:
    xs = [r.value(node, index).whole() for index in range(len(node.inputs))]
    if len(xs) == 1:
        return xs[0]
    if len({x.shape for x in xs}) > 1:
        raise NoSection(f"[shortcut] adds images of one shape. Got {' and '.join(text_of(x.shape) for x in xs)}")
    return _joined(r, "shortcut", *xs)


@reads("Concat")
def concat(r: Reading, node: Node) -> Value:
    xs = [r.value(node, index).whole() for index in range(len(node.inputs))]
    if len(xs) == 1:
        return xs[0]
    if axis_of(node, xs[0], int(node.attributes.get("axis", 1))) != 1:
        raise NoSection("[route] concatenates along the channels; this is along another axis")
    if len(xs[0].shape) != 1:
        for x in xs:
            x.as_image()
    y = r.drafts.add("route", {}, *xs)
    return Value(y.draft, (sum(x.shape[0] for x in xs), *xs[0].shape[1:]))
