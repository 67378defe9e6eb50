"""Every number recorded from the real darknet, met within the case's own tolerance.

RUNNER_GOLDEN names further folders of cases, separated by os.pathsep.
"""
import os
from pathlib import Path

import numpy as np
import pytest

from runner import weights
from runner.errors import CfgError
from runner.layers import LAYERS
from tests import darknet

FOLDERS = [Path(__file__).parent / "golden", *map(Path, filter(None, os.environ.get("RUNNER_GOLDEN", "").split(os.pathsep)))]
CASES = sorted((path.parent for folder in FOLDERS for path in folder.glob("**/case.json")), key=lambda p: p.name)
NETWORKS = [folder for folder in CASES if (folder / "input.npy").exists()]


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda p: p.name)
def test_network(folder: Path, tmp_path: Path) -> None:
    case = darknet.Case(folder)
    wrong, compared = [], 0
    for key, got, want, limit in darknet.replay(case):
        if got is None and want is None:
            continue
        if got is None:
            wrong.append(f"{key}: we have no such array")
            continue
        compared += 1
        off = np.abs(np.asarray(got).reshape(want.shape) - want).max(initial=0)
        if not off <= limit:
            wrong.append(f"{key}: off by {off:.3g}, at most {limit:.3g} is allowed")
    assert compared, "no array of the case was compared"
    assert not wrong, "\n".join(wrong)
