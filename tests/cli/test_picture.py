"""`picture`: the sheet that shows the effect of a layer on a photo."""
import numpy as np
import pytest
from PIL import Image

from runner.cli import main
from runner.cli.picture import build_layer, patches


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(100, 256, (60, 90, 3)).astype(np.uint8)).save("photo.png")
    return "photo.png"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_dropout_has_the_same_zeros_in_all_panels(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side and enlarged: what is black in the mask is black in the output and in the gradient."""
    assert main(["picture", "dropout", "--set", "probability=.2", photo, "--save", "out.png", "--size", "240"]) == 0
    assert capsys.readouterr().out.startswith("out.png: input, output, mask, gradient of the output: ")
    page = pixels("out.png")
    columns = [page[-12 - 100:-12, 12 + i * 252:12 + i * 252 + 240] for i in range(5)]
    black = [(column == 0).all(axis=2) for column in columns]
    assert .1 < black[2].mean() < .3
    assert not black[0].any() and not black[3].any()
    np.testing.assert_array_equal(black[1], black[2])
    np.testing.assert_array_equal(black[4], black[2])


def test_a_seed_repeats_the_sheet(photo: str) -> None:
    for name, seed in (("a.png", "0"), ("b.png", "0"), ("c.png", "1")):
        assert main(["picture", "drop", "--set", "probability=.5", photo, "--save", name, "--seed", seed]) == 0
    assert (pixels("a.png") == pixels("b.png")).all() and not (pixels("a.png") == pixels("c.png")).all()


@pytest.mark.parametrize("words", [
    "conv filters=5 size=3 stride=2 batch_normalize=1", "maxpool size=2", "avgpool", "connected output=9", "softmax",
    "upsample", "route layers=-1,-2", "shortcut from=-2", "batchnorm", "activation activation=mish", "cost",
    "crop crop_width=20 crop_height=20", "dropout probability=0", "dropout probability=1"])
def test_any_layer_can_be_drawn(words, photo):
    name, *settings = words.split()
    options = [word for setting in settings for word in ("--set", setting)]
    assert main(["picture", name, *options, photo, "--save", "out.png", "--grey", "--size", "40"]) == 0
    assert pixels("out.png").std() > 0


@pytest.mark.parametrize(("words", "answer"), [
    ("dropuot", "[dropuot] unknown section (did you mean 'dropout'?)"),
    ("dropout --set probability=7", "--set probability=7: [dropout] probability must be a number, at least 0, "
                                    "at most 1. Got '7'"),
    ("dropout --set probability", "--set probability: expected OPTION=VALUE, for instance probability=.1"),
    ("route", "[route] needs the option 'layers' (integers separated by commas)"),
    ("conv --set size=99", "[conv] size=99 does not fit into an image of 90 x 60 pixels with 0 zeros on each side"),
    ("avgpool --save out.txt",
     "--save needs a file name ending in .png, .jpg, .webp, .bmp, .gif or .tif. Got 'out.txt'"),
    ("avgpool --save no/where.png", "no/where.png: No such file or directory"),
])
def test_what_cannot_be_drawn(words, answer, photo, capsys):
    assert main(["picture", *words.split()[:1], photo, "--save", "out.png", *words.split()[1:]]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"run.py: {answer}"


def test_the_random_gradient_has_no_zeros() -> None:
    gradient = patches((1, 3, 50, 70), np.random.default_rng(0))
    assert gradient.shape == (1, 3, 50, 70) and gradient.dtype == np.float32
    assert .2 <= gradient.min() < gradient.max() <= 1


def test_a_layer_gets_as_many_inputs_as_it_reads() -> None:
    layer, sources = build_layer("route", ["layers=-1,-3"], (3, 4, 5), np.random.default_rng(0))
    assert sources == 2 and layer.out_shape == (6, 4, 5)
