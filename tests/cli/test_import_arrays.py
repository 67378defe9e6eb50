"""`import` of arrays by name: a .weights file for a cfg that exists."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.export.files import named_arrays
from tests.importing.test_arrays import CFG, like_pytorch
from tests.verbs import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(CFG)
    return tmp_path


def test_a_state_becomes_weights(capsys: pytest.CaptureFixture[str]) -> None:
    state = like_pytorch(np.random.default_rng(0))
    np.savez("state.npz", **state)      # type: ignore[arg-type]
    main("import", "state.npz", "--cfg", "a.cfg", "--to", "a.weights")
    assert "5.connected" in (printed := capsys.readouterr().out) and "fc.bias, fc.weight" in printed
    arrays = dict(named_arrays(runner.load("a.cfg", "a.weights")))
    assert np.array_equal(arrays["5.connected.weights"], state["fc.weight"])


def test_what_is_refused_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    state = like_pytorch(np.random.default_rng(0))
    state["aux.weight"] = np.zeros((2, 2), np.float32)
    np.savez("state.npz", **state)      # type: ignore[arg-type]
    for words, sentence in ((("--cfg", "a.cfg", "--to", "a.weights"), "aux.weight is left over"),
                            (("--to", "a.weights"), "need the cfg they belong to"),
                            (("--cfg", "a.cfg", "--to", "a.cfg"), "ends in .weights"),
                            (("--cfg", "a.cfg", "--to", "b.cfg", "b.weights"), "one file to write")):
        main("import", "state.npz", *words, expect=2)
        assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["a.cfg", "state.npz"]
