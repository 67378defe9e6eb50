"""Options that people know from other programs, and what they are called here."""
import argparse
from collections.abc import Sequence

from runner.errors import closest

SIZE, BATCH, THREADS, RATE, THRESH, EPOCHS = "--size", "--batch", "--threads", "--lr", "--thresh", "--epochs"
CPU = "everything is computed on the CPU; --threads says on how many cores"
FIRST = "the cfg, or the run, is the first argument: it has no option"
IMAGES = "the images follow the cfg: they have no option"
IOU_ONLY = "ONNX's NonMaxSuppression compares boxes by IoU only; `detect`, which runs a model too, has --nms-kind"
UPDATES = "--set net.max_batches="
FLOAT32 = "everything is computed in float32; `export --half` writes weights of 16 bits"
SCREEN = "nothing is shown on a screen; --save writes what is drawn"
SERVER = "nothing is sent anywhere; --json writes the results into a file"
DRAWN = "the drawing of boxes has no options"

# an option, in lower case and with hyphens -> ours, or a sentence; "VERB OPTION" is for that verb only
NEIGHBOURS = {
    "learning-rate": RATE, "lr0": RATE, "base-lr": RATE, "eta": RATE,
    "epoch": EPOCHS, "num-epochs": EPOCHS, "n-epochs": EPOCHS, "max-epochs": EPOCHS,
    "batch-size": BATCH, "bs": BATCH, "batchsize": BATCH,
    "imgsz": SIZE, "img-size": SIZE, "img": SIZE, "image-size": SIZE, "input-size": SIZE, "resolution": SIZE,
    "width": "--size WxH", "height": "--size WxH",
    "max-iter": UPDATES, "iterations": UPDATES, "max-batches": UPDATES, "max-steps": UPDATES,
    "momentum": "--set net.momentum=", "weight-decay": "--set net.decay=", "wd": "--set net.decay=",
    "warmup": "--set net.burn_in=", "warmup-epochs": "--set net.burn_in=", "burn-in": "--set net.burn_in=",
    "optimizer": "--set net.optimizer=",
    "mosaic": "--set net.mosaic=", "mixup": "--set net.mixup=", "fliplr": "--set net.flip=", "hsv-h": "--set net.hue=",
    "label-smoothing": "--set net.label_smooth_eps=", "max-grad-norm": "--set net.max_grad_norm=",
    "clip-grad": "--set net.max_grad_norm=", "dropout": "--set dropout.probability=", "cos-lr": "--set net.policy=sgdr",
    "scheduler": "--set net.policy=", "lr-scheduler": "--set net.policy=", "ema": "--set net.ema_alpha=",
    "workers": THREADS, "num-workers": THREADS, "jobs": THREADS, "j": THREADS, "num-threads": THREADS,
    "nproc": "--np", "num-procs": "--np", "processes": "--np", "num-processes": "--np", "nproc-per-node": "--np",
    "jsonl": "--json-lines", "merge output": "--to", "merge save": "--to",
    "device": CPU, "gpu": CPU, "gpus": CPU, "gpu-id": CPU, "i": CPU, "cuda": CPU, "no-cuda": CPU, "nogpu": CPU,
    "model": FIRST, "cfg": FIRST, "config": FIRST, "arch": FIRST,
    "checkpoint": "--weights", "pretrained": "--weights", "ckpt": "--weights", "pretrained-weights": "--weights",
    "conf": THRESH, "conf-thres": THRESH, "confidence": THRESH, "score-thr": THRESH, "threshold": THRESH,
    "classes": "--class", "iou-thres": "--nms", "test iou-thres": "--iou", "iou-thresh": "--iou", "nms-thresh": "--nms",
    "detect iou": "--nms", "class-agnostic": "--agnostic-nms", "soft-nms": "--nms-kind soft",
    "detect max-boxes": "--max-det", "detect topk": "--max-det", "detect top-k": "--max-det",
    "slice": "--tiles", "tile-size": "--tiles", "overlap-ratio": "--overlap",
    "agnostic": "--agnostic-nms", "nms-type": "--nms-kind", "exclude": "--not-class", "exclude-classes": "--not-class",
    "slice-width": "--tiles", "slice-height": "--tiles", "slice-size": "--tiles", "postprocess-type": "--merge",
    "overlap-width-ratio": "--overlap", "overlap-height-ratio": "--overlap", "no-standard-prediction": "--no-whole",
    "export nms-kind": IOU_ONLY, "export max-det": "--max-boxes",
    "save-txt": "--txt", "save-crop": "--crops", "save-crops": "--crops", "save-confidence": "--save-conf",
    "test save-json": "--submit coco", "test eval": "--submit", "tracker": "--track", "anonymize": "--blur",
    "source": IMAGES, "input": IMAGES, "images": IMAGES,
    "dataset": "--data", "data-dir": "--data", "data-path": "--data",
    "val-split": "--split-share", "validation-split": "--split-share",
    "project": "runs are written to weights/, below the current folder; --name NAME names one",
    "train output": "--name", "train save-dir": "--name", "output": "--save", "save-dir": "--save", "out": "--save",
    "test name": "a run is named in place of the cfg", "predict name": "a run is named in place of the cfg",
    "detect name": "a run is named in place of the cfg", "generate name": "a run is named in place of the cfg",
    "exist-ok": "no option is needed: the run that is there is moved aside, not overwritten",
    "save-period": "--backup-every", "eval-every": "--validate-every", "early-stopping": "--patience",
    "map": "no option is needed: the test images are evaluated while training",
    "dont-show": f"no option is needed: {SCREEN}", "show": SCREEN, "view-img": SCREEN,
    "nosave": "no option is needed: images are written only with --save", "save-labels": "--txt",
    "out-filename": "--save", "prefix": "--save", "json-file-output": "--json",
    "ext-output": "no option is needed: each box is printed with its place",
    "mjpeg-port": SERVER, "json-port": SERVER, "http-port": SERVER, "udp": SERVER,
    "avgframes": "boxes are not averaged over frames", "benchmark": "`profile` times a network",
    "detect c": "a camera follows the cfg, as an image does: camera, or camera:1",
    "vid-stride": "--every", "detect stride": "--every", "frame-stride": "--every",
    "line-width": DRAWN, "line-thickness": DRAWN, "hide-labels": DRAWN, "hide-conf": DRAWN,
    "half": FLOAT32, "fp16": FLOAT32, "amp": FLOAT32,
    "topk": "--top-k", "predict topk": "--top", "predict top-k": "--top", "tta": "--crops 10 and --sizes",
    "prompt": "--seed-text", "max-tokens": "--length", "max-length": "--length", "temp": "--temperature",
    "labels": "--names", "class-names": "--names", "random-seed": "--seed", "srand": "--seed",
    "freeze-layers": "--freeze", "resume-from": "--resume", "silent": "--quiet",
}


def answer(argv: Sequence[str], verb: str, parser: argparse.ArgumentParser) -> str:
    """A sentence for each option that the verb does not have and that has another name here; "" where there is none."""
    own = [flag for action in parser._actions for flag in action.option_strings]
    lines = []
    for word in argv[:argv.index("--")] if "--" in argv else argv:
        flag = word.partition("=")[0]
        name = flag.lstrip("-").lower().replace("_", "-")
        if not flag.startswith("-") or not name or not name[0].isalpha() or flag in own:
            continue
        here = NEIGHBOURS.get(f"{verb} {name}")     # also where it is the beginning of another option
        if not here and any(one.startswith(flag) for one in own):
            continue
        here = here or NEIGHBOURS.get(name)
        if here and here.startswith("--"):
            option = here.split()[0]
            here = f"here it is {here}" if option in own else ""
        if not here:
            near = f"--{name}" if f"--{name}" in own else closest(f"--{name}", own, 0.75)
            here = f"did you mean {near}?" if near else ""
        if here:
            lines.append(f"unknown option {flag}: {here}")
    return "\n".join(lines)
