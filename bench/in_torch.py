"""The same network in PyTorch, eager mode: hand-written modules with our weights copied in.

PyTorch has no darknet loss for boxes.  [yolo] uses ours in both, so the comparison is of the rest of the network.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.networks import Case, build, images, truth, without_dropout
from bench.peer import NotInstalled, Prepared, Unsupported
from runner.layers import Avgpool, Connected, Convolutional, Dropout, Lstm, Maxpool, Route, Shortcut, Softmax, Upsample
from runner.layers.shared.base import Head
from runner.layers.yolo import Yolo
from runner.network import Network

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    raise NotInstalled("PyTorch is not installed: pip install -r requirements-bench.txt") from None


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    torch.set_num_threads(threads)
    net = build(case, count, settings)
    x = torch.from_numpy(images(net, count))
    if task == "train":
        target = truth(net, count)

        def losses() -> list[np.ndarray]:
            step = _step(without_dropout(build(case, count, settings)), x, target)
            return [np.array([step(), step()])]
        return Prepared(_step(net, x, target), losses)
    model = Model(net).eval()

    def run() -> list[Any]:
        with torch.inference_mode():
            return model(x)
    return Prepared(run, lambda: [y.numpy() for y in run()])


def _step(net: Network, x: torch.Tensor, target: np.ndarray) -> Callable[[], float]:
    """A function that performs one training step and returns the loss, averaged as ours is."""
    model, o, rows = Model(net).train(), net.options, len(x)
    optimizer = torch.optim.SGD([{"params": model.decaying(), "weight_decay": o.decay},
                                 {"params": model.others(), "weight_decay": 0.0}], lr=o.learning_rate,
                                momentum=o.momentum)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        losses = model.losses(x, target)
        total = torch.stack(losses).sum() / rows
        total.backward()
        optimizer.step()
        return float(total.detach()) / len(losses)
    return step


class Model(nn.Module):
    """The layers of a network as modules, over the same graph; an output is freed after its last consumer."""

    def __init__(self, net: Network):
        super().__init__()
        self.net, self.time_steps = net, net.env.time_steps
        self.stages = nn.ModuleList([_module(layer) for layer in net.layers])
        self.last_consumer = {link: i for i, links in enumerate(net.links) for link in links}

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """-> the outputs of the heads."""
        return [self.head(index, y) for index, y in self.before_heads(x)]

    def before_heads(self, x: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        """-> (index, input) of each head."""
        outputs, found = {-1: x}, []
        for index, (stage, links) in enumerate(zip(self.stages, self.net.links, strict=True)):
            read = [outputs[link] for link in links]
            if index in self.net.heads:
                found.append((index, read[0]))
                outputs[index] = read[0]
            elif isinstance(stage, nn.LSTM):
                outputs[index] = stage(read[0].reshape(self.time_steps, -1, read[0].shape[-1]))[0].flatten(0, 1)
            else:
                outputs[index] = stage(*read)
            for link in set(links):
                if self.last_consumer[link] == index:
                    del outputs[link]
        return found

    def head(self, index: int, y: torch.Tensor) -> torch.Tensor:
        layer = self.net.layers[index]
        if isinstance(layer, Softmax):
            return torch.softmax(y.flatten(1), 1)
        assert isinstance(layer, Yolo)
        o = layer.options
        v = y.reshape(len(y), len(o.mask), -1, *layer.grid)
        xy = torch.sigmoid(v[:, :, :2]) * o.scale_x_y - 0.5 * (o.scale_x_y - 1)
        return torch.cat([xy, v[:, :, 2:4], torch.sigmoid(v[:, :, 4:])], 2).reshape(y.shape)

    def losses(self, x: torch.Tensor, target: np.ndarray) -> list[torch.Tensor]:
        """The loss of each head, summed over the batch."""
        found = []
        for index, y in self.before_heads(x):
            if isinstance(self.net.layers[index], Softmax):
                found.append(F.cross_entropy(y.flatten(1), torch.from_numpy(target.argmax(1)), reduction="sum"))
            else:
                found.append(_HeadLoss.apply(y, self, index, target))
        return found

    def decaying(self) -> list[Any]:
        return [p for p in self.parameters() if p.dim() > 1]

    def others(self) -> list[Any]:
        return [p for p in self.parameters() if p.dim() == 1]


class _HeadLoss(torch.autograd.Function):
    """The loss of one of our detection heads, with its gradient with respect to the head's input."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, model: Model, index: int, target: np.ndarray) -> torch.Tensor:
        head = model.net.layers[index]
        assert isinstance(head, Head)
        loss, dx = head.loss(model.head(index, y).numpy(), target)
        ctx.save_for_backward(torch.from_numpy(dx))
        return torch.tensor(loss, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, dloss: torch.Tensor) -> tuple[Any, ...]:
        return ctx.saved_tensors[0] * dloss, None, None, None


class _Route(nn.Module):
    def __init__(self, options: Any):
        super().__init__()
        self.groups, self.part = options.groups, options.group_id

    def forward(self, *xs: torch.Tensor) -> torch.Tensor:
        parts = [x.chunk(self.groups, 1)[self.part] for x in xs] if self.groups > 1 else xs
        return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), 1)


class _Shortcut(nn.Module):
    """Adds; `other` may be larger (it is then subsampled) and have fewer channels (it is then zero-padded)."""

    def __init__(self, layer: Shortcut):
        super().__init__()
        (c, h, _), (c2, h2, _) = layer.images
        if len(layer.images) > 2 or c2 > c or h2 < h or "weights" in layer.specs:
            raise Unsupported("this form of [shortcut] is not supported by bench/in_torch.py")
        self.activation, self.stride, self.missing = _activation(layer.options.activation), h2 // h, c - c2

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if self.stride > 1:
            other = other[:, :, ::self.stride, ::self.stride]
        if self.missing:
            other = F.pad(other, (0, 0, 0, 0, 0, self.missing))
        return self.activation(x + other)


class _Maxpool(nn.Module):
    """With darknet's padding, which may be asymmetric."""

    def __init__(self, layer: Maxpool):
        super().__init__()
        self.size, self.stride = layer.options.size, layer.stride
        before = layer.options.padding // 2
        after = max((out - 1) * stride + self.size - side - before for out, side, stride in
                    zip(layer.out_shape[1:], layer.in_shapes[0][1:], self.stride, strict=True))
        self.symmetric = before if after <= before else 0
        self.pad = (before, after, before, after) if after > before else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pad:
            x = F.pad(x, self.pad, value=float("-inf"))
        return F.max_pool2d(x, self.size, self.stride, self.symmetric)


def _module(layer: Any) -> nn.Module:
    o = layer.options
    if isinstance(layer, Convolutional):
        conv = nn.Conv2d(layer.in_shapes[0][0], o.filters, o.size, layer.stride, layer.padding, layer.dilation,
                         o.groups, bias=not o.batch_normalize)
        _copy(conv.weight, layer.params["weights"])
        if o.batch_normalize:
            return nn.Sequential(conv, _norm(layer), _activation(o.activation))
        _copy(conv.bias, layer.params["biases"])
        return nn.Sequential(conv, _activation(o.activation))
    if isinstance(layer, Connected) and not o.batch_normalize:
        linear = nn.Linear(layer.params["weights"].shape[1], o.output)
        _copy(linear.weight, layer.params["weights"])
        _copy(linear.bias, layer.params["biases"])
        return nn.Sequential(nn.Flatten(), linear, _activation(o.activation))
    if isinstance(layer, Lstm):
        return _lstm(layer)
    if isinstance(layer, Maxpool):
        return _Maxpool(layer)
    if isinstance(layer, Avgpool):
        return nn.AdaptiveAvgPool2d(1)
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.probability)
    if isinstance(layer, Upsample):
        return nn.Upsample(scale_factor=o.stride, mode="nearest")
    if isinstance(layer, Route):
        return _Route(o)
    if isinstance(layer, Shortcut):
        return _Shortcut(layer)
    if isinstance(layer, Softmax | Yolo):
        return nn.Identity()
    raise Unsupported(f"[{layer.names[0]}] is not supported by bench/in_torch.py")


def _lstm(layer: Lstm) -> nn.LSTM:
    """PyTorch stacks the gates as i, f, g, o, and has both biases too."""
    size = layer.options.output
    lstm = nn.LSTM(layer.params["ui/weights"].shape[1], size)
    for ours, theirs in (("u", "ih"), ("w", "hh")):
        for name, array in (("weight", "weights"), ("bias", "biases")):
            _copy(getattr(lstm, f"{name}_{theirs}_l0"),
                  np.concatenate([layer.params[f"{ours}{gate}/{array}"] for gate in "ifgo"]))
    return lstm


def _norm(layer: Any) -> nn.BatchNorm2d:
    compat = layer.env.compat
    norm = nn.BatchNorm2d(layer.options.filters, eps=compat.batchnorm_epsilon, momentum=compat.batchnorm_momentum)
    _copy(norm.weight, layer.params["scales"])
    _copy(norm.bias, layer.params["biases"])
    _copy(norm.running_mean, layer.buffers["rolling_mean"])
    _copy(norm.running_var, layer.buffers["rolling_variance"])
    return norm


def _activation(name: str) -> nn.Module:
    modules = {"linear": nn.Identity, "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
               "relu": lambda: nn.ReLU(inplace=True), "logistic": nn.Sigmoid, "tanh": nn.Tanh,
               "swish": lambda: nn.SiLU(inplace=True), "mish": lambda: nn.Mish(inplace=True)}
    if name not in modules:
        raise Unsupported(f"activation={name} is not supported by bench/in_torch.py")
    return modules[name]()


def _copy(to: Any, array: np.ndarray) -> None:
    with torch.no_grad():
        to.copy_(torch.from_numpy(array))
