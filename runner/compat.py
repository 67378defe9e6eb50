"""The formulas in which darknet's two forks differ from each other and from mathematics: one small table.

The default, EXACT, computes what published weights expect at inference, and in training the true gradient of what
was computed.  `compat="alexeyab"` or `"pjreddie"` selects a fork's own formulas, which reproduce its recorded numbers;
`"yolor"` those of the PyTorch forks that read cfgs (YOLOR, ScaledYOLOv4: models/models.py, utils/layers.py).
A fork's defects (a delta overwritten, a layer never updated) are not in the table: they are not copied.
"""
from dataclasses import dataclass

from runner.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Compat:
    """One column of the table; layers find it as `env.compat` and ask its fields, never its name."""
    name: str = "exact"
    gradients: str = "exact"                # "exact": the derivative; "darknet": as in src/activations.c, src/blas.c
    batchnorm_rule: str = "exact"           # backward of batch norm: "exact", or as in that fork's src/blas.c
    batchnorm_epsilon: float = 1e-5         # added to the variance; pjreddie's CPU code adds 1e-6 to the deviation
    batchnorm_epsilon_outside: bool = False     # epsilon is added to the deviation, not to the variance
    batchnorm_momentum: float = .01         # share of a batch in the rolling statistics
    connected_momentum: float = .01         # the same in [connected], where AlexeyAB has code of its own
    batchnorm_stores_biases: bool = True    # [batchnorm] writes its biases to .weights files
    weights_revision: int = 5               # third number of the header of a .weights file
    gate_order: str = "pjreddie"            # order of the gates of [lstm] and [gru] in .weights files
    dropblock: bool = True                  # [dropout] knows DropBlock; darknet's CPU code does not
    dropout_probability: float = .5         # default of [dropout] probability
    dropout_in_place: bool = False          # [dropout] overwrites the output before it, so that slopes are taken there
    shortcut_normalization: bool = True     # the gradient of [shortcut] weights passes through their normalization
    resets_state: bool = False              # every training batch starts [rnn] and [crnn] with a state of zeros
    rnn_hidden: str = "output"              # [rnn] hidden where left out; "ignored": it is always output
    crnn_swaps_sides: bool = False          # [crnn] takes width for height
    conv_lstm_truncated: bool = False       # [conv_lstm] passes no gradient back through W and V
    conv_lstm_unclipped: bool = False       # [conv_lstm] passes the gradient through a cell that state_constrain clips,
                                            # with the slopes at its clipped value
    conv_lstm_tanh_only: bool = False       # [conv_lstm] ignores lstm_activation
    history_truncated: bool = False         # [history] passes back the gradient of the newest frame only, and keeps
                                            # frames only where time_steps is above 1
    truth_values: int = 6                   # values of a box in a flat array of truth: x, y, w, h, class (and track)
    region: str = "pjreddie"                # fork whose output order, formulas and loss [region] has
    yolo_loss: str = "alexeyab"             # fork whose loss [yolo] has
    yolo_decoding: str = "darknet"          # "yolor": [yolo] itself puts all its values through the logistic function,
                                            # scales x, y by 2 and takes (2 v)^2 anchor for w, h, whatever the cfg says
    reorg: str = "darknet"                  # "yolor": [reorg] has stride 2 and keeps pixels together, columns first
    single_rates: bool = False              # the numbers of the learning-rate policy, such as gamma, are float32
    draft_decoding: bool = True             # large JPEGs are decoded for training at a fraction of their size


EXACT = Compat()
ALEXEYAB = Compat(
    "alexeyab", gradients="darknet", batchnorm_rule="alexeyab", batchnorm_momentum=.1, connected_momentum=.05,
    gate_order="alexeyab", dropblock=False, dropout_probability=.2, dropout_in_place=True,
    shortcut_normalization=False, resets_state=True, rnn_hidden="1", conv_lstm_truncated=True,
    conv_lstm_unclipped=True, conv_lstm_tanh_only=True, history_truncated=True, region="alexeyab", single_rates=True,
    draft_decoding=False)
PJREDDIE = Compat(
    "pjreddie", gradients="darknet", batchnorm_rule="pjreddie", batchnorm_epsilon=1e-6, batchnorm_epsilon_outside=True,
    batchnorm_stores_biases=False, weights_revision=0, dropblock=False, dropout_in_place=True,
    shortcut_normalization=False, resets_state=True, rnn_hidden="ignored", crnn_swaps_sides=True,
    conv_lstm_truncated=True, conv_lstm_unclipped=True, conv_lstm_tanh_only=True, history_truncated=True,
    truth_values=5, yolo_loss="pjreddie", single_rates=True, draft_decoding=False)

YOLOR = Compat("yolor", batchnorm_epsilon=1e-4, batchnorm_momentum=.03, yolo_decoding="yolor", reorg="yolor")

COMPAT = {c.name: c for c in (EXACT, ALEXEYAB, PJREDDIE, YOLOR)}


def find(name: str | None) -> Compat:
    """The table's column called `name`; None is "exact"."""
    if name is None:
        return EXACT
    if name not in COMPAT:
        raise UsageError(f"compat must be one of {', '.join(COMPAT)}. Got {name!r}{did_you_mean(name, COMPAT)}")
    return COMPAT[name]
