"""Commands of darknet: prints the equivalent command, and runs it with --run.

  python run.py detector train my.data my.cfg darknet53.conv.74
  python run.py detector test my.data my.cfg my.weights dog.jpg -thresh .4 --run      and run it

COMMANDS is the table: the arguments of each darknet command, and its equivalent here.  docs/from-darknet.md is
generated from it.
"""
import argparse
import importlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.cli import console
from runner.errors import DataError, misspelled
from runner.program import adapted, program
from runner.program import command as command_line

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Command:
    """
    takes  the arguments of darknet's command, in order; "[x]" is optional, "x..." takes the rest
    here   the arguments of this program; a part in brackets is used only if all its {values} are known
    note   a remark on the difference or, if there is no such command here, the reason
    """
    takes: str
    here: str = ""
    note: str = ""


TRAIN = "train {cfg} --data {data} [--weights {weights}] [--cutoff {cutoff}] [--clear{clear}]"
DETECT = ("detect {cfg} {image} --weights {weights} [--names {names}] [--thresh {thresh}] [--letterbox{letter_box}] "
          "[--json {out}] [--txt labels{save_labels}] --save predictions")
VIDEO = ("detect {cfg} {video} --weights {weights} [--names {names}] [--thresh {thresh}] [--letterbox{letter_box}] "
         "[--json {json_file_output}] [--save {out_filename}] [--save {prefix}]")
TEST = "test {cfg} --data {data} --weights {weights} [--thresh {thresh}] [--iou {iou_thresh}] [--points {points}] " \
       "[--letterbox{letter_box}]"
PREDICT = "predict {cfg} {image} --weights {weights} [--names {names}] [--top {t}]"
RATED = "test {cfg} --data {data} --weights {weights}"
GENERATE = "generate {cfg} [--weights {weights}] [--seed-text {seed}] [--length {len}] [--temperature {temp}] " \
           "[--seed {srand}]"
NOT_HERE = "not supported"

COMMANDS = {
    "detector train": Command("data cfg [weights]", TRAIN,
                              "evaluates while training, as with -map; --resume continues the run"),
    "detector test": Command("data cfg weights [image]", DETECT, "the images with their boxes go to predictions/"),
    "detector valid": Command("data cfg weights", "test {cfg} --data {data} --weights {weights} --submit {eval}",
                              "computes the average precision too; boxes above .005 are written"),
    "detector valid2": Command("data cfg weights", TEST, "boxes are not averaged with those of the mirrored image"),
    "detector recall": Command("data cfg weights", TEST, "prints recall with precision and average precision"),
    "detector map": Command("data cfg weights", TEST),
    "detector calc_anchors": Command("data", "anchors --data {data} --clusters {num_of_clusters} --width {width} "
                                     "--height {height} [--save anchors.png{show}]"),
    "detector demo": Command("data cfg weights [video]", VIDEO, "videos need requirements-video.txt"),
    "detector draw": Command("data cfg weights [image]", "", "it draws patterns that mislead a detector"),
    "detect": Command("cfg weights [image]", DETECT),
    "yolo train": Command("cfg [weights]", "train {cfg} [--weights {weights}] [--cutoff {cutoff}]",
                          "the data is named by --data; darknet's is fixed to /data/voc"),
    "yolo test": Command("cfg weights [image]", DETECT),
    "yolo valid": Command("cfg weights", "test {cfg} --weights {weights}", "the data is named by --data"),
    "yolo recall": Command("cfg weights", "test {cfg} --weights {weights}", "the data is named by --data"),
    "yolo demo": Command("cfg weights [video]", VIDEO),
    "coco train": Command("cfg [weights]", "train {cfg} [--weights {weights}] [--cutoff {cutoff}]",
                          "the data is named by --data; darknet's is fixed to data/coco"),
    "coco test": Command("cfg weights [image]", DETECT),
    "coco valid": Command("cfg weights", "test {cfg} --weights {weights}", "the data is named by --data"),
    "coco recall": Command("cfg weights", "test {cfg} --weights {weights}", "the data is named by --data"),
    "coco demo": Command("cfg weights [video]", VIDEO),
    "classifier train": Command("data cfg [weights]", TRAIN, "evaluates while training; the log has top-5 accuracy"),
    "classifier predict": Command("data cfg weights [image]", PREDICT),
    "classifier try": Command("data cfg weights [image]", PREDICT, "the layer to show cannot be chosen"),
    "classifier test": Command("data cfg weights", "predict {cfg} {valid} --weights {weights} [--names {names}] --json "
                               "results.json"),
    "classifier label": Command("data cfg weights", "predict {cfg} {valid} --weights {weights} [--names {names}] "
                                "--json results.json"),
    "classifier valid": Command("data cfg weights", RATED),
    "classifier validcrop": Command("data cfg weights", RATED),
    "classifier validfull": Command("data cfg weights", RATED),
    "classifier validmulti": Command("data cfg weights", RATED + " --sizes 224,256,288,320,352"),
    "classifier valid10": Command("data cfg weights", RATED + " --crops 10"),
    "classifier demo": Command("data cfg weights [video]", "", "`predict` reads images, not a camera"),
    "classify": Command("cfg weights [image]", PREDICT),
    "cifar train": Command("cfg [weights]", "train {cfg} --data data/cifar10 [--weights {weights}] [--clear{clear}]",
                           "`download cifar10` fetches the images"),
    "cifar test": Command("cfg weights", "test {cfg} --data data/cifar10 --weights {weights} --top-k 1,2"),
    "cifar multi": Command("cfg weights", "test {cfg} --data data/cifar10 --weights {weights} --crops 10"),
    "rnn train": Command("cfg [weights]", "train {cfg} [--data {file}] [--weights {weights}] [--clear{clear}]"),
    "rnn valid": Command("cfg weights", "test {cfg} [--data {file}] --weights {weights}",
                         "evaluates on the last tenth of the text of --data; darknet reads stdin"),
    "rnn validtactic": Command("cfg weights", "test {cfg} [--data {file}] --weights {weights}"),
    "rnn generate": Command("cfg weights", GENERATE),
    "rnn generatetactic": Command("cfg weights", GENERATE, "does not stop at the end of a line"),
    "rnn vec": Command("cfg weights", "", "from Python, net.outputs(x) gives the output of every layer"),
    "partial": Command("cfg weights out n", "weights partial {cfg} {weights} {out} {n}",
                       "`train --cutoff N` also reads a whole file up to there"),
    "average": Command("cfg out files...", "weights average {cfg} {out} {files}",
                       "ema_alpha= in [net] averages while training"),
    "rgbgr": Command("cfg weights out", "weights rgbgr {cfg} {weights} {out}"),
    "rescale": Command("cfg weights out", "weights rescale {cfg} {weights} {out}"),
    "ops": Command("cfg", "summary {cfg}", "BFLOPs of every layer, and their sum"),
    "speed": Command("cfg [tics]", "profile {cfg} [--runs {tics}]"),
    "reset": Command("cfg weights out", "weights reset {cfg} {weights} {out}"),
    "denormalize": Command("cfg weights out", "weights denormalize {cfg} {weights} {out}",
                           "writes the cfg without batch norm too"),
    "normalize": Command("cfg weights out", "", "train with batch_normalize=1, --weights and --partial instead"),
    "oneoff": Command("cfg weights out", "weights oneoff {cfg} {weights} {out}",
                      "the number of filters follows from the size of the file; darknet has 11921 or 9372 in its code"),
    "oneoff2": Command("cfg weights out n", "weights oneoff2 {cfg} {weights} {out} {n}"),
    "statistics": Command("cfg weights", "weights statistics {cfg} {weights}", "every layer"),
    "print": Command("cfg weights n", "", "`weights info` has the numbers of every array"),
    "visualize": Command("cfg [weights]", "", "from Python, net.layers[i].params holds the weights"),
    **{name: Command("...", "", NOT_HERE) for name in (
        "regressor", "segmenter", "isegmenter", "lsd", "nightmare", "tag", "art", "super", "writing", "captcha", "dice",
        "voxel", "go", "vid", "3d", "imtest", "mkimg", "cfglayers", "cifar distill", "cifar extract", "cifar csv",
        "cifar csvtrain", "cifar eval", "classifier gun", "classifier threat", "classifier csv", "classifier fout")},
}
SPELLINGS = {"calcanchors": "calc_anchors"}     # hank-ai's
DEFAULTS = {"detector calc_anchors": {"num_of_clusters": "5", "width": "416", "height": "416"},
            "detector valid": {"eval": "voc"}}


@dataclass(frozen=True)
class Flag:
    """value: whether a value follows; why: the remark if the command here has no option for it."""
    value: bool
    why: str


NO_WINDOW = "there is no window"
NO_GPU = "there is no GPU"
NO_SERVER = "nothing is sent over a network"
ALWAYS = "always the case here"
FLAGS = {
    "thresh": Flag(True, "an option of `detect` and `test`"), "iou_thresh": Flag(True, "an option of `test`"),
    "points": Flag(True, "an option of `test`"), "letter_box": Flag(False, "set letter_box=1 in [net]"),
    "out": Flag(True, "--json writes the results"), "save_labels": Flag(False, "--txt of `detect` writes labels"),
    "clear": Flag(False, "an option of `train`"), "t": Flag(True, "an option of `predict`"),
    "num_of_clusters": Flag(True, "an option of `anchors`"), "width": Flag(True, "--set net.width="),
    "height": Flag(True, "--set net.height="), "w": Flag(True, "a video keeps its size"),
    "h": Flag(True, "a video keeps its size"), "show": Flag(False, NO_WINDOW), "c": Flag(True, "a camera is camera:N"),
    "out_filename": Flag(True, "--save FOLDER writes the video"), "prefix": Flag(True, "--save FOLDER writes images"),
    "json_file_output": Flag(True, "--json writes the results"), "file": Flag(True, "--data names the text"),
    "seed": Flag(True, "--seed-text of `generate`"), "len": Flag(True, "--length of `generate`"),
    "temp": Flag(True, "--temperature of `generate`"), "srand": Flag(True, "--seed"),
    "map": Flag(False, "mAP is computed while training, every --validate-every updates"),
    "mAP_epochs": Flag(True, "--validate-every counts updates"),
    "topk": Flag(False, "top-5 accuracy is in the log; --top-k of `test` gives others"),
    "gpus": Flag(True, NO_GPU), "i": Flag(True, NO_GPU), "nogpu": Flag(False, ALWAYS),
    "cuda_debug_sync": Flag(False, NO_GPU), "fp16": Flag(False, NO_GPU), "fp32": Flag(False, ALWAYS),
    "dont_show": Flag(False, ALWAYS), "show_imgs": Flag(False, "`augment` draws what a network sees"),
    "chart": Flag(True, "report.html has the curves"), "mjpeg_port": Flag(True, NO_SERVER),
    "json_port": Flag(True, NO_SERVER), "http_post_host": Flag(True, NO_SERVER),
    "benchmark": Flag(False, "`profile` times a network"),
    "benchmark_layers": Flag(False, "`profile` times every layer"),
    "ext_output": Flag(False, "boxes are printed; --csv writes them in pixels"), "fullscreen": Flag(False, NO_WINDOW),
    "dontdraw_bbox": Flag(False, "without --save nothing is drawn"),
    "hier": Flag(True, "it is .5, the default there"),
    "avgframes": Flag(True, "frames are not averaged"), "avg": Flag(True, "frames are not averaged"),
    "s": Flag(True, "--every N processes every Nth frame"), "fps": Flag(True, "a video keeps its speed"),
    "time_limit_sec": Flag(True, "--frames N ends a video"), "nms": Flag(True, "--nms of `detect` and `test`"),
    "dontuse_opencv": Flag(False, ALWAYS), "tokenized": Flag(False, "texts are read as bytes"),
    "tokens": Flag(True, "texts are read as bytes"), "verbose": Flag(False, "`summary` prints the layers"),
}


@dataclass
class Answer:
    """
    name     darknet's command
    words    the arguments of this program; empty: no such command here
    missing  arguments that were omitted, as placeholders in `words`
    remarks  what differs from darknet's command
    """
    name: str
    words: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        return command_line(*self.words)


def written(template: str) -> str:
    """A template as shown in the documentation: {cfg} becomes CFG; a flag without a value has no placeholder."""
    text = re.sub(r"(?<=\w){\w+}", "", template)
    return re.sub(r"{(\w+)}", lambda match: match[1].upper(), text)


def option_of(flag: str) -> str:
    """The option here that corresponds to a flag; "" if no command has one."""
    for command in COMMANDS.values():
        match = re.search(rf"(--[\w-]+)[^\[\]{{}}]*{{{flag}}}", command.here)
        if match:
            return match[1]
    return ""


def is_darknet(words: Sequence[str]) -> bool:
    """Whether this is a command of darknet.  Its `detect` differs from ours by the weights after the cfg."""
    plain, _ = _split(words)
    if plain[:1] == ["detect"]:
        return len(plain) > 2 and bool(re.search(r"\.(weights|backup)$|\.conv\.\d+$", plain[2])) and \
            "--weights" not in words
    return any(plain[:1] == name.split()[:1] for name in COMMANDS)


def near_command(words: Sequence[str]) -> str:
    """The command of darknet that these words misspell: "classifier train" for `clasifier trian`; "" if none."""
    plain, _ = _split(words)
    whole = misspelled(" ".join(plain[:2]).lower(), [name for name in COMMANDS if " " in name])
    first = misspelled(plain[0], dict.fromkeys(name.split()[0] for name in COMMANDS)) if plain else None
    return whole or first or ""


def answer(words: Sequence[str]) -> Answer:
    """The command here for the arguments of `darknet`, for which `is_darknet` is true."""
    plain, _ = _split(words)
    name = _name_of(plain)
    if not name:
        known = [name.split()[1] for name in COMMANDS if name.startswith(f"{plain[0]} ")]
        listed = ", ".join(sub for sub in known if COMMANDS[f"{plain[0]} {sub}"].here)
        near = misspelled(plain[1], known) if len(plain) > 1 else None
        return Answer(plain[0], remarks=[f"darknet's {plain[0]} is one of {listed}" if not near else
                                         f"darknet's {plain[0]} is one of {listed}. Got {plain[1]!r} (did you mean "
                                         f"{near!r}?)"])
    command, found = COMMANDS[name], Answer(name)
    options = _options_of(command.here.split()[0]) if command.here else {}
    plain, flags, own = _split_own(words, options)
    plain[:len(name.split())] = name.split()
    if not command.here:
        found.remarks.append(f"darknet's `{name}` has no counterpart: {command.note}")
        return found
    values = dict(DEFAULTS.get(name, {})) | _places(plain[len(name.split()):], command.takes, found)
    if "N" not in found.missing and not re.fullmatch(r"\d+", values.get("n", "0"), re.ASCII):
        return Answer(name, remarks=[f"darknet's `{name}`: N must be an integer, at least 0. Got {values['n']!r}"])
    for flag in [flag for flag, value in flags.items() if not value and flag in FLAGS and FLAGS[flag].value]:
        found.remarks.append(f"-{flag}: the value after it is missing")
        del flags[flag]
    values |= {flag: value for flag, value in flags.items() if flag in FLAGS}
    if "--resume" in own:
        omitted = [f"{one}" for one in (values.pop("weights", ""), "clear" in values and "-clear") if one]
        values.pop("clear", None)
        found.remarks += [f"{one}: omitted, since --resume continues with the weights of the run" for one in omitted]
    _fill(values, name, found)
    used = set(re.findall(r"{(\w+)", command.here))
    for flag in flags:
        if flag not in used and not (flag == "c" and "video" in used):
            found.remarks.append(f"-{flag}: {_why(flag)}")
    if command.note:
        found.remarks.append(command.note)
    found.words = [*_expanded(command.here, values), *own]
    return found


def respond(words: Sequence[str]) -> int:
    """Print the command to use here; with --run, run it -> exit status."""
    run = "--run" in words
    found = answer([word for word in words if word != "--run"])
    if not found.words:
        for remark in found.remarks:
            console.remark(f"{program()}: {remark}")
        return 2
    console.remark(f"the equivalent of darknet's `{found.name}`:")
    console.say(found.line)
    for remark in found.remarks:
        console.remark(adapted(remark))
    if not run:
        console.remark("(add --run to run it)")
        return 2
    if found.missing:
        console.remark(f"{program()}: {', '.join(found.missing)} must be given")
        return 2
    from runner.cli import main
    return main(found.words)


def _name_of(plain: Sequence[str]) -> str:
    """The command that the first words name; "" if none."""
    first = [SPELLINGS.get(word, word) for word in plain[:2]]
    return next((name for name in (" ".join(first), *first[:1]) if name in COMMANDS), "")


def _options_of(verb: str) -> dict[str, bool]:
    """Each option of a verb here -> whether a value follows it."""
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"runner.cli.{verb}").arguments(parser)
    return {name: action.nargs != 0 for action in parser._actions for name in action.option_strings}


def _split_own(words: Sequence[str], options: Mapping[str, bool]) -> tuple[list[str], dict[str, str], list[str]]:
    """As `_split`, and the options of the verb here among the words, which are kept as they are."""
    waiting, rest, own = list(words), list[str](), list[str]()
    while waiting:
        word = waiting.pop(0)
        name, equals, _ = word.partition("=")
        if name not in options or name.lstrip("-") in FLAGS:
            rest.append(word)
            continue
        own.append(word)
        if options[name] and not equals and waiting:
            own.append(waiting.pop(0))
    return *_split(rest), own


def _why(flag: str) -> str:
    """Why a flag is left out."""
    if flag in FLAGS:
        return FLAGS[flag].why
    near = misspelled(flag, FLAGS)
    return f"nothing here corresponds to it{f' (did you mean -{near}?)' if near else ''}"


def _split(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """-> words that are not flags, without a leading "darknet"; flag -> value, "" if it takes none.

    Flags may stand anywhere.  A number after an unknown flag is its value.
    """
    waiting = list(words)
    if waiting and Path(waiting[0]).name in ("darknet", "darknet.exe"):
        del waiting[0]
    plain: list[str] = []
    flags: dict[str, str] = {}
    while waiting:
        word = waiting.pop(0)
        name = word.lstrip("-")
        if not word.startswith("-") or not name or re.fullmatch(r"[\d.]+", name):
            plain.append(word)
            continue
        takes = FLAGS[name].value if name in FLAGS else bool(waiting and re.fullmatch(r"[\d.]+", waiting[0]))
        flags[name] = waiting.pop(0) if takes and waiting else ""
    return plain, flags


def _places(plain: Sequence[str], takes: str, found: Answer) -> dict[str, Any]:
    """name -> argument.  Files in another order are recognised by their extensions, as in hank-ai's fork."""
    names, values, rest = takes.split(), dict[str, Any](), list(plain)
    for name, ending in (("cfg", ".cfg"), ("data", ".data"), ("weights", ".weights")):
        match = next((word for word in rest if word.endswith(ending)), None)
        if name in names and match is not None:
            values[name] = match
            rest.remove(match)
    for name in names:
        key = name.strip("[].")
        if key in values:
            continue
        if rest:
            values[key] = rest if name.endswith("...") else rest.pop(0)
            rest = [] if name.endswith("...") else rest
        elif not name.startswith("["):
            values[key] = [key.upper()] if name.endswith("...") else key.upper()
            found.missing.append(key.upper())
    if rest:
        found.remarks.append(f"left over: {shlex.join(rest)}")
    return values


def _fill(values: dict[str, Any], name: str, found: Answer) -> None:
    """Add the values that darknet derives itself but a command here must be given."""
    if match := re.search(r"\.conv\.(\d+)$", values.get("weights", "")):
        values["cutoff"] = match[1]
    if "out_filename" in values:        # --save names a folder; the video in it keeps its name
        values["out_filename"] = str(Path(values["out_filename"]).with_suffix(""))
    if "[video]" in COMMANDS[name].takes and "video" not in values:
        values["video"] = "camera" + (f":{values['c']}" if values.get("c", "0") != "0" else "")
    if "[image]" in COMMANDS[name].takes and "image" not in values:
        values["image"] = "-"
        found.remarks.append("- reads the paths of images from stdin, as darknet does")
    data = values.get("data", "")
    if data and "{eval}" in COMMANDS[name].here and (form := _listed(data).get("eval", "voc")) != "voc":
        if form == "coco":
            values["eval"] = form
        else:
            found.remarks.append(f"eval={form}: files for this evaluator are not written")
    if data and {"{names}", "{valid}"} & set(re.findall(r"{\w+}", COMMANDS[name].here)):
        listed = _listed(data)
        if data not in found.missing and not Path(data).is_file():
            found.remarks.append(f"{data}: no such file, so what it lists is not filled in")
        values |= {key: listed[key] for key in ("names", "valid") if key in listed}
        if "valid" not in listed:
            values["valid"] = "IMAGES"
    if values.get("valid") == "IMAGES" and "{valid}" in COMMANDS[name].here:
        found.missing.append("IMAGES")


def _listed(data: str) -> dict[str, str]:
    """key -> value of a .data file, with paths relative to its folder resolved; empty if it cannot be read."""
    from runner.reading.text import read_text
    try:
        text = read_text(data, latin1=True)
    except DataError:
        return {}
    values = dict[str, str]()
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if equals and value and key[:1] not in ("#", ";"):
            relative = Path(data).parent / value
            values.setdefault(key, str(relative) if not Path(value).exists() and relative.exists() else value)
    return values


def _expanded(template: str, values: Mapping[str, Any]) -> list[str]:
    """The words of a command; a part in brackets only if all its values are known."""
    words: list[str] = []
    for optional, plain in re.findall(r"\[([^\]]*)\]|(\S+)", template):
        names = re.findall(r"{(\w+)}", optional)
        if plain or all(name in values for name in names):
            for word in (optional or plain).split():
                value = values.get(word.strip("{}"))
                words += value if isinstance(value, list) else [word.format(**values)]
    return words
