"""Every number recorded from the real darknet, met within the case's own tolerance.

RUNNER_GOLDEN names further folders of cases, separated by os.pathsep.
"""
import os
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import weights
from runner.compat import COMPAT
from runner.config import Report, read
from runner.net_options import NetOptions
from runner.network import Network
from runner.optim.policy import rate_at
from tests.compat import darknet
from tests.paths import GOLDEN

pytestmark = pytest.mark.usefixtures("backend")

MORE = os.environ.get("RUNNER_GOLDEN", "").split(os.pathsep)
FOLDERS = [GOLDEN, *(Path(folder) for folder in MORE if folder)]
CASES = sorted((path.parent for folder in FOLDERS for path in folder.glob("**/case.json")), key=lambda p: p.name)
SINGLE_LIMIT = 2**-23      # of a rate in compat mode, whose options are float32 as darknet's
NETWORKS = [folder for folder in CASES if (folder / "input.npy").exists()]


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda p: p.name)
def test_network(folder: Path) -> None:
    case = darknet.Case(folder)
    wrong, compared = [], 0
    for key, got, want, limit in darknet.replay(case):
        if got is None and want is None:
            continue
        if got is None or want is None:
            wrong.append(f"{key}: only one of the two has this array")
            continue
        compared += 1
        off = np.abs(np.asarray(got).reshape(want.shape) - want).max(initial=0)
        if not off <= limit:
            wrong.append(f"{key}: off by {off:.3g}, at most {limit:.3g} is allowed")
    assert compared, "no array of the case was compared"
    assert not wrong, "\n".join(wrong)


def _files(name: str) -> list[Path]:
    return [folder for folder in CASES if (folder / name).exists()]


@pytest.mark.parametrize("folder", _files("net.after.weights"), ids=lambda p: p.name)
def test_saved_bytes(folder: Path, tmp_path: Path) -> None:
    """What darknet saved after its last step, written by us from the recorded parameters, byte for byte."""
    case = darknet.Case(folder)
    net = darknet.load(case)
    last = f"step{case.json['hyper']['steps_run']}/"
    for index, layer in enumerate(net.layers):
        for name in layer.stored:
            array = layer.params[name] if name in layer.params else layer.buffers[name]
            array[...] = case.want[f"{last}{index}/{name}"].reshape(array.shape)
    net.progress.seen = int(case.want["seen"][-1])
    weights.save(net, tmp_path / "ours.weights")
    assert (tmp_path / "ours.weights").read_bytes() == (folder / "net.after.weights").read_bytes()


@pytest.mark.parametrize("folder", [f for f in CASES if "lr" in darknet.Case(f).json["modes"]], ids=lambda p: p.name)
def test_rates(folder: Path) -> None:
    """The learning rate of every batch number, of both forks."""
    case = darknet.Case(folder)
    options = runner.load(folder / "net.cfg").options if _has_layers(folder) else _net_options(folder)
    for fork in ("alexeyab", "pjreddie"):
        if f"rate_{fork}" not in case.want:
            continue
        for batch, want in zip(case.want["batch"], case.want[f"rate_{fork}"], strict=True):
            if fork == "pjreddie" and options.policy == "sigmoid" and batch < options.step:
                continue    # pjreddie subtracts without a sign there: a defect that is not copied
            limit = case.json["tolerance"]["rate"] * np.abs(case.want[f"rate_{fork}"]).max()
            assert abs(rate_at(options, int(batch)) - want) <= limit, f"{fork}, batch {batch}"
            got = rate_at(options, int(batch), single=COMPAT[fork].single_rates)
            assert abs(got - want) <= SINGLE_LIMIT * abs(want), f"{fork}, batch {batch}, in compat mode"


def _has_layers(folder: Path) -> bool:
    return (folder / "net.cfg").read_text().count("[") > 1


def _net_options(folder: Path) -> NetOptions:
    report = Report()
    options = NetOptions.parse(read(folder / "net.cfg", report)[0], report)
    report.raise_errors()
    assert options is not None
    return options


@pytest.mark.parametrize("folder", _files("net.v010.weights"), ids=lambda p: p.name)
@pytest.mark.parametrize("file", ["net.weights", "net.v010.weights", "net.transposed.weights"])
def test_weight_headers(folder: Path, file: str) -> None:
    """Three kinds of header, the same parameters."""
    case = darknet.Case(folder)
    net = runner.load(folder / "net.cfg", compat=darknet.FORKS[case.fork])
    header = weights.load(net, folder / file)
    assert header.seen == case.want["seen"].item()
    for key, want in case.want.items():
        if key.startswith("param/"):
            _, index, name = key.split("/")
            layer = net.layers[int(index)]
            np.testing.assert_array_equal(layer.params.get(name, layer.buffers.get(name)), want, key)


@pytest.mark.parametrize("planned", [False, True], ids=["layers", "plan"])
@pytest.mark.parametrize("folder", NETWORKS, ids=lambda p: p.name)
def test_exact_inference_is_darknets(folder: Path, planned: bool) -> None:
    """Without compat, inference gives darknet's numbers too: published weights need no switch.

    Batch norm is the one difference: pjreddie's CPU code adds 1e-6 to the root, its GPU code, which trained the
    published weights, 1e-5 under it as AlexeyAB does.
    """
    case = darknet.Case(folder)
    net = runner.load(folder / "net.cfg")
    fork_order = any(layer.names[0] in ("lstm", "gru", "batchnorm") for layer in net.layers)
    if fork_order or (case.fork == "pjreddie" and any("scales" in layer.specs for layer in net.layers)):
        pytest.skip("the two forks store or normalise this one differently; test_network checks it in compat mode")
    if case.fork == "pjreddie" and any(layer.names[0] == "crnn" for layer in net.layers) and _tall_or_wide(net):
        pytest.skip("pjreddie's [crnn] takes the width for the height, which matters if the image is not square")
    if case.fork == "AlexeyAB" and any(layer.names[0] == "region" for layer in net.layers):
        pytest.skip("AlexeyAB's [region] has another order; tests/detection/test_golden_boxes.py checks it")
    weights.load(net, folder / "net.weights")
    x = case.array("input.npy")[:case.json["hyper"]["mini_batch"]]
    for index, got in enumerate(net.optimized().outputs(x) if planned else net.outputs(x)):
        if f"infer/{index}" in case.want:
            want = case.want[f"infer/{index}"]
            off = np.abs(got.reshape(want.shape) - want).max(initial=0)
            assert off <= case.limit(f"infer/{index}"), f"layer {index}"


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda p: p.name)
def test_a_plan_gives_the_numbers_of_the_fork(folder: Path) -> None:
    """In compat mode, every recorded inference output, one plan call each, so that memory is reused."""
    case = darknet.Case(folder)
    net = darknet.load(case)
    x = case.array("input.npy")[:case.json["hyper"]["mini_batch"]]
    plan, compared = net.optimized(), 0
    asked = [index for index in range(len(net.layers)) if f"infer/{index}" in case.want]
    if not asked:
        pytest.skip("nothing was recorded of inference")
    plain = dict(enumerate(net.outputs(x)))
    for index in asked:
        want = case.want[f"infer/{index}"].reshape(plain[index].shape)
        limit = case.limit(f"infer/{index}")
        if not np.abs(plain[index] - want).max(initial=0) <= limit:
            continue        # test_network reports it, with the reason
        net.reset_state()
        got = plan.wanted(x, [index])[index]
        assert np.abs(got - want).max(initial=0) <= limit, f"layer {index}"
        compared += 1
    assert compared


def _tall_or_wide(net: Network) -> bool:
    return len(net.in_shape) == 3 and net.in_shape[1] != net.in_shape[2]
