"""`export` and `verify`: what they write, what they refuse, and the programs of docs/export.md."""
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner import cli
from runner.detection import predict_boxes
from runner.export import OnnxOptions, activations
from runner.export.files import named_arrays, save_onnx
from runner.export.verify import decoded, pattern
from runner.images import prepare, read_image
from tests.export.test_onnx_model import detector
from tests.paths import ROOT
from tests.verbs import BEST, CFG, edit, main, train

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def trained(toy_dir: Path) -> Path:
    train("--set", "net.max_batches=3")
    return toy_dir


def test_a_trained_classifier(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("export", CFG, "--to", "net.onnx", "--batch", "dynamic")
    printed = capsys.readouterr().out
    assert "net.onnx: opset 17" in printed and re.search(r"output0 .* same", printed)
    facts = {item.key: item.value for item in onnx.load("net.onnx").metadata_props}
    assert facts["task"] == "classify" and facts["names"].startswith("{0: ")
    main("verify", CFG, "net.onnx", "data/toy/train")
    assert "same" in capsys.readouterr().out


def test_verify_finds_other_weights(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("export", CFG, "--to", "net.onnx")
    train("--name", "other", "--seed", "5", "--set", "net.max_batches=3")
    capsys.readouterr()
    main("verify", CFG, "--weights", "weights/other/last.weights", "net.onnx", "data/toy/train", expect=1)
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_arrays_by_name(trained: Path, ending: str) -> None:
    main("export", CFG, "--to", f"net.{ending}")
    if ending == "npz":
        found = dict(np.load("net.npz"))
    else:
        from safetensors.numpy import load_file
        found = load_file("net.safetensors")
    wanted = dict(named_arrays(runner.load(CFG, BEST)))
    assert found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_a_folder_runs_by_itself(trained: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    edit("filters=3", "filters=5")          # the folder has the cfg as it is used, with --set
    main("export", CFG, "--to", "shared/", "--set", "0.filters=3")
    page = Path("shared/README.md").read_text()
    words = re.search(r"^    cfgrunner (.*)", page, re.M)
    assert words is not None and sorted(path.name for path in Path("shared").iterdir()) == [
        "README.md", "shared.cfg", "shared.names", "shared.weights"]
    image = next(Path("data/toy/train").rglob("*.png")).resolve()
    shutil.move("weights", "elsewhere")
    capsys.readouterr()
    monkeypatch.chdir("shared")
    main(*words[1].replace("IMAGES", str(image)).split())
    assert image.name in capsys.readouterr().out


@pytest.mark.usefixtures("toy_dir")
def test_the_page_of_a_folder_names_the_formulas_and_the_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    """It gives the same as the network that was exported: --compat, and the threshold of the run."""
    scenes = ROOT / "cfg/scenes.cfg"
    main("export", str(scenes), "--to", "found", "--compat", "alexeyab")
    words = re.search(r"^    cfgrunner (.*)", Path("found/README.md").read_text(), re.M)
    assert words is not None and words[1].endswith(" --thresh 0.6987 --compat alexeyab")


@pytest.mark.usefixtures("toy_dir")
def test_detect_with_a_model_uses_the_threshold_of_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    """So it gives what it gives for the run; --nms has the threshold in the model, --thresh another."""
    scenes, images = str(ROOT / "cfg/scenes.cfg"), str(ROOT / "data/scenes/images/test")
    main("export", scenes, "--to", "scenes.onnx")
    capsys.readouterr()
    main("detect", scenes, images)
    ours = capsys.readouterr().out
    main("detect", "scenes.onnx", images)
    printed = capsys.readouterr()
    assert printed.out == ours and "threshold 0.6987" in printed.err and "scenes.onnx; --thresh" in printed.err
    main("detect", "scenes.onnx", images, "--thresh", ".25")
    assert capsys.readouterr().out != ours
    for words, thresh in (((), "0.6987"), (("--thresh", ".3"), "0.3")):
        main("export", scenes, "--to", "nms.onnx", "--nms", *words)
        assert {item.key: item.value for item in onnx.load("nms.onnx").metadata_props}["thresh"] == thresh


@pytest.mark.parametrize("ending", ["npz", "NPZ", "safetensors", "SAFETENSORS", "onnx"])
def test_only_files_of_export_are_replaced(trained: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the user's arrays have names like ours, or the file mentions this program."""
    path = Path(f"net.{ending}")
    main("export", CFG, "--to", str(path))
    written = path.read_bytes()
    main("export", CFG, "--to", str(path))
    if ending.lower() == "safetensors":     # which writes its metadata in any order
        assert len(path.read_bytes()) == len(written)
    else:
        assert path.read_bytes() == written
    with open(path, "wb") as file:
        names = ("0.convolutional.weights", "cfgrunner")
        np.savez(file, **{name: np.ones(9) for name in names})      # type: ignore[arg-type]
        file.write(b"." * 70_000)
    before = path.read_bytes()
    if ending.lower() == "safetensors":
        path.write_bytes(before := bytes(70_000) + before)
    capsys.readouterr()
    main("export", CFG, "--to", str(path), expect=2)
    assert "did not write" in capsys.readouterr().err and path.read_bytes() == before


def test_a_folder_with_something_in_it_is_left_alone(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    main("export", CFG, "--to", "mine/", expect=2)
    assert "is not empty" in capsys.readouterr().err and [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("words", "printed"), [
    (("--to", "net.pb"), "ends in .onnx, .safetensors or .npz"),
    (("--to", "nowhere/net.onnx"), "there is no folder nowhere"),
    (("--to", "net.onnx", "--nms"), "no boxes to write"),
    (("--to", "net.onnx", "--thresh", ".3", "--iou", ".4"), "--thresh, --iou are of --nms, which is not given"),
    (("--to", "net.npz", "--half", "--max-boxes", "9"), "--half, --max-boxes are of ONNX models, but"),
    (("--to", "net/", "--raw", "--size", "dynamic"), "--raw, --size dynamic are of ONNX models"),
    (("--to", "net.safetensors", "--names", "x"), "--names is of ONNX models, but --to names a .safetensors file"),
    (("--to", "net.onnx", "--agnostic-nms"), "--agnostic-nms is of --nms, which is not given"),
    (("--to", "net.onnx", "--nms", "--nms-kind", "soft"), "--nms-kind: ONNX's NonMaxSuppression compares boxes by IoU"),
    (("--to", "net.onnx", "--nms", "--max-det", "9"), "--max-det: here it is --max-boxes"),
    (("--to", "net.onnx", "--opset", "3"), "the opset must be from 13"),
    (("--to", "net.onnx", "--size", "big"), "must be a size such as 416x416"),
    (("--to", "net.onnx", "--check-on", "none.png"), "none.png"),
])
def test_refused_before_anything_is_written(trained: Path, words: tuple[str, ...], printed: str,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    main("export", CFG, *words, expect=2)
    assert printed in capsys.readouterr().err and sorted(Path().rglob("*")) == before


def test_a_model_that_differs_is_not_written(trained: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(activations.ACTIVATIONS, "leaky", lambda g, x: g.node("Relu", x))
    main("export", CFG, "--to", "net.onnx", expect=1)
    assert not Path("net.onnx").exists() and "net.onnx is not written" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["raw", "decoded", "nms"])
def test_half(tmp_path: Path, form: str) -> None:
    net = detector(tmp_path, "yolo")
    path = tmp_path / "half.onnx"
    found = save_onnx(net, path, OnnxOptions(form), pattern(net, 1), half=True)     # type: ignore[arg-type]
    assert all(one.fits for one in found), found
    kinds = {weight.data_type for weight in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds


def test_the_programs_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Each prints what the network itself finds in the photo."""
    assert len(BLOCKS) == 3
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "docs/images/photo.jpg", "photo.jpg")
    net = detector(tmp_path, "yolo")
    for form in ("nms", "decoded"):
        save_onnx(net, f"{form}.onnx", OnnxOptions(form), pattern(net, 1))      # type: ignore[arg-type]
    found: dict[str, Any] = {}
    exec(BLOCKS[0], found)
    assert re.fullmatch(r"[01] 0\.\d\d \[.*\]", capsys.readouterr().out.splitlines()[0])
    x = found["pixels"].transpose(2, 0, 1)[None]
    size = found["photo"].size
    ours = predict_boxes(net.layers, net.head_outputs(x), size, nms_kind="sort", relative=False).rows()
    corners = np.concatenate([ours[:, 2:4] - ours[:, 4:] / 2, ours[:, 2:4] + ours[:, 4:] / 2], axis=1)
    theirs = np.concatenate([found["classes"][:, None], found["scores"][:, None], found["boxes"]], axis=1)
    np.testing.assert_allclose(theirs[np.lexsort(theirs.T[:2])], np.concatenate([ours[:, :2], corners], axis=1)
                               [np.lexsort(ours.T[:2])], atol=.02)
    cv2 = pytest.importorskip("cv2")
    exec(BLOCKS[1], found)
    assert re.fullmatch(r"[01] 0\.\d\d \[.*\]", capsys.readouterr().out.splitlines()[0])
    x = cv2.dnn.blobFromImage(cv2.imread("photo.jpg"), 1 / 255, (64, 32), swapRB=True)
    np.testing.assert_allclose(found["output"].T[None], decoded(net.layers[2], net.head_outputs(x)[2]), atol=1e-3)
    pytest.importorskip("openvino")
    digits = runner.load(ROOT / "cfg/net.cfg")
    save_onnx(digits, "classifier.onnx", OnnxOptions(), pattern(digits, 1))
    shutil.copy(next((ROOT / "data/digits/test/7").iterdir()), "digit.png")
    exec(BLOCKS[2], {})
    name, probability = capsys.readouterr().out.split()
    c, h, w = digits.require_images()
    p = digits.predict(prepare(read_image("digit.png", c), w, h, "stretch")[None]).reshape(-1)
    assert int(name) == p.argmax() and abs(float(probability) - p.max()) < .006


def test_without_onnx_a_sentence_says_what_to_install(trained: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", CFG, "--to", "net.onnx"]) == 2
    assert "needs the package 'onnx'" in capsys.readouterr().err
