"""[rnn]: a recurrent layer of three [connected] layers (Elman, Cognitive Science 14, 1990)."""
import math
from dataclasses import dataclass

from runner.config import by_layer, opt
from runner.layers.connected import Connected
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import LayerOptions, Shape, register
from runner.layers.shared.recurrent import Elman


@register("rnn")
class Rnn(Elman):
    """Any shape, flattened -> (output,), over [net] time_steps.

        h_t = act(W_input x_t + b) + act_self(W_self h_{t-1} + b)
        y_t = act(W_output h_t + b)
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "number of outputs", low=1)
        hidden: int = opt(by_layer("output (1 with compat alexeyab)"),
                          "size of the state; pjreddie's darknet ignores it and uses output", low=1)
        activation: str = activation_option("logistic", "activation function of each of the three products")
        batch_normalize: bool = opt(False, "1: normalize each of the three products over the streams of a time step")
        logistic: int = opt(0, "activation of the product with the state: 0 as activation=, 1 logistic, 2 loggy",
                            low=0, high=2)
        shortcut: bool = opt(False, "1: add the previous state to the new one")

    def setup(self, shape: Shape) -> None:
        o = self.options
        hidden = self._state_size()
        on_state = (o.activation, "logistic", "loggy")[o.logistic]
        for name, inputs, outputs, activation in (("input_layer", math.prod(shape), hidden, o.activation),
                                                  ("self_layer", hidden, hidden, on_state),
                                                  ("output_layer", hidden, o.output, o.activation)):
            self.adopt(name, Connected((inputs,), env=self.env, output=outputs, activation=activation,
                                       batch_normalize=o.batch_normalize))
        self.out_shape = (o.output,)
        self.stored = self.store(self.PARTS)

    def _state_size(self) -> int:
        o, rule = self.options, self.env.compat.rnn_hidden
        default = 1 if rule == "1" else o.output
        return default if rule == "ignored" else o.hidden or default
