"""What `detect` writes about each image and frame: drawings, labels, crops; objects made unrecognisable; tracks."""
import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.inference.detect import ImageDetections

OBSCURED = ("blur", "pixelate")


def crop_options(parser: argparse.ArgumentParser) -> None:
    """--save-conf, --crops, --blur, --pixelate."""
    parser.add_argument("--save-conf", action="store_true",
                        help="with --txt: the confidence as a sixth number. Such files are not labels to train with")
    parser.add_argument("--crops", metavar="FOLDER", action=common.Output, content="folder",
                        help="write each object as an image, CLASS/IMAGE_1.png, CLASS/IMAGE_2.png ...")
    for method, words in (("blur", "blur"), ("pixelate", "pixelate")):
        parser.add_argument(f"--{method}", metavar="NAME", action="append", default=[],
                            help=f"{words} the objects of this class in the images that --save and --crops write; may "
                                 "be repeated")


def track_options(parser: argparse.ArgumentParser) -> None:
    """--track, --track-keep, --mot."""
    parser.add_argument("--track", action="store_true",
                        help="follow objects through a video, or through images in their order: each has a number "
                             "(ByteTrack; --thresh is for new objects, boxes above .1 continue one)")
    parser.add_argument("--track-keep", type=common.natural, metavar="N",
                        help="with --track: remember an object that is not detected for N frames (default 30)")
    parser.add_argument("--mot", metavar="FILE", action=common.Output, content="tracks",
                        help="with --track: write the tracks as MOTChallenge's text: frame, id, left, top, width, "
                             "height, confidence, -1, -1, -1")


def require_sense(args: argparse.Namespace, sources: "list[tuple[bool, list[str]]]") -> None:
    """UsageError for options of these that do not go together."""
    from runner.errors import UsageError
    if args.save_conf and not args.txt:
        raise UsageError("--save-conf adds to --txt FOLDER, which is not given")
    for method in OBSCURED:
        if getattr(args, method) and not (args.save or args.crops):
            raise UsageError(f"--{method} changes the images that --save and --crops write: neither is given")
    for flag, given in (("--track-keep", args.track_keep is not None), ("--mot", args.mot)):
        if given and not args.track:
            raise UsageError(f"{flag} is an option of --track, which is not given")
    if args.json == args.mot == "-":
        raise UsageError("--json - and --mot - cannot both be stdout")
    if args.mot and (len(sources) > 1 or (sources[0][0] and len(sources[0][1]) > 1)):
        raise UsageError("--mot FILE has the tracks of one video, or of one sequence of images. Got several: run "
                         "`detect` for each")


class Targets:
    """The folders of --save, --txt and --crops, None where they are not given.  UsageError, before anything is
    computed, if a file there would be replaced that is an input or not ours.

    obscured  class number -> "blur" or "pixelate"; set when the classes are known
    """

    def __init__(self, args: argparse.Namespace, named: "list[tuple[bool, str]]", inputs: Sequence[str]):
        """named: videos or not, and the stem of the files about each input."""
        from runner.outputs import OutputFolder
        self.drawings = OutputFolder("--save", args.save, inputs) if args.save else None
        self.labels = OutputFolder("--txt", args.txt, inputs) if args.txt else None
        self.crops = OutputFolder("--crops", args.crops, inputs) if args.crops else None
        self.with_confidence = args.save_conf
        self.obscured: dict[int, str] = {}
        if self.drawings:
            self.drawings.require_free(f"{stem}.{'mp4' if videos else 'png'}" for videos, stem in named)
        if self.labels:
            self.labels.require_free(f"{stem}.txt" for videos, stem in named if not videos)
        if self.crops:
            self.crops.require_free(self._crops_there(stem for _, stem in named))

    def _crops_there(self, stems: Iterable[str]) -> Iterator[str]:
        """The files in the folder of the crops that have the name of one."""
        import re
        assert self.crops
        known = {stem.casefold() for stem in stems}
        for path in sorted(self.crops.path.glob("*/*_*.png")):
            match = re.fullmatch(r"(.*?)(-[0-9]{6,})?_[0-9]+", path.stem)
            if match and known & {match[1].casefold(), (match[1] + (match[2] or "")).casefold()}:
                yield f"{path.parent.name}/{path.name}"

    def obscure(self, args: argparse.Namespace, names: Sequence[str], count: int) -> None:
        """Read --blur and --pixelate.  UsageError for a class that is not one of the `count` classes."""
        from runner.detection import chosen_classes
        from runner.errors import UsageError
        for method in OBSCURED:
            try:
                chosen = chosen_classes(getattr(args, method), [], names, count) if getattr(args, method) else ()
            except UsageError as error:
                raise UsageError(f"--{method}: {error}") from None
            for index in chosen or ():
                if index in self.obscured:
                    raise UsageError(f"--blur and --pixelate are both given for the class "
                                     f"{names[index] if index < len(names) else index}")
                self.obscured[index] = method

    def prepared(self, result: "ImageDetections") -> "ImageDetections":
        """With the pixels that are written: objects of some classes are unrecognisable."""
        return result.obscured(self.obscured) if self.obscured and result.pixels is not None else result

    def write(self, result: "ImageDetections", stem: str) -> None:
        """The label file, and the crops, of an image or frame."""
        if self.labels:
            with self.labels.file(f"{stem}.txt") as path:
                write_labels(result, path, self.with_confidence)
        if self.crops:
            from runner.outputs import file_stem
            for number, (one, image) in enumerate(zip(result.detections, result.crops(), strict=True), 1):
                with self.crops.file(f"{file_stem(one.name)}/{stem}_{number}.png") as path:
                    image.save(path, "PNG")


def write_labels(result: "ImageDetections", target: Path, confidence: bool = False) -> None:
    """A line `class x y w h` for each detection; with the confidence behind it."""
    with open(target, "w", encoding="utf-8") as file:
        for one in result.detections:
            values = [*one.box, one.confidence] if confidence else one.box
            file.write(f"{one.index} {' '.join(f'{value:.6f}' for value in values)}\n")


class Tracks:
    """--track and --mot."""

    def __init__(self, args: argparse.Namespace):
        self.wanted, self.thresh, self.target = args.track, args.thresh, args.mot
        self.keep = 30 if args.track_keep is None else args.track_keep
        self._lines: list[str] = []
        if self.wanted:
            from runner.detection.tracking import has_hungarian
            from runner.program import install_command
            if not has_hungarian():
                console.remark("--track: SciPy is not installed, so boxes are matched with tracks one by one, the "
                               f"closest pair first. The best assignment: {install_command('track')}")

    def lowest(self) -> float:
        """The threshold to detect with."""
        from runner.inference.track import LOW
        return min(self.thresh, LOW) if self.wanted else self.thresh

    def follow(self, results: "Iterator[ImageDetections]") -> "Iterator[ImageDetections]":
        """The results of one sequence with the ids of their tracks."""
        if not self.wanted:
            return results
        from runner.inference.track import track
        return track(results, thresh=self.thresh, low=self.lowest(), keep_frames=self.keep)

    def add(self, result: "ImageDetections", frame: int) -> None:
        from runner.detection.tracking import mot_line
        if self.target:
            self._lines += [mot_line(frame, one.track, one.corners(*result.size), one.confidence)
                            for one in result.detections if one.track is not None]

    def write(self) -> None:
        """--mot."""
        if not self.target:
            return
        from runner.files import atomic_write
        text = "".join(f"{line}\n" for line in self._lines)
        if self.target == "-":
            console.say(text.removesuffix("\n"))
            return
        with atomic_write(self.target, "w") as file:
            file.write(text)
