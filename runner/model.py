"""From a .cfg file and a .weights file to a network ready for use: `runner.load` and `runner.check`."""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field
from pathlib import Path

import numpy as np

from runner import compat as compat_table
from runner import layers, network_checks, ops
from runner import weights as weights_file
from runner.config import Report, Section, override, read
from runner.errors import CfgError, OutOfMemory, ShapeError
from runner.inference import Plan
from runner.layers.convolutional import NOT_SHARED, Convolutional
from runner.layers.shared.base import Env, Layer, NotAMultiple, NotAnImage, Shape
from runner.machine import available_memory, require_memory
from runner.net_options import NetOptions
from runner.network import Network
from runner.network_checks import Placed
from runner.ops import memory
from runner.shipped import find

ALIASES = {name: kind.names[0] for name, kind in layers.LAYERS.items()} | {"net": "net", "network": "net"}


class Model(Network):
    """A network made from a cfg: what `runner.load` returns."""

    def optimized(self) -> Plan:
        """The inference plan of this network, with its weights as they are now (runner/inference/plan.py)."""
        return Plan(self)


def load(cfg: str | Path, weights: str | Path | None = None, dtype: str = "float32", seed: int = 0, *,
         settings: Iterable[str] = (), compat: str | None = None, strict: bool = False, allocate: bool = True,
         report: Report | None = None, folder: str | Path | None = None) -> Model:
    """The network a .cfg file describes.

    weights   a .weights file to read, or None for fresh random weights drawn from `seed`
    dtype     "float32", or "float64" for gradient checks
    settings  changes such as "net.batch=32" or "5.probability=0.3"
    compat    None: exact; "alexeyab", "pjreddie" or "yolor": with that fork's formulas (see runner/compat.py)
    strict    an unknown option is an error, not a warning
    allocate  False: shapes and counts only, without arrays
    report    collects the warnings
    folder    where files that the cfg names are looked for, besides the working directory; None: the folder of the cfg

    CfgError lists all errors of the cfg together; WeightsError: the weights file does not fit it.
    """
    report = report or Report(strict)
    sections = read(cfg, report)
    override(sections, settings, ALIASES, report, declared_options)
    net = build(sections, report, dtype=dtype, seed=seed, compat=compat, allocate=allocate,
                folder=Path(find(cfg)).parent if folder is None else folder)
    if weights is not None:
        remark = weights_file.load(net, weights).remark
        if remark:
            report.warn(remark)
    return net


def declared_options(section: str) -> Mapping[str, Field]:
    """The options of a section by name; empty for an unknown section."""
    if section in ("net", "network"):
        return NetOptions.declared()
    return layers.LAYERS[section].Options.declared() if section in layers.LAYERS else {}


def build(sections: Sequence[Section], report: Report, *, dtype: str = "float32", seed: int = 0,
          compat: str | None = None, allocate: bool = True, folder: str | Path = ".") -> Model:
    """The network of parsed sections.  CfgError lists all errors together."""
    options = None
    if sections and sections[0].name in ("net", "network"):
        options = NetOptions.parse(sections[0], report)
        if options is not None:
            network_checks.check_net(options, sections[0], report)
    env = Env(dtype=np.dtype(dtype), rng=np.random.default_rng(seed), compat=compat_table.find(compat),
              folder=str(folder), allocate=allocate and not report.count)
    if env.allocate:
        env.free = available_memory()
        memory.before_growing(lambda size: require_memory(size, "an array"))
        ops.choose_default_backend()
    if options is not None:
        env.time_steps = options.time_steps
        env.in_shape = options.in_shape() if all(options.in_shape()) else ()
        env.progress.max_batches = options.max_batches
    stack = _stack(sections[1:], env, report)
    network_checks.check_network(options, sections, stack, env, report)
    if len(sections) == 1 and not report.count:
        report.error(f"{sections[0].where()} there is no layer after it")
    report.raise_errors()
    assert options is not None
    net = Model(options, [place.layer for place in stack if place.layer], [place.links for place in stack], env)
    net.sections = list(sections)
    return net


def _stack(sections: Sequence[Section], env: Env, report: Report) -> list[Placed]:
    """Build the layers in order; one that fails leaves None, and the layers that read it are not checked."""
    stack: list[Placed] = []
    for index, section in enumerate(sections):
        kind = layers.find(section, report)
        options = kind.Options.parse(section, report) if kind else None
        layer: Layer | None = None
        links: tuple[int, ...] = ()
        if kind and options is not None:
            links = _links(kind.sources(options), index, section, report)
            in_shapes = [_out_shape(link, stack, env) for link in links]
            if links and None not in in_shapes:
                try:
                    layer = kind.build(options, [shape for shape in in_shapes if shape is not None], env)
                    _share(layer, index, stack, section, report)
                except NotAnImage:
                    report.error(network_checks.flat_route(stack, links, f"layer {index} [{section.name}]", env))
                except NotAMultiple as error:
                    report.error(f"{section.where()} layer {index}: {error}"
                                 f"{network_checks.dividing_size(stack, links, error.step, env)}")
                except ShapeError as error:
                    report.error(f"{section.where()} layer {index}: {error}"
                                 f"{network_checks.fitting_size(stack, links, env)}")
                except OutOfMemory as error:
                    report.error(f"{section.where()} layer {index}: {error}")
                except MemoryError:
                    report.error(f"{section.where()} layer {index}: its weights do not fit into memory")
        stack.append(Placed(section, layer, links))
    return stack


def _out_shape(link: int, stack: Sequence[Placed], env: Env) -> Shape | None:
    """The shape of an output; None where its layer could not be built."""
    if link < 0:
        return env.in_shape or None     # empty while [net] itself is wrong
    layer = stack[link].layer
    return None if layer is None else layer.out_shape


def _links(sources: Iterable[int], index: int, section: Section, report: Report) -> tuple[int, ...]:
    """Absolute indices of the outputs a layer reads; -1 is the network's input."""
    links = tuple(s + index if s < 0 else s for s in sources)
    for link in links:
        if not -1 <= link < index or (link < 0 < index):
            there = f"it can read 0 to {index - 1}, or -1 to -{index} counted back" if index else \
                "it is the first and can read only the input"
            report.error(f"{section.where(_naming(section))} layer {index} reads layer {link}; {there}")
            return ()
    return links


def _naming(section: Section) -> str | None:
    """The option that names the sources, where the section has it."""
    return next((key for key in ("layers", "from") if key in section.lines), None)


def _share(layer: Layer, index: int, stack: Sequence[Placed], section: Section, report: Report) -> None:
    """Let a layer with share_index use the arrays of the layer it names."""
    if not isinstance(layer, Convolutional) or layer.options.share_index == NOT_SHARED:
        return
    at = layer.options.share_index + (index if layer.options.share_index < 0 else 0)
    other = stack[at].layer if 0 <= at < index else None
    if isinstance(other, Convolutional):
        layer.share(other)
    else:
        report.error(f"{section.where('share_index')} share_index must name an earlier [{section.name}] layer. "
                     f"Got {layer.options.share_index}")


def check(cfg: str | Path, *, settings: Iterable[str] = (), strict: bool = False,
          compat: str | None = None) -> tuple[Model | None, Report]:
    """Read a cfg and infer every shape, without allocating weights -> the network (None if it cannot be built), and
    the report with all errors and warnings."""
    report = Report(strict)
    try:
        net = load(cfg, settings=settings, strict=strict, compat=compat, allocate=False, report=report)
        for problem in network_checks.file_problems(net.sections[1:], net.layers):
            report.error(problem)
        return net, report
    except CfgError as error:
        report.errors = list(error.messages)
        report.count = max(report.count, len(report.errors))    # a file that cannot be read has one
        return None, report
