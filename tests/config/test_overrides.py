"""--set: what it changes, and the exact sentence for every error."""
from pathlib import Path

import pytest

import runner
from runner.program import command
from tests.config.cases import NET, problems


@pytest.mark.parametrize("setting, says", [
    ("net.batch=x", "--set net.batch=x: [net] batch must be an integer, at least 1. Got 'x'"),
    ("0.filters=0", "--set 0.filters=0: [convolutional] filters must be an integer, at least 1. Got '0'"),
    ("7.filters=1", "--set 7.filters=1: layers are numbered 0 to 0"),
    ("droput.probability=1", "--set droput.probability=1: the cfg has no section [droput] (known: convolutional, net)"),
    ("batch=4", "--set batch=4: expected SECTION.OPTION=VALUE, for instance net.batch=32 or 5.probability=0.3"),
    ("net.bach=4", "--set net.bach=4: [net] has no option 'bach' (did you mean net.batch?)"),
])
def test_errors_of_settings(tmp_path: Path, setting: str, says: str) -> None:
    assert problems(tmp_path, NET + "[convolutional]\n", settings=[setting]) == [says]


@pytest.mark.parametrize("setting, says", [
    ("conv.probability=.2", "[convolutional] has no option 'probability' (did you mean dropout.probability?)"),
    ("0.probability=.2", "layer 0 is [convolutional], which has no option 'probability' (did you mean 1.probability, "
                         "of [dropout]?)"),
    ("drop.filters=3", "[dropout] has no option 'filters' (did you mean convolutional.filters?)"),
    ("1.batch=3", "layer 1 is [dropout], which has no option 'batch' (did you mean net.batch?)"),
    ("net.frobnicate=1", f"[net] has no option 'frobnicate'. `{command('explain', 'net')}` lists its options"),
    ("0.stream=0", "stream of [convolutional] has no effect here: there are no GPU streams here"),
])
def test_settings_without_effect(tmp_path: Path, setting: str, says: str) -> None:
    cfg = NET + "[convolutional]\n[dropout]\n[convolutional]\n"
    assert problems(tmp_path, cfg, settings=[setting]) == [f"--set {setting}: {says}"]


@pytest.mark.parametrize("setting, says", [
    ("1.learning_rate=.5", "[maxpool] learning_rate has no effect: layer 1 has no weights"),
    ("maxpool.learning_rate=1", "[maxpool] learning_rate has no effect: layers 1 and 3 have no weights"),
    ("shortcut.learning_rate=.5", ""),      # one of the two has weights
    ("0.learning_rate=.5", ""), ("net.learning_rate=.5", ""), ("maxpool.onlyforward=1", ""),
])
def test_a_learning_rate_without_weights(tmp_path: Path, setting: str, says: str) -> None:
    cfg = NET + ("[convolutional]\n[maxpool]\n[convolutional]\n[maxpool]\n[shortcut]\nfrom=-2\nactivation=linear\n"
                 "[shortcut]\nfrom=-3\nactivation=linear\nweights_type=per_channel\n")
    found = problems(tmp_path, cfg, settings=[setting])
    assert found == ([f"--set {setting}: {says}"] if says else [])


def test_in_a_cfg_it_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[maxpool]\nlearning_rate=.5\n[convolutional]\nlearning_rate=.5\n")
    _, report = runner.check(tmp_path / "a.cfg")
    place = f"{tmp_path}/a.cfg:{NET.count(chr(10)) + 2}"
    assert report.warnings == [f"{place}: [maxpool] learning_rate has no effect: layer 0 has no weights"]
    assert not report.errors
    (tmp_path / "a.cfg").write_text(NET + "[maxpool]\nlearning_rate=1\n[convolutional]\n")
    assert not runner.check(tmp_path / "a.cfg")[1].warnings


def test_settings_by_index_by_name_and_by_alias(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[conv]\n[convolutional]\nfilters=9\n")
    net = runner.load(tmp_path / "a.cfg", settings=["conv.filters=5", "1.size=3", "net.learning_rate=0.5"])
    assert [layer.options.filters for layer in net.layers] == [5, 5]
    assert net.layers[1].options.size == 3 and net.options.learning_rate == 0.5
