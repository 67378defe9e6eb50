"""Names of other programs: taken where they mean the same, refused for what they are, never mistaken by spelling."""
import re
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import ops
from runner import weights as weights_file
from runner.cli import main
from runner.errors import UsageError
from runner.layers import LAYERS, Connected
from runner.layers.shared.foreign import FOREIGN

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"


def errors(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "a.cfg").write_text(NET + text)
    return [line.replace(f"{tmp_path}/", "") for line in runner.check(tmp_path / "a.cfg")[1].errors]


# --- sections ------------------------------------------------------------------------------------------------


def test_no_name_of_another_program_is_a_section_here_too() -> None:
    assert not set(FOREIGN) & {name.lower() for name in LAYERS}
    assert all(name == name.lower() and text and text[-1] != "." for name, text in FOREIGN.items())


@pytest.mark.parametrize("name, text", FOREIGN.items())
def test_a_section_a_sentence_names_is_one(name: str, text: str) -> None:
    assert not set(re.findall(r"\[(\w+)\]", text)) - set(LAYERS) - {"net"}


@pytest.mark.parametrize("name", ["dense", "Dense", "se", "jde"])
def test_a_section_of_another_program_is_refused_for_what_it_is(tmp_path: Path, name: str) -> None:
    assert errors(tmp_path, f"[{name}]\n") == [f"a.cfg:5: [{name}] unknown section ({FOREIGN[name.lower()]})"]


@pytest.mark.parametrize("name, near", [
    ("convolutonal", "convolutional"), ("Convolutional", "convolutional"), ("rout", "route"), ("dropuot", "dropout"),
    ("upsmaple", "upsample"), ("max_pool", "maxpool"), ("YOLO", "yolo"), ("deconvolutionl", "deconvolutional"),
    ("convol", "convolutional"), ("depthwise_convolutionl", "depthwise_convolutional"), ("soft_max", "softmax"),
    ("fconnected", "connected"), ("implicit_ad", "implicit_add"), ("shift_chanels", "shift_channels"),
])
def test_a_section_misspelled_names_the_one_that_was_meant(tmp_path: Path, name: str, near: str) -> None:
    assert errors(tmp_path, f"[{name}]\n") == [f"a.cfg:5: [{name}] unknown section (did you mean {near!r}?)"]


@pytest.mark.parametrize("name", ["l3norm", "reorg4d", "cnn", "local_maxpool", "implicit_sub", "conv_gru", "yolov9",
                                  "pointwise_convolutional", "nothing", "re"])
def test_a_section_that_may_well_exist_elsewhere_is_not_taken_for_another(tmp_path: Path, name: str) -> None:
    assert errors(tmp_path, f"[{name}]\n") == [
        f"a.cfg:5: [{name}] unknown section (`python run.py explain` lists the sections)"]


def test_depthwise_is_a_convolution_with_a_group_for_each_channel(tmp_path: Path) -> None:
    """The same outputs, gradients, operations and bytes in the file."""
    options = "size=3\nstride=2\npad=1\nactivation=leaky\nbatch_normalize=1\n"
    (tmp_path / "a.cfg").write_text(f"{NET}[depthwise_convolutional]\n{options}[softmax]\n")
    (tmp_path / "b.cfg").write_text(f"{NET}[convolutional]\nfilters=3\ngroups=3\n{options}[softmax]\n")
    a = runner.load(tmp_path / "a.cfg")
    for array in (a.layers[0].params | a.layers[0].buffers).values():
        array += np.random.default_rng(3).random(array.shape, np.float32)
    weights_file.save(a, tmp_path / "a.weights")
    b = runner.load(tmp_path / "b.cfg", tmp_path / "a.weights")
    weights_file.save(b, tmp_path / "b.weights")
    assert (tmp_path / "a.weights").read_bytes() == (tmp_path / "b.weights").read_bytes()
    x = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    assert np.array_equal(a.predict(x), b.predict(x))
    assert np.array_equal(a.optimized().predict(x), b.optimized().predict(x))
    assert a.summary()[0].bflops == b.summary()[0].bflops and a.summary()[0].out_shape == "4 x 4 x 3"
    a.resize(10, 6)
    assert a.layers[0].out_shape == (3, 3, 5)


def test_depthwise_takes_no_filters(tmp_path: Path) -> None:
    _, report = runner.check(_cfg(tmp_path, "[depthwise_convolutional]\nfilters=4\n"))
    assert "unknown option 'filters'" in report.warnings[0]


def _cfg(tmp_path: Path, text: str) -> Path:
    (tmp_path / "a.cfg").write_text(NET + text)
    return tmp_path / "a.cfg"


# --- activations -----------------------------------------------------------------------------------------------


FORMULAS = {
    "silu": lambda x: x / (1 + np.exp(-x)), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "identity": lambda x: x,
    "none": lambda x: x, "hardtanh": lambda x: np.clip(x, -1, 1), "hard_tanh": lambda x: np.clip(x, -1, 1),
    "bipolar_sigmoid": lambda x: np.tanh(x / 2), "soft_sign": lambda x: x / (1 + np.abs(x)),
    "soft_plus": lambda x: np.log1p(np.exp(x)),
    "hardmish": lambda x: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
}


@pytest.mark.parametrize("alias", ops.ACTIVATION_ALIASES)
def test_another_name_of_an_activation_is_taken_and_kept(tmp_path: Path, alias: str) -> None:
    text = f"[activation]\nactivation={alias}\n[convolutional]\nactivation={alias.upper()}\n"
    net = runner.load(_cfg(tmp_path, text))
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32) * 3
    np.testing.assert_allclose(net.layers[0].forward(x)[0], FORMULAS[alias](x), rtol=2e-5, atol=1e-6)
    assert net.layers[1].options.activation == ops.ACTIVATION_ALIASES[alias]
    assert net.sections[1].lines["activation"].value == alias, "a cfg that is saved says what it said"
    assert Connected((4,), activation=alias).options.activation == ops.ACTIVATION_ALIASES[alias]


@pytest.mark.parametrize("word, hint", [
    ("leaky_relu", " (leaky has slope 0.1 below zero, relie has 0.01)"),
    ("hswish", " (this function is not supported)"),
    ("softmax", " (it is a section of its own, [softmax])"), ("leeky", " (did you mean 'leaky'?)"),
    ("swihs", " (did you mean 'swish'?)"), ("Mish", " (did you mean 'mish'?)"), ("seluu", " (did you mean 'selu'?)"),
    ("celu", " (this function is not supported)"), ("eswish", " (this function is not supported)"),
    ("dilu", ""), ("zelu", ""), ("relu7", ""), ("xyz", ""),
])
def test_an_activation_that_is_none(tmp_path: Path, word: str, hint: str) -> None:
    said, = errors(tmp_path, f"[convolutional]\nactivation={word}\n")
    assert said.startswith("a.cfg:6: [convolutional] activation must be one of linear, logistic,")
    assert said.endswith(f"Got {word!r}{hint}")


def test_the_tables_of_activations_do_not_contradict_each_other() -> None:
    assert not set(ops.ACTIVATION_ALIASES) & set(ops.ACTIVATIONS)
    assert not set(ops.FOREIGN_ACTIVATIONS) & (set(ops.ACTIVATIONS) | set(ops.ACTIVATION_ALIASES))
    assert set(ops.ACTIVATION_ALIASES.values()) <= set(ops.ACTIVATIONS)
    with pytest.raises(UsageError, match="activation must be one of"):
        Connected((4,), activation="hswish")


@pytest.mark.parametrize("word, says", [("dense", "it is called [connected] here"), ("rout", "did you mean 'route'?"),
                                        ("conv_gru", "`python run.py explain` lists the sections")])
def test_explain_answers_alike(word: str, says: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", word]) == 2
    assert f"unknown section [{word}]" in (err := capsys.readouterr().err) and says in err
