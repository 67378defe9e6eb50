"""What a detector's cfg says about its data: batches to learn from, and batches to measure on."""
from collections.abc import Callable

import numpy as np

from runner.datasets import BoxLoader, BoxSplit, box_batches
from runner.detection import detection_heads, require_detection_heads
from runner.errors import ShapeError
from runner.images import BoxAugment
from runner.inference import batch_size
from runner.layers import Detection
from runner.layers.shared.heads import DetectionHead
from runner.network import Network

EVERY = 10          # updates between two changes of the size
LAST = 100          # so many updates at the end are done at the cfg's own size
PLAIN = 1.4         # how far random=1 goes
STREAM = 5          # of random numbers; see runner/datasets/pipeline/sampler.py
Warn = Callable[[str], None]
CLASSIFIERS = {"angle": 0, "aspect": 1, "balance": 0, "label_smooth_eps": 0}    # [net] options, and what says nothing


def training_loader(net: Network, split: BoxSplit, *, seed: int = 0, on_bad: str = "skip",
                   warn: Warn | None = None, workers: int | None = None) -> BoxLoader:
    """Endless (x, truth) for `runner.train`, augmented as [net] and the last head ask, going on after the network's
    `progress.iteration` updates.

    With random= in the head x changes its size every ten updates.  What has no effect is told through `warn`.
    """
    o, augment, sizes = net.options, augment_of(net), scales(net, seed)
    channels, height, width = net.in_shape
    if warn:
        for sentence in ineffective_options(net):
            warn(sentence)
    largest = sizes(0) if sizes else (width, height)
    return box_batches(split, batch=max(o.batch // o.subdivisions, 1), width=largest[0], height=largest[1],
                       channels=channels, boxes=max_truth_rows(net), augment=augment,
                       sizes=(lambda k: sizes(k // o.subdivisions)) if sizes else None,
                       shuffle=True, seed=seed, endless=True, start_batch=net.progress.iteration * o.subdivisions,
                       on_bad=on_bad, warn=warn, workers=workers, draft=net.env.compat.draft_decoding)


def evaluation_loader(net: Network, split: BoxSplit, *, letterbox: bool | None = None, on_bad: str = "skip",
                     warn: Warn | None = None, workers: int | None = None) -> BoxLoader:
    """Each picture once, in order, as `detect` shows it to the network; letterbox None: as [net] letter_box says.

    truth holds all boxes of a picture, as parts of x.
    """
    channels, height, width = net.in_shape
    most = max((len(picture.boxes) for picture in split), default=0)
    return box_batches(split, batch=batch_size(net), width=width, height=height, channels=channels, boxes=max(most, 1),
                       letterbox=net.options.letter_box if letterbox is None else letterbox, on_bad=on_bad, warn=warn,
                       workers=workers)


def last_head(net: Network) -> DetectionHead:
    """The head whose jitter, resize and random hold for the whole network, as in darknet."""
    head = net.layers[require_detection_heads(net.layers)[-1]]
    assert isinstance(head, DetectionHead)
    return head


def max_truth_rows(net: Network) -> int:
    """Rows of truth that any head wants."""
    return max(getattr(net.layers[index].options, "max", 0) for index in detection_heads(net.layers)) or 200


def augment_of(net: Network) -> BoxAugment:
    """The changes that [net] and the last head ask for."""
    o, head = net.options, last_head(net).options
    mosaic = o.mosaic or o.mixup >= 3
    return BoxAugment(jitter=head.jitter, resize=head.resize, flip=o.flip, hue=o.hue, saturation=o.saturation,
                      exposure=o.exposure, letterbox=o.letter_box, mosaic=mosaic, mosaic_bound=o.mosaic_bound,
                      mixup=o.mixup == 1 and not mosaic and not o.cutmix, blur=o.blur, gaussian_noise=o.gaussian_noise)


def ineffective_options(net: Network) -> list[str]:
    """A sentence for each [net] option that is given and means nothing to a detector."""
    o = net.options
    found = [f"[net] {name}={getattr(o, name):g} has no effect: detectors are not augmented so"
             for name, nothing in CLASSIFIERS.items() if getattr(o, name) != nothing]
    if o.cutmix or o.mixup in (2, 4):
        found.append("[net] cutmix has no effect: it is for classifiers, as in darknet" +
                     ("; the pictures are put together by mosaic" if o.mosaic or o.mixup == 4 else ""))
    if o.letter_box and (o.mosaic or o.mixup >= 3):
        found.append("[net] letter_box=1 holds for pictures alone; those put together by mosaic are stretched")
    return found


def scales(net: Network, seed: int) -> Callable[[int], tuple[int, int]] | None:
    """For multi-scale training: number of an update, from 0 -> width and height, the largest ones first.  None: they
    stay as they are.

    random=1 in the last head changes the size by a factor of up to 1.4, another number by as much, every ten updates.
    The first ten updates have the largest size, so that it is known at once whether the memory is enough; the last
    hundred the cfg's own.  (AlexeyAB, src/detector.c:train_detector, which ends with the largest.)
    ShapeError when the network cannot take one of the sizes.
    """
    head, o = last_head(net), net.options
    if not head.options.random or isinstance(head, Detection):
        return None
    factor = PLAIN if head.options.random == 1 else head.options.random
    factor = max(factor, 1 / factor)
    own = net.in_shape[2], net.in_shape[1]

    def scaled(by: float) -> tuple[int, int]:
        width, height = (max(round(by * side / o.resize_step + 1) * o.resize_step, o.resize_step) for side in own)
        return own if by < 1 and (width > own[0] or height > own[1]) else (width, height)

    def size_at(update: int) -> tuple[int, int]:
        if o.max_batches and update >= o.max_batches - LAST:
            return own
        if update < EVERY:
            return scaled(factor)
        u, up = np.random.default_rng((seed, STREAM, update // EVERY)).random(2)
        by = 1 + (factor - 1) * float(u)
        return scaled(by if up < 0.5 else 1 / by)

    possible = {scaled(float(by)) for by in np.linspace(1 / factor, factor, 500)}
    try:
        for size in sorted(possible, reverse=True):
            net.resize(*size)
    except ShapeError as error:
        raise ShapeError(f"random={head.options.random:g} in [{head.names[0]}] changes the size of the input in steps "
                         f"of resize_step={o.resize_step} pixels: {error}. Set random=0, or another resize_step in "
                         "[net]") from None
    finally:
        net.resize(*own)
    return size_at
