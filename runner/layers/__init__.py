"""One file per section.  A new file is added by one import here."""
from runner.layers.activation import Activation
from runner.layers.alternate_channels import AlternateChannels
from runner.layers.avgpool import Avgpool
from runner.layers.batchnorm import Batchnorm
from runner.layers.channel_shuffle import ChannelShuffle
from runner.layers.channel_slice import ChannelSlice
from runner.layers.connected import Connected
from runner.layers.contrastive import Contrastive
from runner.layers.control_channels import ControlChannels
from runner.layers.conv_lstm import ConvLstm
from runner.layers.convolutional import Convolutional
from runner.layers.cost import Cost
from runner.layers.crnn import Crnn
from runner.layers.crop import Crop
from runner.layers.deconvolutional import Deconvolutional
from runner.layers.depthwise_convolutional import DepthwiseConvolutional
from runner.layers.detection import Detection
from runner.layers.dropout import Dropout
from runner.layers.empty import Empty
from runner.layers.gaussian_yolo import GaussianYolo
from runner.layers.gru import Gru
from runner.layers.history import History
from runner.layers.implicit import Implicit
from runner.layers.implicit_add import ImplicitAdd
from runner.layers.implicit_mul import ImplicitMul
from runner.layers.iseg import Iseg
from runner.layers.l1norm import L1norm
from runner.layers.l2norm import L2norm
from runner.layers.local import Local
from runner.layers.local_avgpool import LocalAvgpool
from runner.layers.logistic import Logistic
from runner.layers.lstm import Lstm
from runner.layers.maxpool import Maxpool
from runner.layers.normalization import Normalization
from runner.layers.region import Region
from runner.layers.reorg import Reorg
from runner.layers.reorg3d import Reorg3d
from runner.layers.rnn import Rnn
from runner.layers.route import Route
from runner.layers.sam import Sam
from runner.layers.scale_channels import ScaleChannels
from runner.layers.shared.base import LAYERS, Env, Head, Layer, LayerOptions, Progress, find, register
from runner.layers.shift_channels import ShiftChannels
from runner.layers.shortcut import Shortcut
from runner.layers.shuffler import Shuffler
from runner.layers.simplernn import SimpleRnn
from runner.layers.softmax import Softmax
from runner.layers.upsample import Upsample
from runner.layers.yolo import Yolo

__all__ = [
    "LAYERS", "Activation", "AlternateChannels", "Avgpool", "Batchnorm", "ChannelShuffle", "ChannelSlice",
    "Connected", "Contrastive",
    "ControlChannels", "ConvLstm", "Convolutional", "Cost", "Crnn", "Crop", "Deconvolutional",
    "DepthwiseConvolutional", "Detection", "Dropout", "Empty", "Env", "GaussianYolo", "Gru", "Head", "History",
    "Implicit", "ImplicitAdd", "ImplicitMul", "Iseg", "L1norm", "L2norm", "Layer", "LayerOptions", "Local",
    "LocalAvgpool", "Logistic", "Lstm", "Maxpool", "Normalization", "Progress", "Region", "Reorg", "Reorg3d", "Rnn",
    "Route", "Sam", "ScaleChannels", "ShiftChannels", "Shortcut", "Shuffler", "SimpleRnn", "Softmax", "Upsample",
    "Yolo", "find", "register",
]
