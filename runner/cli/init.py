"""Start a network for your own images: write a cfg, a description of the data, and a folder for each class.

Nothing that exists is overwritten.  Put the images into the folders of their classes; then the commands that are
printed check the cfg, describe the images and train.

  python run.py init my/
  python run.py init birds/ --classes crow,owl,robin
"""
import argparse
from pathlib import Path

from runner.cli import console, process
from runner.errors import counted
from runner.program import command

CFG = """# A small network that classifies colour images: {classes}.
#
#   {check}
#   {data}
#   {train}
#
# Each line is key=value; # starts a comment.  [net] comes first; each section after it is a layer that reads the output
# of the layer above.

[net]
# The images are scaled and cropped to this size.  channels: 1 is greyscale, 3 is colour.
width=64
height=64
channels=3
# The dataset, relative to this file.  A fifth of the images of each class is held out to test the network.
data=data.yaml
split_share=.2

# Images per weight update, and updates in total.
batch=32
max_batches=600
# The learning rate rises from 0 during the first updates, then falls to 0 along a curve.
learning_rate=0.05
burn_in=30
policy=poly
power=2
momentum=0.9
decay=0.0005

# Augmentation: a random size, position, rotation (degrees) and colour; half of the images are mirrored.  flip=0 where a
# mirrored image is something else, as with letters.
min_crop=64
max_crop=80
angle=7
hue=.05
saturation=1.3
exposure=1.3
flip=1

[convolutional]
filters=16
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=32
size=3
pad=1
batch_normalize=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=64
size=3
pad=1
batch_normalize=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=128
size=3
pad=1
batch_normalize=1
activation=leaky

# The mean of each channel over all positions.
[avgpool]

# In training, 3 of 10 values are set to zero at random, so that no unit can rely on a single other one.
[dropout]
probability=.3

# One score for each class: their number ...
[connected]
output={count}
activation=linear

# ... turned into probabilities.
[softmax]
"""
DATA = """# The images of each class are in a folder with its name, below images/.  Subfolders count too.
train: images
# Images to test with, if they are apart; then remove split_share from the cfg.
# test: test-images
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="where to write; its name becomes that of the cfg")
    parser.add_argument("--classes", type=class_names, default=["first", "second"], metavar="NAME,NAME",
                        help="the classes (default: first,second, to be renamed)")


def class_names(text: str) -> list[str]:
    """Argument type: names of classes, which are names of folders."""
    names = [name.strip() for name in text.split(",")]
    bad = next((name for name in names if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|')), None)
    if bad is not None:
        raise argparse.ArgumentTypeError(f"a class is the name of a folder. Got {bad!r}")
    if len({name.casefold() for name in names}) < max(len(names), 2):
        raise argparse.ArgumentTypeError(f"there must be at least two classes, each named once. Got {text!r}")
    return names


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError
    from runner.files import atomic_write
    folder = Path(args.folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: this is a file, not a folder")
    cfg = folder / f"{folder.resolve().name}.cfg"
    next_commands = {verb: command(verb, cfg) for verb in ("check", "data", "train")}
    files = {cfg: CFG.format(classes=", ".join(args.classes), count=len(args.classes), **next_commands),
             folder / "data.yaml": DATA}
    there = [str(path) for path in (*files, folder / "images") if path.exists()]
    if there:
        raise UsageError(f"{', '.join(there)}: {'this exists' if len(there) == 1 else 'these exist'} already, and "
                         "nothing is overwritten. Choose another folder")
    for name in args.classes:
        (folder / "images" / name).mkdir(parents=True)
    for path, text in files.items():
        with atomic_write(path, "w") as file:
            file.write(text)
    console.say(f"{cfg}: a small network, {counted(len(args.classes), 'class')}")
    console.say(f"{folder / 'data.yaml'}: its data")
    console.say(f"{folder / 'images'}: a folder for each class: {', '.join(args.classes)}")
    console.say("\nPut the images of each class into its folder. To change the classes, rename, add or remove folders; "
                "their number\nis output= in the last [connected]. Then:")
    for i, line in enumerate(next_commands.values()):
        console.say(f"{'' if i else 'next:':8} {line}")
    return process.DONE
