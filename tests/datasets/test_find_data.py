"""Where the dataset of a cfg is looked for."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import find_data
from runner.errors import DataError
from tests.datasets.examples import images


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "cfg", project / "data", elsewhere):
        folder.mkdir(parents=True)
    cfg = project / "cfg" / "net.cfg"
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError) as caught:
        find_data(cfg)
    for place in ("net.yaml", "net.data", str(project / "data" / "net")):
        assert place in str(caught.value)
    for name in ("net", "net.data", "net.yaml"):                    # each goes before the ones above
        (project / "data" / name).mkdir() if name == "net" else (project / "data" / name).write_text("")
        assert find_data(cfg) == project / "data" / name
    images(elsewhere / "data" / "net", "a/1.png")
    assert find_data(cfg) == Path("data/net")                        # the current folder goes first
    assert find_data(cfg, net_data="data/net.yaml") == project / "data" / "net.yaml"
    assert find_data(cfg, data=str(elsewhere), net_data="data/net.yaml") == elsewhere
    with pytest.raises(DataError, match="--data: there is no 'nowhere'"):
        find_data(cfg, data="nowhere")
    with pytest.raises(DataError, match="data=nowhere does not exist"):
        find_data(cfg, net_data="nowhere")
    for hint in (lambda: find_data(cfg, net_data="data/mnist"), lambda: find_data("cfg/mnist.cfg")):
        with pytest.raises(DataError, match=r"`python run\.py download mnist` downloads it to data/mnist"):
            hint()


def test_an_npz_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    np.savez("data/net.npz", x=np.zeros((1, 4, 5)), y=[0])
    assert find_data("cfg/net.cfg") == Path("data/net.npz")
