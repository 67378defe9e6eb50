"""An ONNX model in the place of a cfg: the verbs give what they give for the network."""
import json
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import UsageError
from runner.export import OnnxOptions
from runner.export.files import save_onnx
from runner.export.onnx_network import load_onnx
from runner.export.verify import pattern
from tests.export.test_onnx_model import detector
from tests.verbs import CFG, main, train

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def result(*words: str) -> object:
    main(*words, "--json", "out.json")
    return json.loads(Path("out.json").read_text())


@pytest.mark.usefixtures("toy_dir")
def test_predict_and_test_give_the_same() -> None:
    train("--set", "net.max_batches=20")
    for batch in ("1", "5", "dynamic"):
        main("export", CFG, "--to", "toy.onnx", "--batch", batch)
        ours, theirs = (result("predict", net, "data/toy/test") for net in (CFG, "toy.onnx"))
        assert isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) > 5
        for one, other in zip(ours, theirs, strict=True):
            assert one["image"] == other["image"]
            for mine, its in zip(one["predictions"], other["predictions"], strict=True):
                assert mine["class"] == its["class"] and abs(mine["probability"] - its["probability"]) < 1e-5
    ours, theirs = (result("test", net, "--data", "data/toy") for net in (CFG, "toy.onnx"))
    assert isinstance(ours, dict) and isinstance(theirs, dict) and ours["confusion"] == theirs["confusion"]


def test_detect_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = detector(tmp_path, "yolo")
    runner.weights.save(net, "net.weights")
    from PIL import Image
    image = (pattern(net, 1)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(image).save("a.png")
    main("export", "net.cfg", "--weights", "net.weights", "--to", "net.onnx")
    ours = result("detect", "net.cfg", "a.png", "--weights", "net.weights")
    theirs = result("detect", "net.onnx", "a.png")
    assert isinstance(ours, list) and isinstance(theirs, list)
    (mine,), (its,) = ([one["objects"] for one in each] for each in (ours, theirs))
    assert len(mine) == len(its) > 0
    for one, other in zip(mine, its, strict=True):
        assert one["class_id"] == other["class_id"] and abs(one["confidence"] - other["confidence"]) < 1e-4


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    net, path = detector(tmp_path, "yolo"), tmp_path / "net.onnx"
    save_onnx(net, path, OnnxOptions("decoded"), pattern(net, 1))
    with pytest.raises(UsageError, match=r"form decoded.*`export --raw`"):
        load_onnx(path)
    save_onnx(net, path, OnnxOptions(), pattern(net, 1))
    loaded, _ = load_onnx(path)
    loaded.resize(96, 64)
    with pytest.raises(UsageError, match="takes input of the shape"):
        loaded.optimized().head_outputs(pattern(loaded, 1))
    model = onnx.load(path)
    for text, reported in (("{", "not JSON|JSON"), ('{"compat": "exact"}', "cfg is missing"), (None, "does not carry")):
        del model.metadata_props[:]
        if text is not None:
            onnx.helper.set_model_props(model, {"cfgrunner": text})
        onnx.save(model, path)
        with pytest.raises(UsageError, match=reported):
            load_onnx(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UsageError, match="ONNX Runtime cannot read it"):
        load_onnx(path)


@pytest.mark.usefixtures("toy_dir")
def test_weights_beside_a_model_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "net.max_batches=3")
    main("export", CFG, "--to", "toy.onnx")
    main("predict", "toy.onnx", "data/toy/test", "--weights", "weights/toy/best.weights", expect=2)
    assert "leave --weights out" in capsys.readouterr().err
    main("summary", "toy.onnx", expect=2)
    assert "an ONNX file: `import` makes a cfg" in capsys.readouterr().err


@pytest.mark.usefixtures("toy_dir")
@pytest.mark.parametrize(("name", "reported"), [
    ("none.onnx", "none.onnx: there is no such file"),
    ("folder.onnx", "folder.onnx: this is a folder, not a file"),
    ("text.onnx", "text.onnx: ONNX Runtime cannot read it: Protobuf parsing failed."),
])
def test_files_that_are_no_models(name: str, reported: str, capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "net.max_batches=3")
    Path("folder.onnx").mkdir()
    Path("text.onnx").write_text("hello")
    main("verify", CFG, name, "data/toy/test", expect=2)
    assert capsys.readouterr().err.endswith(f"{reported}\n")
