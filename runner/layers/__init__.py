"""One file per kind of section.  A new file joins by one line here."""
from runner.layers.base import LAYERS, Env, Head, Layer, LayerOptions, Progress, find, register
from runner.layers.connected import Connected
from runner.layers.convolutional import Convolutional
from runner.layers.dropout import Dropout
from runner.layers.maxpool import Maxpool
from runner.layers.softmax import Softmax

__all__ = ["LAYERS", "Connected", "Convolutional", "Dropout", "Env", "Head", "Layer", "LayerOptions", "Maxpool",
           "Progress", "Softmax", "find", "register"]
