"""Find things on images with a trained detector: published YOLO weights, or your own.

The images are any mix of images, folders, globs and list files.  --json has the layout of darknet's result.json,
--txt writes YOLO labels, --csv a table in pixels; --save draws the boxes.

  python run.py detect yolov3-tiny.cfg --weights yolov3-tiny.weights photos/ --save out/
  python run.py detect my.cfg --weights my.weights dog.jpg --names my.names --thresh .4 --json out.json
"""
import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.finding import Scene


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network; its last layers are [yolo], [region] or [detection]")
    parser.add_argument("images", nargs="+", help="images, folders, globs, list files, -")
    common.weights_option(parser)
    parser.add_argument("--names", metavar="FILE",
                        help="names of the classes, a line each (default: the only .names file beside the cfg)")
    parser.add_argument("--thresh", type=common.share, default=0.25, help="lowest confidence (default .25)")
    parser.add_argument("--nms", type=common.share, default=0.45,
                        help="largest overlap of two boxes of a class (default .45)")
    parser.add_argument("--class", action="append", default=[], dest="classes", metavar="NAME",
                        help="only things of this class, by name or number; may be repeated")
    common.letterbox_options(parser)
    parser.add_argument("--save", metavar="FOLDER", help="write the images with their boxes")
    parser.add_argument("--txt", metavar="FOLDER", help="write YOLO labels: class x y w h, parts of the image")
    parser.add_argument("--csv", metavar="FILE", help="write a table: image, class, confidence, box in pixels")
    parser.add_argument("--on-bad", choices=("skip", "error"), default="skip",
                        help="an image that cannot be read is named and skipped, or ends the run (default skip)")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.datasets import expand_images
    from runner.finding import find
    images = expand_images(args.images)
    net, folder = common.load_trained(args)
    names = class_names(args, list(folder.names()))
    scenes, bad, stems = [], 0, set[str]()
    for scene in find(net, images, names=names, thresh=args.thresh, nms=args.nms, letterbox=args.letterbox,
                      classes=[number(word, names) for word in args.classes], on_bad=args.on_bad):
        if scene.error:
            bad += 1
            console.warn([scene.error])
            continue
        if args.json != "-":
            tell(scene)
        stem = own_stem(scene.image, stems)
        if args.save:
            draw(scene, Path(args.save) / f"{stem}.png")
        if args.txt:
            write_labels(scene, Path(args.txt) / f"{stem}.txt")
        if args.json or args.csv:
            scenes.append(rows(scene))
    if args.json:
        console.write_json(args.json, [frame(number, *scene) for number, scene in enumerate(scenes, 1)])
    if args.csv:
        write_csv(args.csv, scenes)
    if bad:
        console.remark(f"{bad} of {len(images)} images could not be read")
    return 2 if bad == len(images) else 0


def class_names(args: argparse.Namespace, trained: list[str]) -> list[str]:
    """From --names, else from the run that trained the weights, else from the one .names file beside the cfg."""
    from runner.datasets.lists import read_lines
    beside = sorted(Path(args.cfg).parent.glob("*.names"))
    chosen = args.names or (str(beside[0]) if len(beside) == 1 and not trained else None)
    return [line for _, line in read_lines(chosen) if line] if chosen else trained


def number(word: str, names: list[str]) -> int:
    """A class by its name or number; UsageError names the near one."""
    from runner.errors import UsageError, did_you_mean
    if word in names:
        return names.index(word)
    if word.isdecimal():
        return int(word)
    raise UsageError(f"--class: there is no class {word!r}{did_you_mean(word, names) if names else ''}")


def tell(scene: "Scene") -> None:
    """The image and what is on it, a line each."""
    assert scene.pixels is not None
    _, height, width = scene.pixels.shape
    console.say(f"{scene.image}: {len(scene.found) or 'nothing'} found")
    for thing in sorted(scene.found, key=lambda thing: -thing.confidence):
        left, top, right, bottom = (round(value) for value in thing.corners(width, height))
        console.say(f"  {console.paint(thing.name, 'bold')} {100 * thing.confidence:.0f} %  "
                    f"left {left}, top {top}, {right - left} x {bottom - top} pixels")


def own_stem(image: str, taken: set[str]) -> str:
    """What the files about an image are called, without suffix: as the image is, `dog`, and with a number, `dog-2`,
    where two images have one name (dog.jpg and dog.png, or of two folders)."""
    stem = Path(image).stem
    names = (stem if n == 1 else f"{stem}-{n}" for n in itertools.count(1))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def draw(scene: "Scene", target: Path) -> None:
    from runner.images.draw import draw_boxes
    assert scene.pixels is not None
    _, height, width = scene.pixels.shape
    target.parent.mkdir(parents=True, exist_ok=True)
    boxes = [(thing.name, thing.index, thing.confidence, thing.corners(width, height)) for thing in scene.found]
    draw_boxes(scene.pixels, boxes).save(target)


def write_labels(scene: "Scene", target: Path) -> None:
    from runner.files import atomic_write
    with atomic_write(target, "w") as file:
        for thing in scene.found:
            file.write(f"{thing.index} {' '.join(f'{value:.6f}' for value in thing.box)}\n")


def rows(scene: "Scene") -> tuple[str, tuple[int, int], tuple[Any, ...]]:
    """What --json and --csv need of a scene, without its pixels: memory does not grow with the images."""
    assert scene.pixels is not None
    return scene.image, (scene.pixels.shape[2], scene.pixels.shape[1]), scene.found


def frame(index: int, image: str, size: tuple[int, int], found: tuple[Any, ...]) -> dict[str, Any]:
    """One image in the layout of darknet's -out result.json."""
    return {"frame_id": index, "filename": image, "objects": [
        {"class_id": thing.index, "name": thing.name,
         "relative_coordinates": dict(zip(("center_x", "center_y", "width", "height"), thing.box, strict=True)),
         "confidence": thing.confidence} for thing in found]}


def write_csv(target: str, scenes: list[tuple[str, tuple[int, int], tuple[Any, ...]]]) -> None:
    import csv

    from runner.files import atomic_write
    with atomic_write(target, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "class_id", "name", "confidence", "left", "top", "right", "bottom"])
        for image, size, found in scenes:
            for thing in found:
                table.writerow([image, thing.index, thing.name, f"{thing.confidence:.6f}",
                                *(f"{value:.1f}" for value in thing.corners(*size))])
