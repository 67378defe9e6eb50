"""`runner.load`: a network from a cfg, or from a training run with its weights, settings and class names."""
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from runner import model
from runner.api.network import EXACT, Model, Origin
from runner.arguments import checked
from runner.chosen_run import choose
from runner.config import Report
from runner.errors import UsageError
from runner.shipped import find

DTYPES = ("float32", "float64")


@checked
def load(cfg: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None, dtype: str = "float32",
         seed: int = 0, *, names: str | os.PathLike[str] | Sequence[str] | None = None, settings: Iterable[str] = (),
         compat: str | None = None, strict: bool = False, allocate: bool = True, report: Report | None = None,
         folder: str | os.PathLike[str] | None = None) -> Model:
    """The network of a cfg, or of a training run.

    cfg       path of a .cfg file; or a run: its name, its folder, or weights in it.  A run has its weights, settings
              and compat; a cfg has fresh random weights unless `weights` is given
    weights   a .weights file to read; None: those of the run, or fresh ones drawn from `seed`
    dtype     "float32", or "float64" for gradient checks
    seed      of the initial weights and of everything else that is random
    names     the class names: a list, or a file with one per line; None: those of the run that the weights are from, or
              of the only .names file beside the weights or the cfg that has as many lines as there are classes
    settings  a list of changes such as "net.batch=32" or "5.probability=0.3"
    compat    "alexeyab", "pjreddie" or "yolor": with that fork's formulas (see runner/compat.py); "exact"; None: as the
              run was trained, else exact
    strict    an unknown option is an error, not a warning
    allocate  False: shapes and counts only, without arrays
    report    collects the warnings
    folder    where files that the cfg names are looked for, besides the working directory; None: the folder of the cfg

    CfgError lists all errors of the cfg together; WeightsError: the weights file does not fit it; UsageError: there is
    no such run, or an argument is of the wrong type.
    """
    given = _checked(cfg, weights, settings)
    if getattr(dtype, "__name__", str(dtype)) not in DTYPES:
        raise UsageError(f"dtype must be {' or '.join(DTYPES)}. Got {dtype!r}")
    if report is not None and not isinstance(report, Report):
        raise UsageError(f"report must be a runner.config.Report, which collects warnings. Got {report!r}")
    origin = Origin(os.fspath(cfg), None if weights is None else find(weights), tuple(given), compat, folder, names)
    if not _is_cfg(origin.cfg):
        run = choose(origin.cfg, origin.weights)
        origin = replace(origin, cfg=str(run.cfg), weights=str(run.weights or run.folder.weights()),
                         settings=(*run.settings, *given), compat=compat or run.compat, folder=folder or run.home,
                         word=origin.cfg)
    plain = model.load(origin.cfg, origin.weights, dtype, seed, settings=origin.settings,
                       compat=None if origin.compat == EXACT else origin.compat, strict=strict, allocate=allocate,
                       report=report, folder=None if origin.folder is None else Path(origin.folder))
    net = Model(plain.options, plain.layers, plain.links, plain.env)
    net.sections, net.origin = plain.sections, origin
    return net


def _checked(cfg: object, weights: object, settings: Iterable[str]) -> list[str]:
    """The settings.  UsageError where an argument is of a type that has another meaning, or none."""
    for name, value in (("cfg", cfg), ("weights", weights)):
        if not isinstance(value, str | os.PathLike) and (value is not None or name == "cfg"):
            raise UsageError(f"{name} is a path. Got {type(value).__name__}")
    if isinstance(settings, str):
        raise UsageError(f"settings is a list of settings: [{settings!r}]")
    given = list(settings) if isinstance(settings, Iterable) and not isinstance(settings, Mapping) else None
    if given is None or not all(isinstance(one, str) for one in given):
        raise UsageError(f'settings is a list of texts such as "net.batch=32". Got {settings!r}')
    return given


def _is_cfg(word: str) -> bool:
    """Whether it is the path of a cfg; else it names a run."""
    path = Path(find(word))
    if path.suffix == ".cfg":
        return True
    return path.is_file() and path.suffix != ".weights" and path.name != "run.yaml"
