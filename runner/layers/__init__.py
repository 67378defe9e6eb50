"""One file per kind of section.  A new file joins by one line here."""
from runner.layers.activation import Activation
from runner.layers.avgpool import Avgpool
from runner.layers.base import LAYERS, Env, Head, Layer, LayerOptions, Progress, find, register
from runner.layers.batchnorm import Batchnorm
from runner.layers.connected import Connected
from runner.layers.convolutional import Convolutional
from runner.layers.cost import Cost
from runner.layers.crop import Crop
from runner.layers.dropout import Dropout
from runner.layers.maxpool import Maxpool
from runner.layers.route import Route
from runner.layers.shortcut import Shortcut
from runner.layers.softmax import Softmax
from runner.layers.upsample import Upsample

__all__ = ["LAYERS", "Activation", "Avgpool", "Batchnorm", "Connected", "Convolutional", "Cost", "Crop", "Dropout",
           "Env", "Head", "Layer", "LayerOptions", "Maxpool", "Progress", "Route", "Shortcut", "Softmax", "Upsample",
           "find", "register"]
