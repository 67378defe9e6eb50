"""Detect objects in images with a trained detector: published YOLO weights, or your own.

The images are any mix of images, folders, globs and list files; videos, and `camera`, need requirements-video.txt.
--json has the format of darknet's result.json, --txt writes YOLO labels, --csv a table in pixels; --save draws the
boxes, --crops cuts them out, --track follows objects through a video.

  python run.py detect yolov3-tiny.cfg --weights yolov3-tiny.weights photos/ --save out/
  python run.py detect my.cfg --weights my.weights dog.jpg --names my.names --thresh .4 --json out.json
  python run.py detect my.cfg --weights my.weights large.jpg --tiles auto --save out/   small objects in large images
  python run.py detect my.cfg --weights my.weights clip.mp4 --save out/ --every 5
  python run.py detect my.cfg --weights my.weights clip.mp4 --save out/ --track --mot tracks.txt --blur face
"""
import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.cli import boxes, common, console, detect_outputs, json_lines, process, runs
from runner.cli.detect_outputs import Targets, Tracks
from runner.errors import counted

if TYPE_CHECKING:
    from PIL import Image

    from runner.chosen_run import ChosenRun
    from runner.inference.detect import Detection, ImageDetections
    from runner.network import Network

MIN_DRAWN_SIDE = 200    # pixels of the short side of a drawing; in smaller ones labels would cover the image


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser, "; its last layers are [yolo], [region] or [detection]")
    parser.add_argument("images", nargs="+", help="images, folders, globs, list files, -; videos, camera, camera:1")
    common.weights_option(parser)
    common.size_option(parser)
    parser.add_argument("--names", metavar="FILE",
                        help="class names, one per line (default: those of the training run, or the .names file in the "
                             "folder of the weights or the cfg that has as many lines as there are classes)")
    parser.add_argument("--thresh", type=common.share,
                        help="minimum confidence (default: with the best weights of a run, the one with the highest F1 "
                             "on its test images; else .25)")
    parser.add_argument("--nms", type=common.share, default=0.45,
                        help="maximum IoU of two boxes of a class (default .45)")
    boxes.nms_options(parser)
    boxes.tile_options(parser)
    common.letterbox_options(parser)
    parser.add_argument("--save", metavar="FOLDER", action=common.Output, content="folder",
                        help="write the images with their boxes")
    parser.add_argument("--txt", metavar="FOLDER", action=common.Output, content="folder",
                        help="write YOLO labels: class x y w h, as fractions of the image")
    detect_outputs.crop_options(parser)
    parser.add_argument("--csv", metavar="FILE", action=common.Output, content="table",
                        help="write a table: image, class, confidence, box in pixels")
    parser.add_argument("--every", type=common.positive, default=1, metavar="N",
                        help="process only every Nth frame of a video")
    parser.add_argument("--frames", type=common.positive, metavar="N", help="process at most N frames of a video")
    detect_outputs.track_options(parser)
    common.on_bad_option(parser)
    common.json_option(parser)
    json_lines.options(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    if json_lines.requested(args):
        return write_parts(args)
    from runner.images import channels_shown
    sources = sources_of(args.images)
    detect_outputs.require_sense(args, sources)
    if any(videos for videos, _ in sources):
        from runner.images.video import opencv
        opencv()                # a missing package is reported before the work
    console.detail(f"images and videos: {sum(len(paths) for _, paths in sources):,}, of "
                   f"{counted(len(args.images), 'argument')}")
    targets = targets_of(args, sources)
    net, run = runs.load_trained(args, onnx=True)
    names = class_names(args, net, run)
    options = detect_options(args, net, run, names)
    targets.obscure(args, names, class_count(net))
    tracks = Tracks(args)
    options["thresh"] = tracks.lowest()
    records: list[Record] = []
    interrupted = False
    count = bad = above = 0
    try:
        for frame_id, result, stem in detect_all(args, net, sources, targets, options, tracks):
            count += 1
            above += sum(one.confidence > 1 for one in result.detections)
            if result.error:
                bad += 1
                console.warn([result.error])
                continue
            boxes.detail_tiles(args, net, result)
            if "-" not in (args.json, args.mot):
                print_detections(result, frame_id)
            targets.write(result, stem)
            tracks.add(result, frame_id or count)
            if args.json or args.csv:
                records.append(record_of(result, frame_id))
    except KeyboardInterrupt:
        if not any(is_video(source) for source in args.images):
            raise
        interrupted = True      # the usual end of a camera
        console.remark("\nstopped; the results so far are written")
    if args.json:
        console.write_json(args.json, [as_json(record, number) for number, record in enumerate(records, 1)])
    if args.csv:
        write_csv(args.csv, records, tracked=args.track)
    tracks.write()
    if above:
        console.warn([f"{counted(above, 'box')} with a confidence above 1, so these are not probabilities: "
                      f"`check` may say why"])
    if args.save and count > bad and (shown := channels_shown(net.in_shape[0])):
        console.remark(f"{args.save}: the drawings show {shown}")
    if bad:
        console.remark(f"{bad} of {counted(count, 'image')} could not be read")
    return process.INTERRUPTED if interrupted else process.CANNOT if bad and bad == count else process.DONE


def write_parts(args: argparse.Namespace) -> int:
    """--json-lines."""
    from runner.errors import UsageError
    from runner.inference.detect import detect
    from runner.inference.plan import Plan
    if videos := [source for source in args.images if is_video(source)]:
        raise UsageError(f"{videos[0]}: --json-lines is for images: how many frames a video has is not known before it "
                         "is read. --json writes what is detected in them")
    status = json_lines.shared_out(args)
    if status is not None:
        return status
    with json_lines.once():
        net, run = runs.load_trained(args, onnx=True)
        names = class_names(args, net, run)
        options = detect_options(args, net, run, names)
    plan = Plan(net)

    def results(images: Iterator[str], first: int) -> Iterator[dict[str, Any]]:
        for number, result in enumerate(detect(net, images, plan=plan, **options), first + 1):
            if result.error:
                yield {"error": result.error, "filename": result.image}
                continue
            record = as_json(record_of(result, None), number)
            yield {"filename": record.pop("filename"), "width": result.size[0], "height": result.size[1], **record}
    return json_lines.write_parts(args, run, names, results)


def detect_options(args: argparse.Namespace, net: "Network", run: "ChosenRun", names: list[str]) -> dict[str, Any]:
    """What `runner.inference.detect.detect` is given.  args.thresh becomes the threshold that is used."""
    args.thresh = runs.threshold(args, run)
    return {"names": names, "thresh": args.thresh, "letterbox": args.letterbox, "on_bad": args.on_bad,
            **vars(boxes.nms_choice(args, names, class_count(net))), **boxes.tile_choice(args)}


def sources_of(images: list[str]) -> "list[tuple[bool, list[str]]]":
    """Images and videos in their order, in groups -> whether a group is of videos, and its paths."""
    from runner.datasets import expand_images
    return [(videos, list(group) if videos else expand_images(group))
            for videos, group in itertools.groupby(images, is_video)]


def targets_of(args: argparse.Namespace, sources: "list[tuple[bool, list[str]]]") -> Targets:
    stems: set[str] = set()
    return Targets(args, [(videos, stem_of(path, videos, stems)) for videos, paths in sources for path in paths],
                   [path for _, paths in sources for path in paths])


def detect_all(args: argparse.Namespace, net: "Network", sources: "list[tuple[bool, list[str]]]", targets: Targets,
               options: dict[str, Any], tracks: Tracks) -> Iterator["tuple[int | None, ImageDetections, str]"]:
    """For every image and every video frame: the frame's number from 1 (None: an image), its detections, and the stem
    of the files written about it.  Images are drawn here if --save asks for it."""
    from runner.inference.detect import detect
    stems: set[str] = set()
    for videos, group in sources:
        if videos:
            for source in group:
                yield from detect_frames(args, net, source, stem_of(source, videos, stems), targets, options,
                                         tracks)
            continue
        for result in map(targets.prepared, tracks.follow(detect(net, group, **options))):
            stem = "" if result.error else stem_of(result.image, videos, stems)
            if targets.drawings and not result.error:
                with targets.drawings.file(f"{stem}.png") as path:
                    draw(result, MIN_DRAWN_SIDE).save(path, "PNG")
            yield None, result, stem


def detect_frames(args: argparse.Namespace, net: "Network", source: str, stem: str, targets: Targets,
                  options: dict[str, Any], tracks: Tracks) -> Iterator["tuple[int, ImageDetections, str]"]:
    """The detections in the frames of one video; with --save, the video is written with its boxes."""
    from contextlib import ExitStack
    from dataclasses import replace

    from runner.images.video import Video, VideoWriter
    from runner.inference.detect import detect
    with ExitStack() as stack:
        video = stack.enter_context(Video(source, net.in_shape[0]))
        target = None
        if targets.drawings:
            path = stack.enter_context(targets.drawings.file(f"{stem}.mp4"))
            target = stack.enter_context(VideoWriter(path, video.rate))
        frames = itertools.islice(video, 0, args.frames and args.frames * args.every, args.every)
        for number, result in enumerate(map(targets.prepared, tracks.follow(detect(net, frames, **options)))):
            if target:
                target.write(draw(result))
            frame_id = 1 + number * args.every
            yield frame_id, replace(result, image=source), f"{stem}-{frame_id:06d}"


def is_video(source: str) -> bool:
    from runner.images import video
    return video.is_video(source)


def class_names(args: argparse.Namespace, net: "Network", run: "ChosenRun") -> list[str]:
    return runs.class_names(args, run, class_count(net))


def class_count(net: "Network") -> int:
    from runner.detection import require_detection_heads
    return max(getattr(net.layers[index].options, "classes", 0) for index in require_detection_heads(net.layers))


def print_detections(result: "ImageDetections", frame_id: int | None) -> None:
    """An image and its detections, one per line; a video frame in a single line."""
    assert result.pixels is not None
    _, height, width = result.pixels.shape
    detections = sorted(result.detections, key=lambda one: -one.confidence)
    if frame_id is not None:
        words = ", ".join(f"{console.one_line(one.label)} {100 * one.confidence:.0f} %" for one in detections)
        console.say(f"{result.image}, frame {frame_id}: {words or 'nothing found'}")
        return
    console.say(f"{console.one_line(result.image)}: {len(detections) or 'nothing'} found")
    for one in detections:
        left, top, right, bottom = (round(value) for value in one.corners(width, height))
        console.say(f"  {console.paint(console.one_line(one.label), 'bold')} {100 * one.confidence:.0f} %  "
                    f"left {left}, top {top}, {right - left} x {bottom - top} pixels")


def stem_of(source: str, video: bool, used: set[str]) -> str:
    """The stem of the files written about an image: that of the image, `dog`, with a number, `dog-2`, if another image
    has the same (dog.jpg and dog.png, or in two folders)."""
    from runner.outputs import unique_name
    return unique_name(Path(source.replace(":", "") if video else source).stem, used)


def draw(result: "ImageDetections", min_side: int = 1) -> "Image.Image":
    """The image with its boxes, enlarged by an integer until its short side has at least `min_side` pixels."""
    return result.draw(min_side)


class Record(NamedTuple):
    """What --json and --csv need of an image's detections, without its pixels: these are not kept in memory."""
    image: str
    frame_id: int | None
    size: tuple[int, int]
    detections: "tuple[Detection, ...]"


def record_of(result: "ImageDetections", frame_id: int | None) -> Record:
    assert result.pixels is not None
    return Record(result.image, frame_id, (result.pixels.shape[2], result.pixels.shape[1]), result.detections)


def as_json(record: Record, number: int) -> dict[str, Any]:
    """One image in the format of darknet's -out result.json; `number` counts images, frames have their own."""
    return {"frame_id": record.frame_id or number, "filename": record.image, "objects": [
        one.to_dict() for one in record.detections]}


def write_csv(target: str, records: list[Record], tracked: bool = False) -> None:
    """A row per detection; there is a column `frame` if there are videos, and `track` if objects are followed."""
    import csv

    from runner.files import atomic_write
    framed = any(record.frame_id is not None for record in records)
    with atomic_write(target, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", *["frame"] * framed, "class_id", "name", "confidence", "left", "top", "right",
                        "bottom", *["track"] * tracked])
        for record in records:
            for one in record.detections:
                table.writerow([record.image, *[record.frame_id] * framed, one.index, one.name,
                                f"{one.confidence:.6f}", *(f"{value:.1f}" for value in one.corners(*record.size)),
                                *[one.track or ""] * tracked])
