"""[net]: the options of input and training.  The first section of every cfg; not a layer."""
from dataclasses import dataclass
from typing import Any

from runner.config import Options, ignored, opt
from runner.optim.rules import RULES, names_of_rules_that_read

OPTIMIZERS = ("sgd", *RULES)
POLICIES = ("constant", "step", "steps", "exp", "poly", "random", "sigmoid", "sgdr")


def _inputs(o: Any) -> int:
    "width * height * channels"
    return o.width * o.height * o.channels


def _max_crop(o: Any) -> int:
    "2 * width"
    return 2 * o.width


def _width(o: Any) -> int:
    "width"
    return o.width


def _cycle(o: Any) -> int:
    "max_batches"
    return o.max_batches


def _epsilon(o: Any) -> float:
    "1e-6"
    return 1e-6


TRACKING = "it concerns tracking through videos"
GPU_TRAINING = "a feature of one fork's GPU training, not supported here"
NO_GPU = "it concerns the memory or streams of a GPU, which is not used here"
NO_DISPLAY = "it concerns darknet's own display"


@dataclass(frozen=True, kw_only=True)
class NetOptions(Options):
    """What [net] takes; defaults are darknet's (src/parser.c:parse_net_options)."""
    batch: int = opt(1, "images per weight update", low=1)
    subdivisions: int = opt(1, "parts in which a batch is computed, to save memory", low=1)
    time_steps: int = opt(1, "length of the sequences recurrent layers are trained on; multiplies the batch", low=1)
    width: int = opt(0, "input width, pixels", low=0)
    height: int = opt(0, "input height, pixels", low=0)
    channels: int = opt(0, "input channels: 3 for colour, 1 for grey", low=0)
    inputs: int = opt(_inputs, "input values, where the input is not an image", low=0)
    data: str = opt("", "where the images are: a folder, a .data or a .yaml file; for a character model, a text file "
                        "(real darknet ignores it)")
    reposition: float = opt(0.0, "character model: probability that a stream jumps to a random place in the text after "
                                 "a sequence (real darknet: always 1/64, or 1/10 in AlexeyAB's)", low=0, high=1)

    split_share: float = opt(0.0, "without test images in the data: the fraction of the training images, equal for "
                                  "every class, that is held out for testing (real darknet ignores it)",
                             low=0, high=0.9)
    balance: float = opt(0.0, "how often a class is drawn: 0: in proportion to its images, 1: as often as every "
                              "other, 0.5: to the square root of their number (real darknet ignores it)", low=0, high=1)

    learning_rate: float = opt(0.001, "learning rate", low=0)
    learning_rate_min: float = opt(1e-5, "lowest learning rate of policy sgdr", low=0)
    momentum: float = opt(0.9, "fraction of the last update that is added to the next", low=0, below=1)
    decay: float = opt(0.0001, "weight decay (L2), not of biases", low=0)
    adam: bool = opt(False, "1: darknet's Adam update instead of momentum")
    optimizer: str = opt("sgd", "update rule: sgd is darknet's, with momentum; the others use the mean gradient, as "
                                "in their papers (not an option of real darknet)",
                         choices=OPTIMIZERS)
    B1: float = opt(0.9, f"{names_of_rules_that_read('B1')}: decay of the mean gradient", low=0, below=1)
    B2: float = opt(0.999, f"{names_of_rules_that_read('B2')}: decay of the mean squared gradient", low=0, below=1)
    rho: float = opt(0.9, f"{names_of_rules_that_read('rho')}: decay of the mean squared gradient", low=0, below=1)
    eps: float = opt(_epsilon, f"{names_of_rules_that_read('eps')}: keeps the division finite", above=0)
    max_batches: int = opt(0, "total number of weight updates; 0: until stopped", low=0)
    policy: str = opt("constant", "how the learning rate changes", choices=POLICIES)
    burn_in: int = opt(0, "updates over which the learning rate rises from 0 (warm-up)", low=0)
    power: float = opt(4.0, "exponent of policies poly and random, and of burn_in", low=0)
    step: int = opt(1, "policy step: updates between changes; policy sigmoid: the update in the middle", low=1)
    scale: float = opt(1.0, "policy step: factor of each change", above=0, neutral=1)
    steps: tuple[int, ...] = opt((), "policy steps: the updates at which the rate changes")
    scales: tuple[float, ...] = opt((), "policy steps: the factor of each change", above=0)
    gamma: float = opt(1.0, "policy exp: factor of every update; policy sigmoid: steepness", above=0, neutral=1)
    sgdr_cycle: int = opt(_cycle, "policy sgdr: updates of the first cycle", low=0)
    sgdr_mult: int = opt(2, "policy sgdr: each cycle is longer than the last by this factor", low=1)
    ema_alpha: float = opt(0.0, "decay of the exponential moving average (EMA) of the weights, such as .9998; it "
                                "begins at half of max_batches, and is what is evaluated and saved; 0: no average",
                           low=0, below=1)
    max_grad_norm: float = opt(0.0, "largest L2 norm of the mean gradient of an update; a larger one is scaled down; "
                                    "0: unlimited (not an option of real darknet)", low=0)
    clip: float = opt(0.0, "clip of the layers that do not give one: weights are limited to -clip and clip",
                      low=0)
    backup_every: int = opt(0, "updates between numbered copies of the weights; 0: no copies (not an option of real "
                               "darknet)", low=0)

    min_crop: int = opt(_width, "augmentation: smallest size the short side is scaled to, pixels", low=0)
    max_crop: int = opt(_max_crop, "augmentation: largest size the short side is scaled to, pixels", low=0)
    angle: float = opt(0.0, "augmentation: largest rotation, degrees", low=0, high=180)
    aspect: float = opt(1.0, "augmentation: largest change of the aspect ratio, a factor", above=0, neutral=1)
    saturation: float = opt(1.0, "augmentation: largest change of saturation, a factor", above=0, neutral=1)
    exposure: float = opt(1.0, "augmentation: largest change of brightness, a factor", above=0, neutral=1)
    hue: float = opt(0.0, "augmentation: largest change of hue, a fraction of the colour circle", low=0, high=1)
    flip: bool = opt(True, "augmentation: mirror half of the images (left to right)")
    letter_box: bool = opt(False, "detectors: 1: keep the image's aspect ratio, with grey borders")
    blur: int = opt(0, "augmentation: blur a quarter of the images over this many pixels; 1: over 15; detectors: "
                       "1: two thirds get a blurred background; more: a third get that, a third are blurred over "
                       "this many pixels", low=0, high=1000)
    mixup: int = opt(0, "augmentation: mix images in half of the batches: 1: blend two, 2: as cutmix, 3: as "
                        "mosaic, 4: as cutmix or mosaic; detectors: half of the images", low=0, high=4)
    cutmix: bool = opt(False, "augmentation: in half of the batches, cover a part of each image with another image")
    mosaic: bool = opt(False, "augmentation: in half of the batches, combine four images into one")
    label_smooth_eps: float = opt(0.0, "part of each label that is distributed over the other classes", low=0, high=1)

    gaussian_noise: float = opt(0.0, "detectors: standard deviation of the noise added to half of the images, in "
                                     "levels of 255", low=0, high=127)
    mosaic_bound: bool = opt(False, "detectors: 1: clip boxes where the images of a mosaic meet")
    resize_step: int = opt(32, "detectors with random=: step of the input size, pixels", low=1)
    dynamic_minibatch: bool = ignored(False, "larger batches at smaller sizes", "an update always uses batch= images")
    random: float = ignored(0.0, "classifiers trained at several sizes", "for detectors it is an option of the last "
                                                                         "head; classifiers are trained at one size")
    center: bool = ignored(False, "centre crop instead of augmentation", "leave the augmentation options out instead")
    contrastive: bool = ignored(False, "pairs of one image for [contrastive]", GPU_TRAINING)
    contrastive_jit_flip: bool = ignored(False, "augmentation of such pairs", GPU_TRAINING)
    contrastive_color: bool = ignored(False, "augmentation of such pairs", GPU_TRAINING)
    unsupervised: bool = ignored(False, "training without labels", GPU_TRAINING)
    track: bool = ignored(False, "images in the order of a video", TRACKING)
    augment_speed: int = ignored(2, "frames skipped at most", TRACKING)
    sequential_subdivisions: int = ignored(0, "subdivisions that follow one another in time", TRACKING)
    seq_scales: tuple[float, ...] = ignored((), "their factors at each of steps", TRACKING)
    weights_reject_freq: int = ignored(0, "updates between two resets of similar filters", GPU_TRAINING)
    equidistant_point: int = ignored(0, "update from which bad labels are looked for", GPU_TRAINING)
    badlabels_rejection_percentage: float = ignored(0.0, "fraction of labels that are considered bad", GPU_TRAINING)
    num_sigmas_reject_badlabels: float = ignored(0.0, "standard deviations from which a label is bad", GPU_TRAINING)
    max_ratio: float = ignored(0.0, "max_crop as a factor of the width", "give max_crop instead")
    min_ratio: float = ignored(0.0, "min_crop as a factor of the width", "give min_crop instead")
    max_epochs: int = ignored(0, "epochs of training", "darknet never reads it; use max_batches")
    seen: int = ignored(0, "images seen", "darknet never reads it; the number is in the .weights header")
    optimized_memory: int = ignored(0, "memory of the GPU", NO_GPU)
    workspace_size_limit_MB: float = ignored(1024.0, "memory of the GPU", NO_GPU)
    use_cuda_graph: bool = ignored(False, "launch of GPU work", NO_GPU)
    loss_scale: float = ignored(1.0, "factor against underflow in half precision", "everything here is float32")
    try_fix_nan: bool = ignored(False, "NaN weights reset by the GPU code", "training stops at a NaN and reports where")
    show_receptive_field: float = ignored(0.0, "print receptive fields", "`summary` is the place for it")
    max_chart_loss: float = ignored(20.0, "top of the loss chart", NO_DISPLAY)
    attention: bool = ignored(False, "show an attention map", NO_DISPLAY)
    adversarial_lr: float = ignored(0.0, "adversarial training", "only AlexeyAB's GPU code uses it")
    notruth: bool = ignored(False, "train without truth", "darknet reads it but does not use it")

    def in_shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (inputs,) where the input is not an image."""
        image = self.channels, self.height, self.width
        return image if all(image) else (self.inputs,)
