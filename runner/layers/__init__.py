"""One file per kind of section.  A new file joins by one line here."""
from runner.layers.activation import Activation
from runner.layers.avgpool import Avgpool
from runner.layers.base import LAYERS, Env, Head, Layer, LayerOptions, Progress, find, register
from runner.layers.batchnorm import Batchnorm
from runner.layers.connected import Connected
from runner.layers.conv_lstm import ConvLstm
from runner.layers.convolutional import Convolutional
from runner.layers.cost import Cost
from runner.layers.crnn import Crnn
from runner.layers.crop import Crop
from runner.layers.dropout import Dropout
from runner.layers.gru import Gru
from runner.layers.history import History
from runner.layers.lstm import Lstm
from runner.layers.maxpool import Maxpool
from runner.layers.rnn import Rnn
from runner.layers.route import Route
from runner.layers.shortcut import Shortcut
from runner.layers.simplernn import SimpleRnn
from runner.layers.softmax import Softmax
from runner.layers.upsample import Upsample
from runner.layers.yolo import Yolo

__all__ = ["LAYERS", "Activation", "Avgpool", "Batchnorm", "Connected", "ConvLstm", "Convolutional", "Cost", "Crnn",
           "Crop", "Dropout", "Env", "Gru", "Head", "History", "Layer", "LayerOptions", "Lstm", "Maxpool", "Progress",
           "Rnn", "Route", "Shortcut", "SimpleRnn", "Softmax", "Upsample", "Yolo", "find", "register"]
