"""The formulas in which darknet's two forks differ from each other and from mathematics: one small table.

The default, EXACT, computes what published weights expect at inference, and in training the true gradient of what
was computed.  `compat="alexeyab"` or `"pjreddie"` asks for a fork's own formulas, and with them its recorded
numbers.  A fork's defects (a delta overwritten, a layer never updated) are in no column: they are not copied.
"""
from dataclasses import dataclass

from runner.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Compat:
    """One column of the table; layers find it as `env.compat`."""
    name: str
    gradients: str                  # "exact": the true derivative; "darknet": as src/activations.c, src/blas.c write it
    batchnorm_rule: str             # backward of batch norm: "exact", "alexeyab" or "pjreddie" (src/blas.c)
    batchnorm_epsilon: float        # 1e-5 under the root; pjreddie's CPU code adds 1e-6 to the root instead
    batchnorm_epsilon_outside: bool # is epsilon added to the deviation, not to the variance
    batchnorm_momentum: float       # share of a batch in the rolling statistics
    connected_momentum: float       # the same in [connected], where AlexeyAB has code of its own
    dropout_in_place: bool          # dropout changes the previous layer's output, which that layer's gradient then uses
    batchnorm_stores_biases: bool   # pjreddie's [batchnorm] writes no biases to .weights
    shortcut: str                   # "exact" derivative of normalised weights, or "darknet": without the normalisation
    gate_order: str                 # order of lstm and gru gates in .weights: "pjreddie" or "alexeyab"
    dropout_probability: float      # default of [dropout] probability
    recurrent: str                  # "exact"; both forks: a training batch starts [rnn] and [crnn] at zero, [conv_lstm]
                                    # sends no gradient back through W and V and takes tanh only, [history] sends back
                                    # that of the newest frame; "alexeyab": [rnn] hidden is 1 when left out;
                                    # "pjreddie": it is never read, and [crnn] takes width for height


EXACT = Compat("exact", "exact", "exact", 1e-5, False, .01, .01, False, True, "exact", "pjreddie", .5, "exact")
ALEXEYAB = Compat("alexeyab", "darknet", "alexeyab", 1e-5, False, .1, .05, True, True, "darknet", "alexeyab", .2,
                  "alexeyab")
PJREDDIE = Compat("pjreddie", "darknet", "pjreddie", 1e-6, True, .01, .01, True, False, "darknet", "pjreddie", .5,
                  "pjreddie")

COMPAT = {c.name: c for c in (EXACT, ALEXEYAB, PJREDDIE)}


def find(name: str | None) -> Compat:
    """The table's column called `name`; None is "exact"."""
    if name is None:
        return EXACT
    if name not in COMPAT:
        raise UsageError(f"compat must be one of {', '.join(COMPAT)}. Got {name!r}{did_you_mean(name, COMPAT)}")
    return COMPAT[name]
