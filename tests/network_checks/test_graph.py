"""Warnings about heads behind several layers, and about layers that share weights."""
from pathlib import Path

import pytest

import runner
from tests.test_network_checks import HEAD, NET, conv, said

SHARED = "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=linear\nshare_index=-1\nlearning_rate=.5\n"


@pytest.mark.parametrize("first, second, coords, says", [
    ("logistic", "linear", 1, ["a.cfg:23: [yolo] new_coords=1 wants activation=logistic in layer 1 [convolutional]; it "
                               "is linear (a.cfg:16: [convolutional]), as in PyTorch's cfgs: --compat yolor"]),
    ("logistic", "logistic", 1, []),
    ("linear", "mish", 0, ["a.cfg:16: [convolutional] activation=mish in layer 1 [convolutional], and layer 3 [yolo] "
                           "wants raw values: activation=linear"]),
    ("linear", "linear", 0, []),
])
def test_every_layer_of_a_route_before_a_head(first: str, second: str, coords: int, says: list[str],
                                              tmp_path: Path) -> None:
    text = NET + conv(6, activation=first) + conv(6, activation=second) + "[route]\nlayers=-2,-1\n" + HEAD
    assert said(tmp_path, text + f"new_coords={coords}\n")[1] == says


def test_learning_rate_of_shared_weights(tmp_path: Path) -> None:
    says = "[convolutional] learning_rate has no effect: layer 1 has the weights of another layer (share_index), " \
           "whose learning_rate counts"
    assert said(tmp_path, NET + conv(3) + SHARED)[1] == [f"a.cfg:17: {says}"]
    assert said(tmp_path, NET + conv(3) + SHARED.replace("=.5", "=1"))[1] == []
    _, report = runner.check(tmp_path / "a.cfg", settings=["1.learning_rate=.5"])
    assert report.errors == [f"--set 1.learning_rate=.5: {says}"]
    _, report = runner.check(tmp_path / "a.cfg", settings=["convolutional.learning_rate=.5"])
    assert report.errors == []      # it is that of layer 0
