"""Samples x checks; every registered layer and every option has a sample."""
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import runner.layers
from runner.layers import LAYERS
from runner.layers.shared.base import Layer, LayerOptions
from tests.layers import checks
from tests.layers.samples import SAMPLES, Sample

pytestmark = pytest.mark.usefixtures("backend")

CLASSES = sorted(set(LAYERS.values()), key=lambda cls: cls.names)


@pytest.mark.parametrize("check", checks.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_layer(sample: Sample, check: Callable, tmp_path: Path) -> None:
    check(sample, tmp_path) if "tmp_path" in inspect.signature(check).parameters else check(sample)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.names[0])
def test_every_layer_is_sampled_with_every_option(cls: type[Layer]) -> None:
    mine = [sample for sample in SAMPLES if sample.name in cls.names]
    used = {part.split("=")[0] for sample in mine for part in sample.text.split()}
    own = {key for key, f in cls.Options.declared().items() if not f.metadata["reason"]}
    missing = own - set(LayerOptions.declared()) - used - {"share_index"}       # needs a second layer: test_network
    assert mine, f"[{cls.names[0]}] has no sample"
    assert not missing, f"no sample of [{cls.names[0]}] uses {sorted(missing)}"


def test_every_file_is_registered_under_its_own_name() -> None:
    """What several sections share is in layers/shared."""
    files = {path.stem for path in Path(runner.layers.__file__).parent.glob("[!_]*.py")}
    assert files == {cls.names[0].lower() for cls in CLASSES}
