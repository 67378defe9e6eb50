"""Section names of other programs: what each is, and how it is written here, where it can be.

Sections that equal one of ours exactly are names of it (`@register`).  The others are refused with a sentence from
this table, never with a section that is only spelled alike.
"""

CONNECTED = "it is called [connected] here"
CONVOLUTION = "it is called [convolutional] here"
FUNCTION = "it is written [activation] with activation={}"
EMBEDDING = "the network is a tracker's (JDE), which is not supported here"
TABLE = "a table of learned vectors of the YOLOR forks; not supported here"
ORDER = "[shuffler] does it with the channels in TensorFlow's order, not in PyTorch's"
SSD = "a part of SSD, which is not supported here; the heads are [yolo], [Gaussian_yolo], [region] and [detection]"

FOREIGN = {
    # darknet forks
    "dw_conv": "it is called [depthwise_convolutional] here",
    "dwconv": "it is called [depthwise_convolutional] here",
    "depthwise": "it is called [depthwise_convolutional] here",
    "depthwise_conv": "it is called [depthwise_convolutional] here",
    "separable_convolutional": "it is two sections: [depthwise_convolutional], then [convolutional] with size=1",
    "group_convolutional": "it is written [convolutional] with groups=",
    "dilated_convolutional": "it is written [convolutional] with dilation=",
    "mix_convolutional": "filters of several sizes: a [convolutional] for each size, joined by [route]",
    "deformableconvolutional": "a deformable convolution, whose sampling points are learned; not supported here",
    "deformable_convolutional": "a deformable convolution, whose sampling points are learned; not supported here",
    "se": "squeeze and excitation: [avgpool], two [convolutional] with size=1, then [scale_channels]",
    "shuffle": "ShuffleNet's exchange of channels is [channel_shuffle]; [shuffler] moves channels to pixels",
    "channel_selective": "a choice of channels for pruning; not supported here",
    "centerloss": "the center loss of Wen et al. 2016, which pulls the values of a layer to a learned center of their "
                  "class; not supported here. [connected] with output=CLASSES, then [softmax], learns the classes",
    "quantization": "it converts numbers for a quantized fork; everything here is computed in float32",
    "diff": "the difference of two outputs; not supported here",
    "priorbox": SSD,
    "multibox": SSD,
    # YOLOR and its relatives
    "implicit_cat": "a learned constant for [alternate_channels]: [implicit_add] is the same array",
    "implicit_add_2d": TABLE, "implicit_mul_2d": TABLE, "implicit_cat_2d": TABLE,
    "shift_channels_2d": TABLE, "control_channels_2d": TABLE, "alternate_channels_2d": TABLE,
    "select_channels_2d": TABLE,
    "select_channels": "[control_channels] with a logistic function on the constant; not supported here",
    "route_lhalf": "the first half of each input's channels: [route] with groups=2 and group_id=0",
    "route2": "[route] without a gradient for the second input; [route] gives the same output",
    "route3": "[route] without a gradient for some inputs; [route] gives the same output",
    "dwt": "a wavelet transform; not supported here",
    "jde": EMBEDDING,
    "batchnorm2d": "it is called [batchnorm] here",
    # Keras, PyTorch, Caffe
    "dense": CONNECTED, "linear": CONNECTED, "fc": CONNECTED, "innerproduct": CONNECTED, "inner_product": CONNECTED,
    "fully_connected": CONNECTED, "fullyconnected": CONNECTED, "full": CONNECTED,
    "conv2d": CONVOLUTION, "convolution": CONVOLUTION, "conv2": CONVOLUTION, "conv1d": CONVOLUTION,
    "conv2dtranspose": "it is called [deconvolutional] here",
    "conv_transpose": "it is called [deconvolutional] here",
    "transposed_convolutional": "it is called [deconvolutional] here",
    "maxpool2d": "it is called [maxpool] here", "maxpooling": "it is called [maxpool] here",
    "maxpooling2d": "it is called [maxpool] here", "pool": "it is [maxpool], [avgpool] or [local_avgpool] here",
    "pooling": "it is [maxpool], [avgpool] or [local_avgpool] here",
    "avgpool2d": "windows are averaged by [local_avgpool]; [avgpool] averages whole channels",
    "global_avgpool": "it is called [avgpool] here", "gap": "it is called [avgpool] here",
    "globalaveragepooling": "it is called [avgpool] here",
    "bn": "it is called [batchnorm] here, or batch_normalize=1 in a [convolutional]",
    "batch_norm": "it is called [batchnorm] here, or batch_normalize=1 in a [convolutional]",
    "batch_normalization": "it is called [batchnorm] here, or batch_normalize=1 in a [convolutional]",
    "layernorm": "layer normalization; not supported here", "groupnorm": "group normalization; not supported here",
    "instancenorm": "instance normalization; not supported here",
    "concat": "it is called [route] here", "concatenate": "it is called [route] here",
    "add": "it is called [shortcut] here", "eltwise": "it is called [shortcut] here",
    "residual": "it is called [shortcut] here",
    "multiply": "it is [sam], of equal shapes, or [scale_channels]",
    "flatten": "it is not needed: [connected] reads an image as values", "reshape": "shapes follow from the layers",
    "input": "the input is described in [net]", "data": "the input is described in [net]",
    "train": "training is described in [net]", "training": "training is described in [net]",
    "relu": FUNCTION.format("relu"), "leaky": FUNCTION.format("leaky"), "tanh": FUNCTION.format("tanh"),
    "mish": FUNCTION.format("mish"), "swish": FUNCTION.format("swish"), "silu": FUNCTION.format("swish"),
    "sigmoid": "it is called [logistic] here; without a loss, [activation] with activation=logistic",
    "loss": "it is called [cost] here", "crossentropy": "[softmax] has this loss", "cross_entropy": "[softmax] has it",
    "resize": "it is [upsample] here, by a whole factor", "interpolate": "it is [upsample] here, by a whole factor",
    "pixel_shuffle": ORDER, "pixelshuffle": ORDER,
    "space_to_depth": "it is [reorg3d] here", "depth_to_space": "it is called [shuffler] here",
    "focus": "YOLOv5's first layer; [reorg3d] with stride=2 has the middle two quarters of the channels swapped",
    "attention": "attention; not supported here", "transformer": "attention; not supported here",
    "embedding": "a table of vectors; not supported here", "prelu": "a learned slope below zero; not supported here",
    # heads
    "detect": "a head is [yolo], [Gaussian_yolo], [region] or [detection]",
    "yolov1": "its head is [detection]", "yolov2": "its head is [region]", "yolov3": "its head is [yolo]",
    "yolov4": "its head is [yolo]", "yolov5": "another decoding; [yolo] with new_coords=1 has it",
    "yolov7": "its head is [yolo]", "yolov8": "a head without anchors; not supported here",
    "yolox": "a head without anchors; not supported here",
    "segmentation": "its nearest here is [iseg]", "mask": "its nearest here is [iseg]",
}
