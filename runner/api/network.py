"""The network that `runner.load` returns: a Network that takes images as people have them, and knows its classes."""
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner import model
from runner import weights as weights_file
from runner.api.gradients import Gradients, gradients
from runner.api.names import Layers
from runner.api.summary import Summary
from runner.arguments import checked
from runner.chosen_run import ChosenRun, choose
from runner.datasets import expand_images
from runner.datasets.names_file import read_names
from runner.detection import chosen_classes, detection_heads
from runner.errors import ShapeError, UsageError, counted, did_you_mean
from runner.images import PREPARATIONS, prepare
from runner.images.arrays import to_float
from runner.images.in_memory import fitting
from runner.inference.classify import Result, infer
from runner.inference.detect import THRESHOLD, ImageDetections, detect
from runner.inference.sources import Source, Sources, each, pixels
from runner.inference.tiling import Tiles
from runner.layers.shared.base import Env, Layer, shape_text
from runner.net_options import NetOptions
from runner.reading.numbers import is_whole, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.api.training import TrainingResult
    from runner.training import Control, DetectionCriteria, Metrics, Update

EXACT = "exact"         # compat of a network without a fork's formulas
Images = str | os.PathLike[str] | Image.Image | NDArray[np.uint8] | Iterable[Source]


@dataclass(frozen=True)
class Origin:
    """What a network was loaded from; see `runner.load`.  word: what named the run, "" where it was a cfg."""
    cfg: str = ""
    weights: str | None = None
    settings: tuple[str, ...] = ()
    compat: str | None = None
    folder: str | os.PathLike[str] | None = None
    names: str | os.PathLike[str] | Sequence[str] | None = None
    word: str = ""

    @property
    def run(self) -> ChosenRun:
        """The run of the weights, or of the cfg."""
        return choose(self.word or self.cfg, self.weights if not self.word.endswith(".weights") else None)


class Model(model.Model):
    """A network made from a cfg: what `runner.load` returns.

    origin  what it was loaded from
    layers  the layers, by number or name: net.layers[3], net.layers["convolutional3"], net.layers["conv3"]
    """
    layers: Layers

    def __init__(self, options: NetOptions, layers: list[Layer], links: list[tuple[int, ...]], env: Env):
        super().__init__(options, Layers(layers), links, env)
        self.origin = Origin()

    # --- what it is ------------------------------------------------------------------------------------

    @property
    def classes(self) -> int:
        """How many classes its output has: of a detector those of its heads, else as many as there are values."""
        heads = [self.layers[index].options for index in detection_heads(self.layers)]
        return max((int(getattr(options, "classes", 0)) for options in heads), default=math.prod(self.out_shape))

    @cached_property
    def names(self) -> list[str]:
        """The class names; empty where they are not known, and results have class numbers.

        They are those given to `runner.load`, else of the training run, else of the only .names file beside the weights
        or the cfg with as many lines.  UsageError where those given are fewer or more than there are classes.
        """
        given = self.origin.names
        if given is None:
            names, _, problem = self.origin.run.class_names(self.classes) if self.origin.cfg else ([], "", "")
            if problem:
                warnings.warn(problem, stacklevel=3)
            return names
        names = read_names(given, []) if isinstance(given, str | os.PathLike) else [str(name) for name in given]
        if len(names) != self.classes:
            raise UsageError(f"names: the network has {counted(self.classes, 'class')}, but there are "
                             f"{counted(len(names), 'name')}")
        return names

    @property
    def threshold(self) -> float:
        """Of a detector: the lowest confidence of the boxes that `detect` finds where none is given.

        With the best weights of a run the one that had the highest F1 on its test images, else 0.25.
        """
        run = self.origin.run if self.origin.cfg and self.origin.weights else None
        return THRESHOLD if run is None or run.threshold is None else run.threshold

    def summary(self) -> Summary:       # type: ignore[override]    # a list of the same rows
        """Every layer in numbers; printed, or shown by a notebook, it is a table."""
        return Summary(super().summary())

    def __repr__(self) -> str:
        shapes = f"{shape_text(self.in_shape)} -> {shape_text(self.out_shape)}"
        source = "" if self.origin.weights is None else f", weights={self.origin.weights!r}"
        return (f"<runner.Model {self.origin.cfg!r}{source}: {counted(len(self.layers), 'layer')}, "
                f"{self.param_count:,} parameters, {shapes}>")

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.summary()._repr_html_()}"

    # --- inference -------------------------------------------------------------------------------------

    @overload
    def predict(self, x: NDArray[np.floating[Any]]) -> np.ndarray | Any: ...

    @overload
    def predict(self, x: Images, *, top: int = ..., how: str = ..., samples: int = ..., seed: int = ...,
                batch: int | None = ..., on_bad: str = ...) -> list[Result]: ...

    @checked
    def predict(self, x: Any, *, top: int = 5, how: str = "crop", samples: int = 0, seed: int = 0,
                batch: int | None = None, on_bad: str = "error") -> Any:
        """Images -> a Result for each; or a batch of network inputs -> the array of its outputs.

        x        an image, or several: a path, a folder, a glob, a list file; a Pillow image; an array (height, width,
                 channels) or (channels, height, width), uint8, or floats in 0..1; a list of these.  Each is prepared as
                 for validation
        top      classes in each result
        how      "crop", "stretch" or "letterbox": how an image is brought to the size of the network
        samples  Monte-Carlo dropout: this many stochastic passes for each image, from `seed`
        batch    images computed together; the results do not depend on it
        on_bad   "error": an image that cannot be read raises DataError; "skip": it gives a Result with `error`

        A float array whose rows have as many values as the network takes is a batch of inputs, (n, c, h, w): the output
        is an array too, (n, classes).  In a list, [array], it is an image.
        UsageError where it is something else, or the network is a detector (`detect` runs those).
        """
        if self._is_batch(x):
            return super().predict(x) if len(x) else np.zeros((0, *self.out_shape), self.env.dtype)
        self._warn_untrained()
        return list(infer(self, self._images(x), names=self.names, top=top, how=how, samples=samples, seed=seed,
                          batch=batch, on_bad=on_bad))

    @checked
    def detect(self, images: Sources, *, thresh: float | None = None, nms: float = 0.45,
               classes: Sequence[str | int] = (), letterbox: bool | None = None, on_bad: str = "error",
               not_classes: Sequence[str | int] = (), nms_kind: str | None = None, agnostic_nms: bool = False,
               max_det: int | None = None, tiles: Tiles = None, overlap: float = 0.2,
               merge: str = "nmm", whole: bool = True) -> list[ImageDetections]:
        """Images -> the objects in each, with their boxes: ImageDetections.

        images        as for `predict`
        thresh        lowest confidence; None: `threshold`
        nms           largest overlap (IoU) of two boxes of one class
        classes       only these, by name or number; empty: all
        letterbox     keep the aspect ratio; None: as [net] letter_box says
        on_bad        "error" or "skip", as for `predict`
        not_classes   none of these, by name or number
        nms_kind      how overlapping boxes are suppressed: "iou", "greedynms", "diounms", "soft" or "soft-linear";
                      None: as nms_kind= of the last head says
        agnostic_nms  boxes suppress each other whatever their class
        max_det       at most this many boxes in an image, those with the highest confidence; None: all
        tiles         for large images with small objects: "auto", or the size of a tile, 640, (640, 480), "640x480"
        overlap       the share of a tile's side that neighbours have in common
        merge         how the boxes of tiles become one list: "nmm", "nms" or "wbf" (docs/detection.md)
        whole         with tiles: detect in the whole image, too, for objects larger than a tile

        UsageError where the network has no detection head, or there is no such class.
        """
        self._warn_untrained()
        keep, drop = ([one] if isinstance(one, str) else one for one in (classes, not_classes))
        wanted = chosen_classes(keep, drop, self.names, self.classes)
        return list(detect(self, self._images(images), names=self.names,
                           thresh=self.threshold if thresh is None else thresh, nms=nms, letterbox=letterbox,
                           classes=wanted, on_bad=on_bad, nms_kind=nms_kind, agnostic_nms=agnostic_nms, max_det=max_det,
                           tiles=tiles, overlap=overlap, merge=merge, whole=whole))

    @checked
    def prepare(self, images: Sources, how: str = "crop") -> np.ndarray:
        """Images as `predict` takes them -> the network's input (n, c, h, w), float32 in 0..1.

        how: "crop" (classifiers), "stretch" or "letterbox" (detectors).  DataError where one cannot be read.
        """
        if how not in PREPARATIONS:
            raise UsageError(f"how is one of {', '.join(PREPARATIONS)}. Got {how!r}")
        channels, height, width = self.require_images()
        found = [prepare(pixels(image, channels), width, height, how) for image in self._images(images)]
        return np.stack(found) if found else np.zeros((0, *self.in_shape), np.float32)

    @overload       # type: ignore[override]
    def outputs(self, x: np.ndarray, train: bool = ..., *, by_name: Literal[False] = ...) -> list[np.ndarray]: ...

    @overload
    def outputs(self, x: np.ndarray, train: bool = ..., *, by_name: Literal[True]) -> dict[str, np.ndarray]: ...

    @checked
    def outputs(self, x: np.ndarray, train: bool = False, *,
                by_name: bool = False) -> list[np.ndarray] | dict[str, np.ndarray]:
        """The output of every layer, in order: the feature maps (n, c, h, w).

        x        a batch of network inputs (n, c, h, w); `prepare` makes one of images
        train    as in training: batch norm of the batch, dropout active
        by_name  a dictionary by the names of the layers: "convolutional0", "maxpool1" ...
        """
        found = super().outputs(x, train)
        return dict(zip(self.layers.names, found, strict=True)) if by_name else found

    def gradients(self, x: np.ndarray, truth: np.ndarray | Sequence[str | int] | None = None,
                  dy: np.ndarray | None = None) -> Gradients:
        """The gradients of the loss with respect to the input and to every weight; the network stays as it is.

        x      a batch of network inputs (n, c, h, w); `prepare` makes one of images
        truth  what the heads are compared with: (n, classes), or the class of each image, by name or number
        dy     a gradient of the last output to start from, beside or instead of the truth

        The pass is as in training: batch norm of the batch, dropout active.  UsageError without truth and dy.
        """
        if truth is None and dy is None:
            raise UsageError("gradients need a truth, or the gradient dy of the output, to start from")
        x = self.as_input(x)
        return gradients(self, self.layers, x, None if truth is None else self.truth_of(truth, len(x)), dy)

    # --- training and files ----------------------------------------------------------------------------

    @checked
    def train(self, data: str | os.PathLike[str] | None = None, *, epochs: float | None = None,
              updates: int | None = None, batch: int | None = None, learning_rate: float | None = None,
              restart: bool = False, name: str | None = None, seed: int = 0, on_bad: str = "skip",
              control: "Control | None" = None, report: bool = True,
              on_update: "Callable[[Update], object] | None" = None) -> "TrainingResult":
        """Train on a dataset, as `train` of the command line does, in the folder of a run: weights/<name>/.

        data           path of the dataset; None: that of the run or of the cfg
        epochs         how often the training images are read; sets max_batches
        updates        the last update, max_batches of [net], instead
        batch          images per update, instead of that of the cfg
        learning_rate  instead of that of the cfg
        restart        count updates from 0, and keep the weights: to train a finished network further
        name           of the run; None: that of the cfg.  A run that is there already is renamed, not deleted
        seed           of the order of the images and of the augmentation
        on_bad         "skip" or "error": an unreadable image is reported by a warning, or raises DataError
        control        when to evaluate, save and end (runner.training.Control)
        report         write report.html
        on_update      called with every Update: to print, or to stop by an exception

        The network has the last weights afterwards; the best are in the folder.  UsageError where the network is
        trained for all its updates already; DataError where the data does not fit; Diverged.
        """
        from runner.api.training import train_run
        return train_run(self, data, epochs=epochs, updates=updates, batch=batch, learning_rate=learning_rate,
                         restart=restart, name=name, seed=seed, on_bad=on_bad, control=control, report=report,
                         on_update=on_update)

    @checked
    def evaluate(self, data: str | os.PathLike[str] | None = None, *, split: str = "test", on_bad: str = "skip",
                 criteria: "DetectionCriteria | None" = None) -> "Metrics":
        """The metrics of the network on a dataset, as `test` of the command line prints them.

        data      path of the dataset; None: that of the run or of the cfg
        split     "test" or "train"
        on_bad    "skip" or "error": an unreadable image is reported by a warning, or raises DataError
        criteria  of a detector: how boxes are matched with the ground truth

        The result has `score`, `headline()`, `tables()` and `as_json()`, and is printed as its headline.
        """
        from runner.api.training import open_data
        if split not in ("test", "train"):
            raise UsageError(f"split is 'test' or 'train'. Got {split!r}")
        return open_data(self, data, on_bad=on_bad, criteria=criteria).evaluate(split)

    @checked
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the weights to a .weights file.  UsageError where there is a file, unless it may be overwritten."""
        if os.path.lexists(path) and not overwrite:
            raise UsageError(f"{path}: this file exists. Choose another name, or pass overwrite=True")
        weights_file.save(self, Path(path))

    # --- arguments -------------------------------------------------------------------------------------

    def as_input(self, x: np.ndarray) -> np.ndarray:
        """x as the first layer takes it: (n, *in_shape), contiguous, of the network's type.

        Of a network for images, uint8 is scaled to 0..1, and (n, h, w, c) is transposed.
        """
        if isinstance(x, str | os.PathLike | Image.Image | dict):
            raise UsageError(f"the network takes an array (n, {', '.join(map(str, self.in_shape))}); "
                             f"net.prepare(images) makes one. Got {type(x).__name__}")
        self._require_weights()
        x = np.asarray(x)
        if len(self.in_shape) == 3:
            if x.dtype == np.uint8:
                x = to_float(x)
            channels, height, width = self.in_shape
            if x.ndim == 4 and x.shape[1:] != self.in_shape:
                if x.shape[1:] != (height, width, channels):
                    raise ShapeError(f"the network takes (images, {channels}, {height}, {width}). Got an array of "
                                     f"shape {x.shape}")
                x = x.transpose(0, 3, 1, 2)
        return super().as_input(x)

    def _require_weights(self) -> None:
        if not self.env.allocate:
            raise UsageError("the network was loaded with allocate=False, so it has shapes and no weights")

    def _warn_untrained(self) -> None:
        """Warn where the weights are random.  UsageError where there are none."""
        self._require_weights()
        fresh = self.origin.weights is None and not self.progress.seen
        if self.origin.cfg and fresh and len(self.in_shape) == 3:
            warnings.warn(f"{self.origin.cfg}: the weights are random: pass weights= to runner.load, load a run, or "
                          "train first", stacklevel=3)

    def _is_batch(self, x: object) -> bool:
        """Whether `predict` computes the output of x as it is."""
        if not isinstance(x, np.ndarray):
            return False
        if len(self.in_shape) != 3:
            return True
        if x.dtype.kind != "f" or x.ndim < 2:
            return False
        if x.ndim == 4 and not {x.shape[1], x.shape[3]} & set(fitting(self.in_shape[0])):
            return True         # these are not images for this network: refused as a batch
        return math.prod(x.shape[1:]) == math.prod(self.in_shape)

    def _images(self, images: Any) -> Iterable[Source]:
        """The images one by one; a path may be that of a folder, a glob or a list."""
        for image in each(images):
            if isinstance(image, str | os.PathLike):
                yield from expand_images([image])
            else:
                yield image

    def _class_number(self, word: str | int) -> int:
        if isinstance(word, str) and word in self.names:
            return self.names.index(word)
        number = word if not isinstance(word, str) else whole(word) if is_whole(word) else -1
        if not 0 <= number < self.classes:
            raise UsageError(f"there is no class {word!r}{did_you_mean(str(word), self.names) if self.names else ''}")
        return number

    def truth_of(self, truth: Any, images: int) -> np.ndarray:
        """The truth as the heads take it: the class of each image, by name or number, becomes a row of 0 and 1."""
        array = np.asarray(truth)
        if not array.ndim:
            raise UsageError(f"truth has the class of each image, in a list: [{truth!r}]")
        if len(array) != images:
            raise UsageError(f"truth: {counted(images, 'image')}, but {counted(len(array), 'label')}")
        if array.ndim != 1 or array.dtype.kind == "f":
            return array
        if detection_heads(self.layers):
            raise UsageError("truth of a detector is an array (n, boxes, 5): class, centre x, y, width, height")
        one_hot = np.zeros((images, self.classes), self.env.dtype)
        one_hot[np.arange(images), [self._class_number(one) for one in array.tolist()]] = 1
        return one_hot


