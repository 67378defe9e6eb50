"""The batches of a detector, as its cfg asks for them: augmented ones to train on, plain ones to evaluate on."""
from collections.abc import Callable

import numpy as np

from runner.datasets import DetectionLoader, DetectionSplit, detection_batches
from runner.detection import detection_heads, require_detection_heads
from runner.errors import ShapeError
from runner.images import BoxAugment
from runner.inference import batch_size
from runner.layers import Detection
from runner.layers.shared.heads import DetectionHead
from runner.network import Network

RESIZE_EVERY = 10   # updates between two changes of the input size
FINAL_UPDATES = 100     # at the end of training, at the cfg's own size
DEFAULT_FACTOR = 1.4    # maximum change of the size with random=1
RANDOM_STREAM = 5   # of random numbers; see runner/datasets/pipeline/sampler.py
Warn = Callable[[str], None]
# [net] options that only classifiers use, with their neutral values
CLASSIFIER_OPTIONS = {"angle": 0, "aspect": 1, "balance": 0, "label_smooth_eps": 0}


def training_loader(net: Network, split: DetectionSplit, *, seed: int = 0, on_bad: str = "skip",
                    warn: Warn | None = None, workers: int | None = None) -> DetectionLoader:
    """Endless (x, truth) batches for `runner.train`, augmented as [net] and the last head ask, starting after the
    network's `progress.iteration` updates.

    If the head sets random=, the size of x changes every ten updates.  Options without effect are passed to `warn`.
    """
    o, augment, sizes = net.options, box_augmentation(net), multi_scale_sizes(net, seed)
    channels, height, width = net.in_shape
    if warn:
        for sentence in ineffective_options(net):
            warn(sentence)
    largest = sizes(0) if sizes else (width, height)
    return detection_batches(split, batch=max(o.batch // o.subdivisions, 1), width=largest[0], height=largest[1],
                             channels=channels, boxes=max_truth_rows(net), augment=augment,
                             sizes=(lambda k: sizes(k // o.subdivisions)) if sizes else None,
                             shuffle=True, seed=seed, endless=True, start_batch=net.progress.iteration * o.subdivisions,
                             on_bad=on_bad, warn=warn, workers=workers, draft=net.env.compat.draft_decoding)


def evaluation_loader(net: Network, split: DetectionSplit, *, letterbox: bool | None = None, on_bad: str = "skip",
                      warn: Warn | None = None, workers: int | None = None) -> DetectionLoader:
    """Each image once, in order, prepared as for `detect`; letterbox None: as [net] letter_box says.

    truth holds all boxes of an image, as fractions of x.
    """
    channels, height, width = net.in_shape
    most = max((len(image.boxes) for image in split), default=0)
    return detection_batches(split, batch=batch_size(net), width=width, height=height, channels=channels,
                             boxes=max(most, 1), letterbox=net.options.letter_box if letterbox is None else letterbox,
                             on_bad=on_bad, warn=warn, workers=workers)


def last_head(net: Network) -> DetectionHead:
    """The head whose jitter, resize and random apply to the whole network, as in darknet."""
    head = net.layers[require_detection_heads(net.layers)[-1]]
    assert isinstance(head, DetectionHead)
    return head


def max_truth_rows(net: Network) -> int:
    """The largest number of ground-truth boxes per image that any head reads."""
    return max(getattr(net.layers[index].options, "max", 0) for index in detection_heads(net.layers)) or 200


def box_augmentation(net: Network) -> BoxAugment:
    """The augmentation that [net] and the last head ask for."""
    o, head = net.options, last_head(net).options
    mosaic = o.mosaic or o.mixup >= 3
    return BoxAugment(jitter=head.jitter, resize=head.resize, flip=o.flip, hue=o.hue, saturation=o.saturation,
                      exposure=o.exposure, letterbox=o.letter_box, mosaic=mosaic, mosaic_bound=o.mosaic_bound,
                      mixup=o.mixup == 1 and not mosaic and not o.cutmix, blur=o.blur, gaussian_noise=o.gaussian_noise)


def ineffective_options(net: Network) -> list[str]:
    """A sentence for each [net] option that is set but has no effect on a detector."""
    o = net.options
    sentences = [f"[net] {name}={getattr(o, name):g} has no effect on a detector"
                 for name, neutral in CLASSIFIER_OPTIONS.items() if getattr(o, name) != neutral]
    if o.cutmix or o.mixup in (2, 4):
        sentences.append("[net] cutmix has no effect: it is for classifiers, as in darknet" +
                         ("; images are combined by mosaic instead" if o.mosaic or o.mixup == 4 else ""))
    if o.letter_box and (o.mosaic or o.mixup >= 3):
        sentences.append("[net] letter_box=1 has no effect on images combined by mosaic: they are stretched")
    return sentences


def multi_scale_sizes(net: Network, seed: int) -> Callable[[int], tuple[int, int]] | None:
    """The input sizes of multi-scale training: index of an update, from 0 -> width, height.  None: a fixed size.

    random=1 in the last head changes the size by a factor of up to 1.4, another value by up to that factor, every ten
    updates.  The first ten updates have the largest size, so that a lack of memory shows at once; the last hundred have
    the cfg's own.  (AlexeyAB, src/detector.c:train_detector, which ends with the largest.)
    ShapeError if the network cannot take one of the sizes.
    """
    head, o = last_head(net), net.options
    if not head.options.random or isinstance(head, Detection):
        return None
    factor = DEFAULT_FACTOR if head.options.random == 1 else head.options.random
    factor = max(factor, 1 / factor)
    own = net.in_shape[2], net.in_shape[1]

    def scaled(scale: float) -> tuple[int, int]:
        width, height = (max(round(scale * side / o.resize_step + 1) * o.resize_step, o.resize_step) for side in own)
        return own if scale < 1 and (width > own[0] or height > own[1]) else (width, height)

    def size_at(update: int) -> tuple[int, int]:
        if o.max_batches and update >= o.max_batches - FINAL_UPDATES:
            return own
        if update < RESIZE_EVERY:
            return scaled(factor)
        u, direction = np.random.default_rng((seed, RANDOM_STREAM, update // RESIZE_EVERY)).random(2)
        scale = 1 + (factor - 1) * float(u)
        return scaled(scale if direction < 0.5 else 1 / scale)

    possible = {scaled(float(scale)) for scale in np.linspace(1 / factor, factor, 500)}
    try:
        for size in sorted(possible, reverse=True):
            net.resize(*size)
    except ShapeError as error:
        raise ShapeError(f"random={head.options.random:g} in [{head.names[0]}] changes the size of the input in steps "
                         f"of resize_step={o.resize_step} pixels: {error}. Set random=0, or a different resize_step "
                         "in [net]") from None
    finally:
        net.resize(*own)
    return size_at
