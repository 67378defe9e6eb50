"""Throughput of the input pipeline on one thread: decoding, resizing and augmentation, with both backends.

  python -m bench.pipeline ../shared/data/coco60/images                 at their size
  python -m bench.pipeline ../shared/data/coco60/images --times 5       enlarged to the size of camera images

Each stage is timed separately, over all images; the result is the fastest of --rounds, in process time.  A classifier's
augmentation produces 224 x 224, a detector's 416 x 416, with the options of the published cfgs.
"""
import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from runner import ops
from runner.images import Augment, BoxAugment, augment, augment_with_boxes, prepare, read_pixels, to_float

CLASSIFIER = Augment(224, 224, min_crop=224, max_crop=256, angle=7, aspect=.75, hue=.1, saturation=.75, exposure=.75)
DETECTOR = BoxAugment(jitter=.3, hue=.1, saturation=1.5, exposure=1.5)
SIDE = 416      # of the detector's input, pixels
Stage = Callable[[int], object]     # processes image i
BOX = np.array([[.5, .5, .3, .3, 0]], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="with JPEG files")
    parser.add_argument("--times", type=float, default=1, help="enlarge the images by this factor first (default 1)")
    parser.add_argument("--most", type=int, default=24, help="at most this many images (default 24)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    files = [_enlarged(path, args.times) for path in sorted(Path(args.folder).glob("*.jpg"))[:args.most]]
    if not files:
        parser.error(f"{args.folder}: there are no .jpg files here")
    pixels = [read_pixels(file) for file in files]
    sizes = [image.shape[2] * image.shape[1] / 1e6 for image in pixels]
    print(f"{len(files)} images of {np.mean(sizes):.2f} megapixels; images per second, one thread")

    least_size = {"classifier": CLASSIFIER.least(), "detector": DETECTOR.least(SIDE, SIDE)}
    reduced = {name: [read_pixels(file, 3, least) for file in files] for name, least in least_size.items()}

    def show(name: str, stage: Stage) -> None:
        print(f"  {name:48} {len(files) / _seconds(stage, len(files), args.rounds):8.1f}", flush=True)
    show("decode", _decoding(files, None))
    for name, least in least_size.items():
        show(f"decode at reduced size, {name}", _decoding(files, least))
    for backend in ("numpy", "fast"):
        ops.use(backend)
        for name, stage in _stages(pixels, reduced).items():
            show(f"{backend}: {name}", stage)


def _decoding(files: list[bytes], least: tuple[int, int] | None) -> Stage:
    return lambda i: read_pixels(files[i], 3, least)


def _stages(pixels: list[np.ndarray], reduced: dict[str, list[np.ndarray]]) -> dict[str, Stage]:
    """The stages after decoding; `reduced` has the images decoded at reduced size, for classifier and detector."""
    rng = np.random.default_rng(0)
    return {
        "classifier, augment reduced": lambda i: augment(to_float(reduced["classifier"][i]), CLASSIFIER, rng),
        "detector, augment reduced": lambda i: augment_with_boxes(
            (reduced["detector"][i], BOX), lambda: (pixels[0], BOX), DETECTOR, SIDE, SIDE, 200, rng),
        "classifier, prepare full size as in predict": lambda i: prepare(to_float(pixels[i]), 224, 224),
        "detector, prepare full size as in detect": lambda i: prepare(to_float(pixels[i]), SIDE, SIDE, "stretch")}


def _enlarged(path: Path, times: float) -> bytes:
    if times == 1:
        return path.read_bytes()
    with Image.open(path) as image:
        size = round(image.width * times), round(image.height * times)
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file := io.BytesIO(), "JPEG", quality=90)
    return file.getvalue()


def _seconds(stage: Stage, count: int, rounds: int) -> float:
    """Process time for all images; the first round compiles and is not counted."""
    best = np.inf
    for number in range(rounds + 1):
        start = time.process_time()
        for i in range(count):
            stage(i)
        best = min(best, time.process_time() - start) if number else best
    return best


if __name__ == "__main__":
    main()
