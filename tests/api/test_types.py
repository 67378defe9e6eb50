"""The public face has types, a listing and a page."""
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from tests.paths import ROOT

SCRIPT = """import numpy as np
import runner

net = runner.load("cfg/net.cfg", weights="a.weights", names=["a", "b"])
names: list[str] = [result.name for result in net.predict("photos/")]
more: float = net.predict([np.zeros((9, 9, 3), np.uint8)])[0].probability
y: np.ndarray = net.predict(np.zeros((1, 1, 16, 16), np.float32))
for found in net.detect("street.jpg", classes=["car"]):
    found.draw().save("out.png")
    shape: tuple[int, ...] = found.boxes.shape
for step in runner.train(net, [(np.zeros((1, 1, 16, 16)), np.zeros((1, 10)))]):
    loss: float = step.loss
maps: dict[str, np.ndarray] = net.outputs(net.prepare("a.png"), by_name=True)
weights: np.ndarray = net.layers["conv0"].params["weights"]
score: float = net.evaluate("photos").score
reveal_type(net.train("photos", epochs=1))
reveal_type(net.summary())
reveal_type(runner.infer(net, "a.png"))
"""


@pytest.mark.slow
def test_a_strict_script_passes_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(SCRIPT + "net.predicted\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=",
                           "--ignore-missing-imports", f"--cache-dir={tmp_path}", str(tmp_path / "script.py")],
                          cwd=ROOT, text=True, capture_output=True, timeout=300)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1 and '"Model" has no attribute "predicted"' in errors[0], done.stdout + done.stderr
    for revealed in ("runner.api.training.TrainingResult", "runner.api.summary.Summary",
                     "Iterator[runner.inference.classify.Result]"):
        assert revealed in done.stdout


def test_the_listing_has_the_public_names() -> None:
    assert set(runner.__all__) <= set(dir(runner)) and "importlib" not in dir(runner)
    assert (ROOT / "runner" / "py.typed").is_file()


def test_every_public_name_is_in_the_types_and_on_the_page() -> None:
    text = (ROOT / "runner" / "__init__.py").read_text()
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for name in runner.__all__:
        if name != "__version__":
            assert f" as {name}\n" in text and f"`{name}" in page, name
