"""Inputs and options on which every layer is tested.  A new layer needs samples here, with every option in some."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runner import ops


def distinct(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """All values differ by far more than the step of a gradient check: no maximum moves, no kink is crossed."""
    n = int(np.prod(shape))
    return ((rng.permutation(n) + 0.37) / n * 4 - 2).reshape(shape)


def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=shape)


def positive(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.1, 2, shape)


@dataclass(frozen=True)
class Sample:
    name: str                                       # the section
    text: str = ""                                  # its options, as in a .cfg, separated by blanks
    shapes: tuple[tuple[int, ...], ...] = ((3, 7, 6),)
    fill: Callable = distinct
    rtol: float = 1e-6                              # gradient check, float64
    steps: int = 1                                  # [net] time_steps: rows are time major

    def __str__(self) -> str:
        return f"{self.name}({self.text})"


COMMON = "learning_rate=2 onlyforward=0 stopbackward=0 dontload=0 dontsave=0 dontloadscales=0"

SAMPLES = [
    Sample("convolutional", "filters=4 size=3 pad=1 activation=leaky"),
    Sample("convolutional", "filters=4 size=3 stride=2 padding=2 activation=linear batch_normalize=1"),
    Sample("convolutional", "filters=2 size=3 stride_x=1 stride_y=2 activation=tanh"),
    Sample("convolutional", "filters=6 size=3 groups=3 pad=1 activation=linear"),
    Sample("convolutional", "filters=4 size=3 groups=2 pad=1 activation=mish", ((6, 5, 4),)),
    Sample("convolutional", "filters=6 size=5 groups=3 stride=2 pad=1 activation=linear batch_normalize=1"),
    Sample("convolutional", "filters=3 size=3 pad=1 dilation=2 activation=linear"),
    Sample("convolutional", "filters=5 activation=logistic flipped=1"),
    Sample("convolutional", "filters=2 size=2 padding=1 stride=3 activation=linear"),
    Sample("convolutional", "filters=3 size=1 stride=2 activation=linear"),
    Sample("convolutional", "filters=4 size=3 pad=1 stride=2 antialiasing=1 activation=leaky batch_normalize=1"),
    Sample("convolutional", "filters=4 size=2 stride_x=2 antialiasing=2 activation=tanh"),
    Sample("convolutional", "filters=4 size=3 pad=1 binary=1 activation=leaky"),
    Sample("convolutional", "filters=4 size=9 stride=4 activation=leaky", ((3, 7, 6),)),     # beyond the image
    Sample("convolutional", "filters=4 size=5 stride=3 groups=2 batch_normalize=1 activation=tanh", ((4, 3, 8),)),
    Sample("convolutional", "filters=2 size=3 padding=1 stride=4 dilation=2 activation=linear", ((2, 1, 1),)),
    Sample("convolutional", "filters=2 size=7 padding=1 stride=3 dilation=2 activation=linear", ((2, 4, 3),)),
    Sample("convolutional", "filters=4 size=3 pad=1 xnor=1 groups=3 batch_normalize=1 activation=linear"),
    Sample("depthwise_convolutional", "size=3 stride=2 pad=1 activation=leaky batch_normalize=1"),
    Sample("depthwise_convolutional", "size=2 padding=1 activation=linear flipped=0 dot=0"),
    Sample("depthwise_convolutional", "size=6 stride=3 activation=leaky", ((4, 4, 5),)),
    Sample("connected", "output=4 activation=linear"),
    Sample("connected", "output=3 activation=leaky batch_normalize=1", ((5,),)),
    Sample("connected", f"output=1 {COMMON}", ((5,),)),
    Sample("maxpool", "size=2 stride=2"),
    Sample("maxpool", "size=3 stride=2"),
    Sample("maxpool", "size=3 stride_x=1 stride_y=2 padding=1"),
    Sample("maxpool", "size=5 stride=1", ((2, 9, 8),)),
    Sample("maxpool", "size=2 stride=1 padding=0"),
    Sample("maxpool", "size=3 stride=2 antialiasing=1"),
    Sample("maxpool", "size=3 stride=2 padding=0", ((2, 2, 5),)),        # beyond the image
    Sample("maxpool", "size=8 stride=4 padding=2", ((2, 3, 4),)),
    Sample("maxpool", "size=2 stride=2 antialiasing=2"),
    Sample("maxpool", "maxpool_depth=1 out_channels=2", ((4, 3, 3),)),
    Sample("maxpool", "maxpool_depth=1 out_channels=2", ((5, 3, 3),)),
    Sample("avgpool"),
    Sample("avgpool", "", ((4,),)),
    Sample("dropout", "probability=0.3"),
    Sample("dropout", "probability=0", ((5,),)),
    Sample("dropout", "probability=0.9 dropblock=1 dropblock_size_abs=2"),
    Sample("dropout", "probability=0.9 dropblock=1 dropblock_size_rel=0.5"),
    Sample("dropout", "probability=1", ((5,),)),
    *(Sample("activation", f"activation={name}", rtol=2e-6) for name in ops.ACTIVATIONS),
    Sample("batchnorm", "", ((3, 4, 5),), normal),
    Sample("batchnorm", "", ((4,),), normal),
    Sample("softmax", "", ((4,),)),
    Sample("softmax", "groups=3 temperature=2.5", ((12,),)),
    Sample("softmax", "noloss=1", ((4,),)),
    Sample("softmax", "spatial=1", ((3, 1, 1),)),
    Sample("softmax", "tree=tests/golden/softmax_tree_P/labels.tree noloss=1", ((10,),)),
    *(Sample("cost", f"type={kind}", ((5,),), positive) for kind in
      ("sse", "masked", "smooth", "L1", "wgan", "mse", "mae", "logcosh", "hinge", "hellinger")),
    Sample("cost", "type=seg noobj=0.5 scale=2", ((2, 3, 3),), positive),
    Sample("cost", "type=sse thresh=0.01", ((5,),), positive),
    Sample("route", "layers=-1", ((2, 3, 4),)),
    Sample("route", "layers=-1,-2", ((2, 3, 4), (3, 3, 4))),
    Sample("route", "layers=-1,-2 groups=2 group_id=1", ((2, 3, 4), (4, 3, 4))),
    Sample("route", "layers=-1,-2", ((2, 3, 4), (7,))),
    Sample("shortcut", "from=-2 activation=leaky", ((2, 3, 3), (2, 3, 3))),
    Sample("shortcut", "from=-2,-3", ((2, 3, 3), (3, 3, 3), (1, 3, 3))),
    Sample("shortcut", "from=-2 alpha=0.5 beta=1.5", ((2, 3, 3), (3, 6, 6))),
    Sample("shortcut", "from=-2 alpha=2", ((3, 6, 6), (2, 3, 3))),
    Sample("shortcut", "from=-2,-3 weights_type=per_channel weights_normalization=softmax activation=swish",
           ((2, 3, 3), (3, 3, 3), (1, 3, 3))),
    Sample("shortcut", "from=-2 weights_type=per_feature weights_normalization=relu", ((2, 3, 3), (2, 3, 3))),
    Sample("shortcut", "from=-2 weights_type=per_layer weights_normalization=none", ((2, 3, 3), (2, 3, 3))),
    Sample("upsample", "stride=2"),
    Sample("upsample", "stride=3 scale=0.5"),
    Sample("upsample", "stride=-2 scale=2", ((2, 6, 4),)),
    Sample("upsample", "stride=-2", ((2, 5, 7),)),
    Sample("crop", "crop_height=5 crop_width=4 flip=1"),
    Sample("crop", "crop_height=7 crop_width=6 noadjust=1"),
    Sample("rnn", "output=3 hidden=4 activation=tanh", ((2, 2, 1),), steps=4),
    Sample("rnn", "output=3 activation=leaky logistic=1 shortcut=1 batch_normalize=1", ((4,),), steps=2),
    Sample("rnn", "output=2 activation=linear logistic=2", ((4,),)),
    Sample("crnn", "output=3 hidden=2 size=3 pad=1 activation=tanh shortcut=1", ((2, 3, 4),), steps=3),
    Sample("crnn", "output=4 hidden=2 size=5 stride=1 padding=2 groups=2 batch_normalize=1", ((2, 3, 4),), steps=2),
    Sample("crnn", "output=2 size=3 pad=1 dilation=2 activation=elu", ((2, 5, 4),)),
    Sample("crnn", "output_filters=3 hidden_filters=2 activation=leaky", ((2, 3, 3),), steps=2),
    Sample("gru", "output=3", ((2, 2, 1),), steps=4),
    Sample("gru", "output=3 tanh=1 batch_normalize=1", ((4,),), steps=2),
    Sample("lstm", "output=3", ((2, 2, 1),), steps=4),
    Sample("lstm", "output=3 batch_normalize=1", ((4,),), steps=2),
    Sample("conv_lstm", "output=3 size=3 pad=1", ((2, 3, 4),), steps=3),
    Sample("conv_lstm", "output=2 size=3 pad=1 peephole=1 batch_normalize=1", ((2, 3, 4),), steps=2),
    Sample("conv_lstm", "output=4 size=5 stride=1 padding=2 groups=2 activation=tanh peephole=1 state_constrain=0",
           ((2, 3, 3),), steps=2),
    Sample("conv_lstm", "output=2 size=3 pad=1 dilation=2 state_constrain=0.1 lstm_activation=softsign", ((2, 5, 4),),
           steps=3),
    Sample("conv_lstm", "output=3 size=3 pad=1 bottleneck=1 shortcut=1 time_normalizer=1", ((3, 3, 4),), steps=3),
    Sample("history", "history_size=3", ((2, 3, 4),), steps=4),
    Sample("history", "history_size=4", ((2, 3, 4),), steps=2),
    Sample("simplernn", "outputs=3 activation=tanh", ((2, 2, 1),), steps=4),
    Sample("simplernn", "outputs=3 steps=2 activation=softsign return_sequence=1", ((5,),), steps=2),
    Sample("simplernn", "outputs=3 return_sequence=0", ((5,),)),
    Sample("deconvolutional", "filters=4 size=3 stride=2 pad=1 activation=leaky batch_normalize=1"),
    Sample("deconvolutional", "filters=2 size=2 padding=0 stride=2 activation=linear", ((3, 3, 4),)),
    Sample("local", "filters=3 size=3 pad=1 activation=tanh", ((2, 5, 4),)),
    Sample("local", "filters=2 size=2 stride=2", ((2, 5, 4),)),
    Sample("local", "filters=2 size=6 stride=3", ((2, 4, 5),)),         # beyond the image
    Sample("normalization", "size=5 alpha=0.1 beta=0.75 kappa=2", ((8, 3, 2),)),
    Sample("normalization", "size=4 alpha=0.05", ((6, 3, 2),)),
    Sample("reorg", "stride=2", ((4, 4, 6),)),
    Sample("reorg", "stride=2 reverse=1", ((8, 3, 2),)),
    Sample("reorg", "stride=1 flatten=1"),
    Sample("reorg", "stride=1 flatten=1 reverse=1"),
    Sample("reorg", "extra=3"),
    Sample("reorg3d", "stride=2", ((3, 4, 6),)),
    Sample("reorg3d", "stride=2 reverse=1", ((16, 2, 3),)),
    Sample("scale_channels", "from=-2 activation=leaky", ((3, 1, 1), (3, 4, 5))),
    Sample("scale_channels", "from=-2 scale_wh=1", ((1, 4, 5), (3, 4, 5))),
    Sample("sam", "from=-2 activation=logistic", ((3, 4, 5), (3, 4, 5))),
    Sample("local_avgpool", "size=3 stride=2"),
    Sample("local_avgpool", "size=5 stride=3 padding=0", ((2, 3, 7),)),
    Sample("local_avgpool", "size=2 stride_x=1 stride_y=2 padding=0"),
    Sample("logistic", "", ((5,),)),
    Sample("l2norm"),
    Sample("l1norm"),
    Sample("implicit", "filters=4 atoms=2 mean=1 std=0.1"),
    Sample("empty"),
    Sample("shuffler", "scale=2", ((8, 3, 2),)),
    Sample("yolo", "mask=1,2 num=3 anchors=1,2,2,2,3,1 classes=3 max=9", ((16, 3, 4),)),
    Sample("yolo", "classes=2 num=2 anchors=2,2,3,1 iou_loss=ciou iou_normalizer=0.07 scale_x_y=1.1 iou_thresh=0.2 "
                   "iou_thresh_kind=giou objectness_smooth=1 counters_per_class=9,3 cls_normalizer=0.5 max_delta=2",
           ((14, 3, 4),)),
    Sample("yolo", "classes=2 new_coords=1 scale_x_y=2 iou_loss=giou obj_normalizer=0.4 ignore_thresh=0.7 "
                   "delta_normalizer=0.5 nms_kind=diounms beta_nms=0.8 show_details=0", ((7, 3, 4),), positive),
    Sample("yolo", "classes=4 num=1 focal_loss=1 truth_thresh=0.1 map=tests/files/classes.map", ((9, 3, 4),)),
    Sample("yolo", "classes=2 label_smooth_eps=0.1 jitter=0.3 resize=1.5 random=1", ((7, 2, 2),)),
    Sample("Gaussian_yolo", "mask=0,1 num=3 anchors=1,2,2,2,3,1 classes=2 max=9 truth_thresh=0.3 ignore_thresh=0.2",
           ((22, 3, 4),)),
    Sample("Gaussian_yolo", "classes=2 iou_loss=diou iou_normalizer=0.5 uc_normalizer=0.2 yolo_point=left_top "
                            "max_delta=1 scale_x_y=1.1 iou_thresh=0.2 iou_thresh_kind=diou obj_normalizer=0.4 "
                            "delta_normalizer=2 nms_kind=cornersnms beta_nms=0.7", ((11, 3, 4),)),
    Sample("Gaussian_yolo", "classes=4 yolo_point=right_bottom objectness_smooth=1 counters_per_class=4,3,2,1 "
                            "cls_normalizer=0.5 label_smooth_eps=0.1 map=tests/files/classes.map jitter=0.3 resize=1.5 "
                            "random=1", ((13, 3, 4),)),
    Sample("region", "classes=2 num=2 anchors=1,2,2,1 coords=4 softmax=1 rescore=1 bias_match=1 thresh=0.3 max=9 "
                     "coord_scale=2 object_scale=5 noobject_scale=0.5 class_scale=3", ((14, 3, 4),)),
    Sample("region", "classes=3 classfix=2 thresh=0.1 map=tests/files/three_classes.map jitter=0.3 resize=1.5 random=1",
           ((8, 3, 4),)),
    Sample("region", "classes=2 classfix=-1 softmax=1 focal_loss=1", ((7, 3, 4),)),
    Sample("region", "classes=2 softmax=1 background=1", ((7, 3, 4),)),
    Sample("region", "classes=10 tree=tests/golden/softmax_tree_P/labels.tree", ((15, 3, 4),)),
    Sample("region", "classes=2 mask_scale=2", ((7, 3, 4),)),
    Sample("detection", "classes=3 coords=4 num=2 side=2 softmax=1 sqrt=1 rescore=1 coord_scale=5 noobject_scale=0.5 "
                        "object_scale=2 class_scale=3 jitter=0.3 resize=1.5", ((52,),)),
    Sample("detection", "classes=1 coords=4 num=2 side=2 forced=1 random=1", ((44,),)),
    Sample("implicit_add", "filters=4 atoms=2 mean=1 std=0.1"),
    Sample("implicit_mul", "filters=4 atoms=1 mean=2 std=0.1"),
    Sample("shift_channels", "from=-2", ((3, 4, 5), (3, 1, 1))),
    Sample("control_channels", "from=-2", ((3, 4, 5), (3, 1, 1))),
    Sample("alternate_channels", "from=-2", ((3, 4, 5), (3, 1, 1))),
    Sample("channel_slice", "from=-1 axis=1 start=1 end=4", ((5, 3, 4),)),
    Sample("channel_slice", "end=2", ((7,),)),
    Sample("channel_shuffle", "groups=3", ((6, 3, 4),)),
    Sample("contrastive", "classes=6 yolo_layer=0 temperature=0.5 cls_normalizer=2 max_delta=1 contrastive_neg_max=2",
           ((6,),)),
    Sample("iseg", "classes=2 ids=3", ((5, 3, 4),)),
]
