"""Checks that hold for every layer.  Each takes a Sample and speaks for itself when it fails.

Exceptions are tags on the layer with a reason (`inexact`, `mixes_images`), never a name in a check.
"""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import layers, network, weights
from runner.compat import COMPAT
from runner.config import Report, parse
from runner.layers import Iseg
from runner.layers.shared.base import Env, Head, Layer
from runner.layers.shared.heads import DetectionHead
from tests.layers.samples import Sample


def build(sample: Sample, dtype: str = "float32", **env: Any) -> Layer:
    report = Report()
    section = parse("[net]\n[" + sample.name + "]\n" + sample.text.replace(" ", "\n"), str(sample), report)[1]
    kind = layers.find(section, report)
    assert kind is not None
    options = kind.Options.parse(section, report)
    report.raise_errors()
    assert options is not None
    return kind.build(options, sample.shapes, Env(dtype=np.dtype(dtype), time_steps=sample.steps, **env))


def inputs(sample: Sample, dtype: str = "float32", batch: int = 2) -> list[np.ndarray]:
    """`batch` images, or as many sequences."""
    rng = np.random.default_rng(7)
    return [sample.fill((batch * sample.steps, *shape), rng).astype(dtype) for shape in sample.shapes]


def truth_like(layer: Layer, y: np.ndarray) -> np.ndarray:
    """One of each row's values (of each group's, with groups=) is the right one; [cost] takes any values.
    Detection heads get three boxes for each row, and the last row one box less."""
    if isinstance(layer, DetectionHead):
        rng = np.random.default_rng(3)
        kinds = rng.integers(0, layer.options.classes, (len(y), 3, 1))
        boxes = np.concatenate([rng.uniform(.1, .9, (len(y), 3, 4)), kinds], axis=2)
        boxes[-1, 2] = 0
        return boxes.astype(y.dtype)
    if isinstance(layer, Iseg):         # two objects, half of the image each; then the end of the list
        area = layer.out_shape[1] * layer.out_shape[2]
        objects = np.zeros((len(y), 3, 1 + area))
        objects[:, 1, 0], objects[:, 2, 0] = 1, -1
        objects[:, 0, 1:], objects[:, 1, 1:1 + area // 2] = np.arange(area) >= area // 2, 1
        return objects.astype(y.dtype)
    groups = getattr(layer.options, "groups", 1)
    flat = y.reshape(len(y) * groups, -1)
    rng = np.random.default_rng(3)
    truth = np.eye(flat.shape[1])[rng.integers(0, flat.shape[1], len(flat))]
    return truth.reshape(y.shape).astype(y.dtype)


def again(layer: Layer) -> None:
    """Start the layer's random numbers and its sequences anew, so that a second forward gives the same."""
    layer.env.rng = np.random.default_rng(5)
    layer.reset_state()


def fresh(layer: Layer, *xs: np.ndarray) -> np.ndarray:
    """The output at inference, of a first call."""
    layer.reset_state()
    return layer.forward(*xs)[0]


def back(layer: Layer, saved: Any, y: np.ndarray) -> tuple[np.ndarray | None, ...]:
    if isinstance(layer, Head):
        return layer.loss(saved, truth_like(layer, y))[1:]
    return layer.backward(np.ones_like(y), saved)


def check_shape_is_declared(sample: Sample) -> None:
    for batch in (1, 3):
        layer = build(sample)
        y, _ = layer.forward(*inputs(sample, batch=batch))
        assert y.shape == (batch * sample.steps, *layer.out_shape)


def check_nothing_is_allocated_for_shapes_alone(sample: Sample) -> None:
    full, empty = build(sample), build(sample, allocate=False)
    assert not empty.params and not empty.buffers and empty.out_shape == full.out_shape
    assert {k: p.shape for k, p in empty.specs.items()} == {
        k: a.shape for k, a in (full.params | full.buffers).items()}
    assert empty.flops() == full.flops()


def check_dtype_follows_input(sample: Sample) -> None:
    for dtype in ("float32", "float64"):
        layer = build(sample, dtype)
        y, saved = layer.forward(*inputs(sample, dtype), train=True)
        dxs = back(layer, saved, y)
        for what in (y, *dxs, *layer.grads.values(), *layer.params.values(), *layer.buffers.values()):
            assert what is None or what.dtype == dtype, f"{dtype} in, {what.dtype} out"


def check_inputs_are_left_alone(sample: Sample) -> None:
    for train in (True, False):
        layer, xs = build(sample), inputs(sample)
        kept = [x.copy() for x in xs]
        y, saved = layer.forward(*xs, train=train)
        if train:
            before = y.copy()
            back(layer, saved, y)
            assert np.array_equal(y, before), "backward changed the output"
        assert all(np.array_equal(a, b) for a, b in zip(xs, kept, strict=True)), "the input was changed"


def check_strided_input_gives_the_same(sample: Sample) -> None:
    layer, xs = build(sample), inputs(sample)
    odd = [np.repeat(x, 2, axis=-1)[..., ::2] for x in xs]
    np.testing.assert_allclose(fresh(layer, *odd), fresh(layer, *xs), rtol=1e-5, atol=1e-6)


def check_images_do_not_mix_at_inference(sample: Sample) -> None:
    """Images, or streams: row t * 3 + i is step t of stream i."""
    layer, xs = build(sample), inputs(sample, batch=3)
    together = fresh(layer, *xs)
    for i in range(3):
        single = fresh(layer, *(x[i::3] for x in xs))
        np.testing.assert_allclose(together[i::3], single, rtol=1e-5, atol=1e-6)


def check_inference_is_the_same_twice(sample: Sample) -> None:
    layer, xs = build(sample), inputs(sample)
    assert np.array_equal(fresh(layer, *xs), fresh(layer, *xs))


def check_images_do_not_mix_in_training_unless_it_is_said(sample: Sample) -> None:
    layer, xs = build(sample), inputs(sample, batch=3)
    again(layer)
    whole = layer.forward(*xs, train=True)[0]
    again(layer)
    part = layer.forward(*(x[::3] for x in xs), train=True)[0]
    mixes = bool(layer.mixes_images) or any(name.split("/")[-1] == "scales" for name in layer.params)
    assert mixes or np.allclose(whole[::3], part, rtol=1e-5, atol=1e-6)


def check_backward_adds_to_grads(sample: Sample) -> None:
    layer, once = build(sample), dict[str, np.ndarray]()
    for _ in range(2):
        again(layer)
        y, saved = layer.forward(*inputs(sample), train=True)
        back(layer, saved, y)
        once = once or {k: g.copy() for k, g in layer.grads.items()}
    assert once.keys() == layer.params.keys()
    for k, g in layer.grads.items():
        np.testing.assert_allclose(g, 2 * once[k], rtol=1e-4, atol=1e-5)


def check_gradients(sample: Sample, eps: float = 1e-6) -> None:
    """Along random directions, float64: <analytic gradient, d> against (f(+eps d) - f(-eps d)) / 2 eps."""
    layer, xs = build(sample, "float64"), inputs(sample, "float64", batch=3)
    if layer.inexact:
        pytest.skip(layer.inexact)
    rng = np.random.default_rng(11)
    for p in layer.params.values():     # away from ties: many start equal
        p += 0.1 * rng.normal(size=p.shape)
    again(layer)
    y, saved = layer.forward(*xs, train=True)
    dy = truth_like(layer, y) if isinstance(layer, Head) else rng.normal(size=y.shape)

    def value() -> float:
        again(layer)
        out, kept = layer.forward(*xs, train=True)
        return layer.objective(kept, dy) if isinstance(layer, Head) else float((out * dy).sum())

    dxs = layer.loss(saved, dy)[1:] if isinstance(layer, Head) else layer.backward(dy, saved)
    grads = {name: g.copy() for name, g in layer.grads.items()}
    if isinstance(layer, Head) and layer.options.__dict__.get("noloss"):
        assert dxs[0] is not None and not dxs[0].any()
        return
    places = [*((f"dx{i}", x, dx) for i, (x, dx) in enumerate(zip(xs, dxs, strict=True))),
              *((f"d{name}", p, grads[name]) for name, p in layer.params.items())]
    for what, at, gradient in places:
        assert gradient is not None
        assert at.shape == gradient.shape, f"{what} has shape {gradient.shape}, not {at.shape}"
        for _ in range(3):
            d, kept = rng.normal(size=at.shape), at.copy()
            values = []
            for step in (eps, -eps):
                at[...] = kept + step * d
                values.append(value())
            at[...] = kept
            numeric, analytic = (values[0] - values[1]) / (2 * eps), float((gradient * d).sum())
            np.testing.assert_allclose(analytic, numeric, rtol=sample.rtol, atol=2e-7,
                                       err_msg=f"{sample}: {what} along a random direction")


def check_forward_under_each_compat(sample: Sample) -> None:
    exact = build(sample).forward(*inputs(sample))[0]
    for column in COMPAT.values():
        layer = build(sample, compat=column)
        y = layer.forward(*inputs(sample))[0]
        assert y.size == exact.size and np.isfinite(y).all()     # pjreddie's [crnn] swaps width and height


def check_weights_round_trip(sample: Sample, tmp_path: Path) -> None:
    net = network.Network(_net_options(), [build(sample)], [(-1,)], Env())
    other = network.Network(_net_options(), [build(sample, rng=np.random.default_rng(9))], [(-1,)], Env())
    for array in (net.layers[0].params | net.layers[0].buffers).values():
        array[...] = np.random.default_rng(2).normal(size=array.shape)
    weights.save(net, tmp_path / "a.weights")
    weights.load(other, tmp_path / "a.weights")
    layer, twin = net.layers[0], other.layers[0]
    assert set(layer.stored) == set(layer.specs), "an array is not stored"
    for name in layer.stored:
        assert np.array_equal((layer.params | layer.buffers)[name], (twin.params | twin.buffers)[name]), name


def _net_options() -> Any:
    return network.NetOptions.make("net", inputs=1)


ALL = [f for name, f in sorted(globals().items()) if name.startswith("check_")]
