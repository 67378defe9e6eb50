"""Find things on images with a trained detector: published YOLO weights, or your own.

The images are any mix of images, folders, globs and list files; videos, and `camera`, need requirements-video.txt.
--json has the layout of darknet's result.json, --txt writes YOLO labels, --csv a table in pixels; --save draws the
boxes.

  python run.py detect yolov3-tiny.cfg --weights yolov3-tiny.weights photos/ --save out/
  python run.py detect my.cfg --weights my.weights dog.jpg --names my.names --thresh .4 --json out.json
  python run.py detect my.cfg --weights my.weights clip.mp4 --save out/ --every 5
"""
import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.cli import common, console

if TYPE_CHECKING:
    from PIL import Image

    from runner.inference.detect import Detection, ImageDetections
    from runner.network import Network

LEGIBLE = 200       # pixels the short side of a picture needs, so that labels leave something of it to be seen


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network; its last layers are [yolo], [region] or [detection]")
    parser.add_argument("images", nargs="+", help="images, folders, globs, list files, -; videos, camera, camera:1")
    common.weights_option(parser)
    parser.add_argument("--names", metavar="FILE",
                        help="names of the classes, a line each (default: those it was trained on, or the .names file "
                             "beside the weights or the cfg that has as many lines as there are classes)")
    parser.add_argument("--thresh", type=common.share, default=0.25, help="lowest confidence (default .25)")
    parser.add_argument("--nms", type=common.share, default=0.45,
                        help="largest overlap of two boxes of a class (default .45)")
    parser.add_argument("--class", action="append", default=[], dest="classes", metavar="NAME",
                        help="only things of this class, by name or number; may be repeated")
    common.letterbox_options(parser)
    parser.add_argument("--save", metavar="FOLDER", help="write the images with their boxes")
    parser.add_argument("--txt", metavar="FOLDER", help="write YOLO labels: class x y w h, parts of the image")
    parser.add_argument("--csv", metavar="FILE", help="write a table: image, class, confidence, box in pixels")
    parser.add_argument("--every", type=common.positive, default=1, metavar="N",
                        help="of a video look at every Nth frame only")
    parser.add_argument("--frames", type=common.positive, metavar="N", help="of a video look at N frames at most")
    parser.add_argument("--on-bad", choices=("skip", "error"), default="skip",
                        help="an image that cannot be read is named and skipped, or ends the run (default skip)")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.network_checks import check_images
    net, folder = common.load_trained(args)
    check_images(net.sections, net.in_shape)
    names = class_names(args, net, list(folder.names()))
    how = {"names": names, "thresh": args.thresh, "nms": args.nms, "letterbox": args.letterbox, "on_bad": args.on_bad,
           "classes": [number(word, names) for word in args.classes]}
    seen: list[Seen] = []
    count = bad = 0
    stems: set[str] = set()
    try:
        for frame_id, scene, stem in scenes(args, net, stems, how):
            count += 1
            if scene.error:
                bad += 1
                console.warn([scene.error])
                continue
            if args.json != "-":
                tell(scene, frame_id)
            if args.txt:
                write_labels(scene, Path(args.txt) / f"{stem}.txt")
            if args.json or args.csv:
                seen.append(without_pixels(scene, frame_id))
    except KeyboardInterrupt:
        if not any(is_video(source) for source in args.images):
            raise
        console.remark("\nstopped; the results so far are written")
    if args.json:
        console.write_json(args.json, [as_json(one, number) for number, one in enumerate(seen, 1)])
    if args.csv:
        write_csv(args.csv, seen)
    if bad:
        console.remark(f"{bad} of {count} images could not be read")
    return 2 if bad and bad == count else 0


def scenes(args: argparse.Namespace, net: "Network", stems: set[str],
           how: dict[str, Any]) -> Iterator["tuple[int | None, ImageDetections, str]"]:
    """For every image, and every frame of the videos: the frame's number from 1 (None: an image), what is on it, and
    what files about it are called.  Draws them on the way, where --save asks for it."""
    from runner.datasets import expand_images
    from runner.inference.detect import detect
    for videos, group in itertools.groupby(args.images, is_video):
        if videos:
            for source in group:
                yield from frames(args, net, source, own_stem(source.replace(":", ""), stems), how)
            continue
        for scene in detect(net, expand_images(group), **how):
            stem = "" if scene.error else own_stem(scene.image, stems)
            if args.save and not scene.error:
                draw(scene, Path(args.save) / f"{stem}.png")
            yield None, scene, stem


def frames(args: argparse.Namespace, net: "Network", source: str, stem: str,
           how: dict[str, Any]) -> Iterator["tuple[int, ImageDetections, str]"]:
    """The frames of one video, and out/NAME.mp4 with the boxes where --save asks for it."""
    from contextlib import ExitStack
    from dataclasses import replace

    from runner.images.video import Video, VideoWriter
    from runner.inference.detect import detect
    with ExitStack() as stack:
        video = stack.enter_context(Video(source, net.in_shape[0]))
        target = stack.enter_context(VideoWriter(Path(args.save) / f"{stem}.mp4", video.rate)) if args.save else None
        every = itertools.islice(video, 0, args.frames and args.frames * args.every, args.every)
        for number, scene in enumerate(detect(net, every, **how)):
            if target:
                target.write(drawn(scene))
            frame_id = 1 + number * args.every
            yield frame_id, replace(scene, image=source), f"{stem}-{frame_id:06d}"


def is_video(source: str) -> bool:
    from runner.images import video
    return video.is_video(source)


def class_names(args: argparse.Namespace, net: "Network", trained: list[str]) -> list[str]:
    """From --names, else from the run that trained the weights, else from the one .names file beside the weights or
    the cfg that has as many lines as the network has classes."""
    from runner.datasets.lists import read_lines

    def lines(path: str | Path) -> list[str]:
        return [line for _, line in read_lines(path) if line]
    if args.names or trained:
        return lines(args.names) if args.names else trained
    from runner.detection import detection_heads
    classes = {getattr(net.layers[index].options, "classes", 0) for index in detection_heads(net.layers)}
    for folder in [Path(args.weights).parent] * bool(args.weights) + [Path(args.cfg).parent]:
        fitting = [names for names in map(lines, sorted(folder.glob("*.names"))) if {len(names)} == classes]
        if len(fitting) == 1:
            return fitting[0]
    return []


def number(word: str, names: list[str]) -> int:
    """A class by its name or number; UsageError names the near one."""
    from runner.errors import UsageError, did_you_mean
    if word in names:
        return names.index(word)
    if word.isdecimal():
        return int(word)
    raise UsageError(f"--class: there is no class {word!r}{did_you_mean(word, names) if names else ''}")


def tell(scene: "ImageDetections", frame_id: int | None) -> None:
    """The image and what is on it, a line each; of a frame all in one line."""
    assert scene.pixels is not None
    _, height, width = scene.pixels.shape
    surest = sorted(scene.detections, key=lambda thing: -thing.confidence)
    if frame_id is not None:
        words = ", ".join(f"{thing.name} {100 * thing.confidence:.0f} %" for thing in surest)
        console.say(f"{scene.image}, frame {frame_id}: {words or 'nothing found'}")
        return
    console.say(f"{scene.image}: {len(scene.detections) or 'nothing'} found")
    for thing in surest:
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


def draw(scene: "ImageDetections", target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn(scene, LEGIBLE).save(target)


def drawn(scene: "ImageDetections", least: int = 1) -> "Image.Image":
    """The picture with its boxes; enlarged until its short side has `least` pixels."""
    from runner.images.draw import draw_boxes
    assert scene.pixels is not None
    times = -(-least // min(scene.pixels.shape[1:]))
    pixels = scene.pixels.repeat(times, axis=1).repeat(times, axis=2)
    _, height, width = pixels.shape
    return draw_boxes(pixels, [(thing.name, thing.index, thing.confidence, thing.corners(width, height))
                               for thing in scene.detections])


def write_labels(scene: "ImageDetections", target: Path) -> None:
    from runner.files import atomic_write
    with atomic_write(target, "w") as file:
        for thing in scene.detections:
            file.write(f"{thing.index} {' '.join(f'{value:.6f}' for value in thing.box)}\n")


class Seen(NamedTuple):
    """What --json and --csv need of a scene, without its pixels: memory does not grow with the images."""
    image: str
    frame_id: int | None
    size: tuple[int, int]
    found: "tuple[Detection, ...]"


def without_pixels(scene: "ImageDetections", frame_id: int | None) -> Seen:
    assert scene.pixels is not None
    return Seen(scene.image, frame_id, (scene.pixels.shape[2], scene.pixels.shape[1]), scene.detections)


def as_json(seen: Seen, number: int) -> dict[str, Any]:
    """One image in the layout of darknet's -out result.json; number counts the images, frames have their own."""
    return {"frame_id": seen.frame_id or number, "filename": seen.image, "objects": [
        {"class_id": thing.index, "name": thing.name,
         "relative_coordinates": dict(zip(("center_x", "center_y", "width", "height"), thing.box, strict=True)),
         "confidence": thing.confidence} for thing in seen.found]}


def write_csv(target: str, scenes: list[Seen]) -> None:
    """A line for each thing; the column `frame` is there where there are videos."""
    import csv

    from runner.files import atomic_write
    framed = any(one.frame_id is not None for one in scenes)
    with atomic_write(target, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", *["frame"] * framed, "class_id", "name", "confidence", "left", "top", "right",
                        "bottom"])
        for one in scenes:
            for thing in one.found:
                table.writerow([one.image, *[one.frame_id] * framed, thing.index, thing.name, f"{thing.confidence:.6f}",
                                *(f"{value:.1f}" for value in thing.corners(*one.size))])
