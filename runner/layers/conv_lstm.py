"""[conv_lstm]: long short-term memory with convolutions (Shi et al. 2015); its state is an image."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import by_layer, ignored, opt
from runner.errors import ShapeError
from runner.layers.convolutional import Convolutional
from runner.layers.crnn import convolution_options, keeps_size
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, LayerOptions, Shape, register
from runner.layers.shared.recurrent import Recurrent, added, over_time, over_time_backward

GATES = "figo"


@register("conv_lstm")
class ConvLstm(Recurrent):
    """(c, h, w) -> (output, h, w), over [net] time_steps  (src/conv_lstm_layer.c).

        f, i = logistic(U(x) + W(h) + V(c)),  g = act(U(x) + W(h))          V only with peephole
        c' = f c + i g,  o = logistic(U(x) + W(h) + V(c')),  h' = o act(c')

    U, W, V are convolutions, one per gate, each followed by `activation`.  With bottleneck there is one W, on h and x
    together: z = act(W(h, x)), and the gates are U(z) only.  c and h are carried from call to call.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "output channels", low=1)
        size: int = opt(3, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride of the filters, pixels; only 1 works", low=1)
        dilation: int = opt(1, "dilation of the filters, pixels", low=1)
        pad: bool = opt(False, "1: pad each side with size // 2 zeros")
        padding: int = opt(0, "zeros on each side, pixels, where pad is 0", low=0)
        groups: int = opt(1, "parts the channels are split into, each convolved separately", low=1)
        activation: str = activation_option("linear", "activation function of every convolution")
        batch_normalize: bool = opt(False, "1: normalize every convolution over the streams of a time step")
        peephole: bool = opt(False, "1: the gates f, i, o read the cell state too")
        bottleneck: bool = opt(False, "1: one convolution mixes h and x for all gates; needs `output` input channels")
        shortcut: bool = opt(False, "1, with bottleneck: half of its output is added to the first half of h")
        lstm_activation: str = activation_option("tanh", "activation of g and of the cell; darknet's CPU code always "
                                                         "uses tanh")
        state_constrain: float = opt(by_layer("32 * time_steps of [net]"),
                                     "the cell state is clipped to this and its negative; 0: not clipped", low=0)
        time_normalizer: float = opt(1.0, "with bottleneck: factor on the gradient through h", low=0)
        xnor: bool = ignored(False, "binary weights and inputs", "these convolutions are computed in full precision")

    def setup(self, shape: Shape) -> None:
        o, (c, h, w) = self.options, self.image(shape)
        if o.bottleneck and c != o.output:
            raise ShapeError(f"bottleneck=1 needs as many input channels as output={o.output}. Got {c}")
        limit = o.state_constrain
        self.limit = 32.0 * self.env.time_steps if limit is None else limit
        self.activation = "tanh" if self.env.compat.conv_lstm_tanh_only else o.lstm_activation
        self.mixers = "f" if o.bottleneck else GATES
        self.peeping = "fio" if o.peephole else ""
        channels = {"v": o.output, "w": 2 * o.output if o.bottleneck else o.output, "u": c}
        names = [kind + g for kind, letters in (("v", self.peeping), ("w", self.mixers), ("u", GATES))
                 for g in letters]
        for name in names:
            child = self.adopt(name, Convolutional((channels[name[0]], h, w), env=self.env, filters=o.output,
                                                   activation=o.activation, **convolution_options(o)))
            keeps_size(child, (o.output, h, w))
        self.out_shape = (o.output, h, w)
        self.stored = self.store(names)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, c, h, w) -> y (steps * streams, output, h, w), saved."""
        steps, streams = self.split(len(x), train)
        x = x.reshape(steps, streams, *self.image(self.in_shapes[0]))
        h, c = (self.carried(name, (streams, *self.out_shape)) for name in "hc")
        u = None if self.options.bottleneck else self._on_inputs(x, train)
        y, kept = np.empty((steps, *h.shape), x.dtype), []
        for t in range(steps):
            if u is None:
                z, mixed, residue = self._bottleneck(h, x[t], train)
            else:
                z, mixed = self._apply("w", GATES, h, train)
                z, residue = [a + part[t] for a, part in zip(z, u[0], strict=True)], None
            h, c, cell = self._cell(z, c, train)
            y[t] = h
            if residue is not None and self.options.shortcut:
                half = self.options.output // 2
                y[t, :, :half] += residue[:, :half]
            kept.append((mixed, cell))
        self.state = {"h": h, "c": c}
        return y.reshape(-1, *self.out_shape), (u and u[1], kept) if train else None

    def _apply(self, kind: str, letters: str, x: np.ndarray, train: bool) -> tuple[list[np.ndarray], list[Any]]:
        """Apply the convolutions `kind` of the gates `letters` to x -> outputs, saved."""
        pairs = [child.forward(x, train=train) for child in self.parts(kind + g for g in letters)]
        return [y for y, _ in pairs], [saved for _, saved in pairs]

    def _back(self, kind: str, letters: str, dys: list[np.ndarray], saved: list[Any]) -> np.ndarray:
        """-> the sum of their dx."""
        children = self.parts(kind + g for g in letters)
        return added(child.backward(dy, s)[0] for child, dy, s in zip(children, dys, saved, strict=True))

    def _on_inputs(self, x: np.ndarray, train: bool) -> tuple[list[np.ndarray], list[Any]]:
        """U of all time steps at once -> per gate (steps, streams, ...); saved."""
        flat = x.reshape(-1, *x.shape[2:])
        pairs = [over_time(child, flat, len(x), train) for child in self.parts("u" + g for g in GATES)]
        return [y.reshape(*x.shape[:2], *self.out_shape) for y, _ in pairs], [saved for _, saved in pairs]

    def _bottleneck(self, h: np.ndarray, x: np.ndarray, train: bool) -> tuple[list[np.ndarray], Any, np.ndarray]:
        (mixed,), saved_w = self._apply("w", "f", np.concatenate([h, x], axis=1), train)
        mixed, saved_a = ops.activate(mixed.copy(), self.activation)
        z, saved_u = self._apply("u", GATES, mixed, train)
        return z, (saved_w, saved_a, saved_u), mixed

    def _cell(self, z: list[np.ndarray], c: np.ndarray, train: bool) -> tuple[np.ndarray, np.ndarray, Any]:
        """Gates before their activation and the previous cell state -> h, new cell state, saved."""
        peep: list[Any] = [None, None]
        if self.peeping:
            seen, peep[0] = self._apply("v", "fi", c, train)
            z = [z[0] + seen[0], z[1] + seen[1], *z[2:]]
        f, i = ops.logistic(z[0]), ops.logistic(z[1])
        g, kept_g = ops.activate(z[2].copy(), self.activation)
        new, raw_o = f * c + i * g, z[3]
        if self.peeping:
            seen, peep[1] = self._apply("v", "o", new, train)
            raw_o = raw_o + seen[0]
        o = ops.logistic(raw_o)
        a, kept_a = ops.activate(new.copy(), self.activation)
        after = np.clip(new, -self.limit, self.limit) if self.limit else new
        if self.limit and train and self.env.compat.conv_lstm_unclipped:    # those forks keep the clipped cell only
            a_clipped, kept_a = ops.activate(after.copy(), self.activation)
            peep[1] = [(after, *saved[1:]) for saved in peep[1] or ()]
            return o * a, after, (f, i, g, o, c, a_clipped, new, kept_g, kept_a, peep)
        return o * a, after, (f, i, g, o, c, a, new, kept_g, kept_a, peep)

    def _cell_backward(self, dh: np.ndarray, dc: np.ndarray, saved: Any) -> tuple[list[np.ndarray], np.ndarray]:
        f, i, g, o, c, a, new, kept_g, kept_a, peep = saved
        rule = self.env.compat.gradients
        if self.limit and not self.env.compat.conv_lstm_unclipped:
            dc = np.where(np.abs(new) > self.limit, 0, dc).astype(dh.dtype, copy=False)
        dzo = dh * a * o * (1 - o)
        dc = dc + ops.activate_backward(dh * o, kept_a, self.activation, rule)
        through = not self.env.compat.conv_lstm_truncated
        if self.peeping:
            seen = self._back("v", "o", [dzo], peep[1])
            dc = dc + seen if through else dc
        dz = [dc * c * f * (1 - f), dc * g * i * (1 - i),
              ops.activate_backward(dc * i, kept_g, self.activation, rule), dzo]
        before = dc * f
        if self.peeping:
            seen = self._back("v", "fi", dz[:2], peep[0])
            before = before + seen if through else before
        return dz, before

    def keeps(self) -> Kept:
        # f, i, g, o, c, act(c'), c' and the sums before f and i; with bottleneck also h and x joined, and its output
        arrays = 9 + (4 if self.options.bottleneck else 0)
        return Kept(more=self.kept_by_children() + arrays * self.bytes_of(self.out_shape))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (steps * streams, output, h, w) -> dx, back through all time steps of the batch."""
        self.require_grads()
        kept_u, kept = saved
        bottleneck, steps = self.options.bottleneck, len(kept)
        dys = dy.reshape(steps, -1, *self.out_shape)
        dx = np.empty((*dys.shape[:2], *self.image(self.in_shapes[0])), dy.dtype)
        dzs: list[list[np.ndarray]] = []
        dh, dc = np.zeros_like(dys[0]), np.zeros_like(dys[0])
        for t in reversed(range(steps)):
            mixed, cell = kept[t]
            dz, dc = self._cell_backward(dh + dys[t], dc, cell)
            if bottleneck:
                dh, dx[t] = self._bottleneck_backward(dz, dys[t], mixed)
            else:
                dzs.append(dz)
                dh = self._back("w", GATES, dz, mixed)
                if self.env.compat.conv_lstm_truncated:
                    dh = np.zeros_like(dh)
        if not bottleneck:
            rows = [np.concatenate(of_gate[::-1]) for of_gate in zip(*dzs, strict=True)]
            dx = added(over_time_backward(child, dz, s) for child, dz, s in
                       zip(self.parts("u" + g for g in GATES), rows, kept_u, strict=True))
        return (dx.reshape(len(dy), *self.in_shapes[0]),)

    def _bottleneck_backward(self, dz: list[np.ndarray], dy: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray]:
        """-> gradients of h and of x."""
        saved_w, saved_a, saved_u = saved
        dmixed = self._back("u", GATES, dz, saved_u)
        if self.options.shortcut:
            half = self.options.output // 2
            dmixed[:, :half] += dy[:, :half]
        dmixed = ops.activate_backward(dmixed, saved_a, self.activation, self.env.compat.gradients)
        both = self._back("w", "f", [dmixed], saved_w)
        k = self.options.output
        return both[:, :k] * both.dtype.type(self.options.time_normalizer), both[:, k:]

    def flops(self) -> float:
        elementwise = (12 if self.options.peephole else 9) * np.prod(self.out_shape)
        return sum(child.flops() for child in self.children.values()) + float(elementwise)
