"""Samples x checks; and that nothing registered escapes them."""
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import runner.layers
from runner.layers import LAYERS
from runner.layers.base import LayerOptions
from tests import checks
from tests.samples import SAMPLES, Sample

KINDS = sorted(set(LAYERS.values()), key=lambda kind: kind.names)
HELPERS = {     # files beside the layers that are no section
    "__init__", "base", "blur", "heads", "net", "recurrent", "tail", "wordtree"}


@pytest.mark.parametrize("check", checks.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_layer(sample: Sample, check: Callable, tmp_path: Path) -> None:
    check(sample, tmp_path) if "tmp_path" in inspect.signature(check).parameters else check(sample)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names[0])
def test_every_layer_is_sampled_with_every_option(kind: type) -> None:
    mine = [sample for sample in SAMPLES if sample.name in kind.names]
    used = {part.split("=")[0] for sample in mine for part in sample.text.split()}
    own = {key for key, f in kind.Options.declared().items() if not f.metadata["reason"]}
    missing = own - set(LayerOptions.declared()) - used - {"share_index"}       # needs a second layer: test_network
    assert mine, f"[{kind.names[0]}] has no sample"
    assert not missing, f"no sample of [{kind.names[0]}] uses {sorted(missing)}"


def test_every_file_is_registered_under_its_own_name() -> None:
    files = {path.stem for path in Path(runner.layers.__file__).parent.glob("*.py")} - HELPERS
    assert files == {kind.names[0].lower() for kind in KINDS}
