"""How many images a second one thread decodes and makes ready, with both kernel sets.

  python -m bench.pipeline ../shared/data/coco60/images                 as they are
  python -m bench.pipeline ../shared/data/coco60/images --times 5       enlarged so, as a camera's are

Each step by itself, over all images in turn; the fastest of --rounds, in the thread's own seconds.  A classifier's
augmentation makes 224 x 224 of them, a detector's 416 x 416, with the changes that the published cfgs ask for.
"""
import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from runner import ops
from runner.images import Augment, BoxAugment, augment, augmented, prepare, read_pixels, to_float

CLASSIFIER = Augment(224, 224, min_crop=224, max_crop=256, angle=7, aspect=.75, hue=.1, saturation=.75, exposure=.75)
DETECTOR = BoxAugment(jitter=.3, hue=.1, saturation=1.5, exposure=1.5)
SIDE = 416      # of the detector
BOX = np.array([[.5, .5, .3, .3, 0]], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of JPEGs")
    parser.add_argument("--times", type=float, default=1, help="enlarge them so many times first (default 1)")
    parser.add_argument("--most", type=int, default=24, help="images (default 24)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    files = [_enlarged(path, args.times) for path in sorted(Path(args.folder).glob("*.jpg"))[:args.most]]
    if not files:
        parser.error(f"{args.folder}: there are no .jpg files here")
    pixels = [read_pixels(file) for file in files]
    sizes = [image.shape[2] * image.shape[1] / 1e6 for image in pixels]
    print(f"{len(files)} images of {np.mean(sizes):.2f} megapixels; images a second, one thread")

    needed = {"classifier": CLASSIFIER.least(), "detector": DETECTOR.least(SIDE, SIDE)}
    enough = {name: [read_pixels(file, 3, least) for file in files] for name, least in needed.items()}

    def show(name: str, step: Callable[[int], object]) -> None:
        print(f"  {name:48} {len(files) / _seconds(step, len(files), args.rounds):8.1f}", flush=True)
    show("decode", lambda i: read_pixels(files[i]))
    for name, least in needed.items():
        show(f"decode what is enough to train a {name}", lambda i, least=least: read_pixels(files[i], 3, least))
    for kernels in ("numpy", "fast"):
        ops.use(kernels)
        rng = np.random.default_rng(0)
        steps: dict[str, Callable[[int], object]] = {
            "classifier, that augmented":
                lambda i, rng=rng: augment(to_float(enough["classifier"][i]), CLASSIFIER, rng),
            "detector, that augmented": lambda i, rng=rng: augmented(
                (enough["detector"][i], BOX), lambda: (pixels[0], BOX), DETECTOR, SIDE, SIDE, 200, rng),
            "classifier, whole, as predict has it": lambda i: prepare(to_float(pixels[i]), 224, 224),
            "detector, whole, as detect has it": lambda i: prepare(to_float(pixels[i]), SIDE, SIDE, "stretch")}
        for name, step in steps.items():
            show(f"{kernels}: {name}", step)


def _enlarged(path: Path, times: float) -> bytes:
    if times == 1:
        return path.read_bytes()
    with Image.open(path) as image:
        size = round(image.width * times), round(image.height * times)
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file := io.BytesIO(), "JPEG", quality=90)
    return file.getvalue()


def _seconds(step: Callable[[int], object], count: int, rounds: int) -> float:
    """For all images; the first round compiles and does not count."""
    best = np.inf
    for number in range(rounds + 1):
        began = time.process_time()
        for i in range(count):
            step(i)
        best = min(best, time.process_time() - began) if number else best
    return best


if __name__ == "__main__":
    main()
