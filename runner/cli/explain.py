"""List the sections of a cfg, or the options of one.

  python run.py explain                          all sections, one per line
  python run.py explain dropout                  its options: default, range, meaning
  python run.py explain convolutional.pad        one option
"""
import argparse
import inspect
from dataclasses import Field
from typing import TYPE_CHECKING

from runner.cli import console
from runner.program import command

if TYPE_CHECKING:
    from runner.config import Options


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", metavar="SECTION[.OPTION]", help="default: list all sections")


def run(args: argparse.Namespace) -> int:
    if args.what is None:
        console.say(_sections())
        return 0
    section, _, option = args.what.replace("[", "").replace("]", "").partition(".")
    text, options = _find(section.strip())
    declared = options.declared()
    if option:
        from runner.errors import UsageError, did_you_mean
        if option not in declared:
            raise UsageError(f"[{section}] has no option {option!r}{did_you_mean(option, declared)}")
        console.say(_entry(option, declared[option]))
        return 0
    console.say(text)
    for title, names in _groups(options):
        console.say(f"\n{console.paint(title, 'bold')}")
        for name in names:
            console.say(_entry(name, declared[name]))
    return 0


def _sections() -> str:
    from runner.layers import LAYERS
    rows = [("section", "also", "what it is"), ("net", "network", "the input and the training; the first section")]
    for layer_class in sorted(set(LAYERS.values()), key=lambda layer_class: layer_class.names[0]):
        heading = _module(layer_class).splitlines()[0].partition(": ")[2].rstrip(".")
        rows.append((layer_class.names[0], ", ".join(layer_class.names[1:]), heading))
    return console.table(rows, left=(0, 1, 2)) + f"\n\n{command('explain', 'SECTION')} lists its options"


def _find(section: str) -> tuple[str, "type[Options]"]:
    """The description of a section, and its options."""
    from runner.errors import UsageError, misspelled
    from runner.layers import LAYERS
    from runner.layers.shared.foreign import FOREIGN
    from runner.net_options import NetOptions
    if section in ("net", "network"):
        return _titled(("net", "network"), "", inspect.getdoc(NetOptions) or ""), NetOptions
    if section not in LAYERS:
        near = misspelled(section, ["net", *LAYERS])
        raise UsageError(f"unknown section [{section}]" + (
            f" ({known})" if (known := FOREIGN.get(section.lower())) else f" (did you mean {near!r}?)" if near else
            f". `{command('explain')}` lists the sections"))
    layer_class = LAYERS[section]
    return _titled(layer_class.names, _module(layer_class), inspect.getdoc(layer_class) or ""), layer_class.Options


def _titled(names: tuple[str, ...], module: str, text: str) -> str:
    """The names of a section, the docstring of its module, and that of its class."""
    head = console.paint(f"[{names[0]}]", "bold")
    also = f" (also {', '.join(f'[{name}]' for name in names[1:])})" if names[1:] else ""
    module = module.removeprefix(f"[{names[0]}]: ")
    return "\n\n".join(part for part in (f"{head}{also}", module, text) if part)


def _groups(options: "type[Options]") -> list[tuple[str, list[str]]]:
    """Titles and options: a section's own, those of every layer, and those without effect."""
    from runner.layers import LayerOptions
    common = set(LayerOptions.declared()) if issubclass(options, LayerOptions) else set()
    declared = options.declared()
    ignored = [name for name, f in declared.items() if f.metadata["reason"]]
    own = [name for name in declared if name not in common and name not in ignored]
    shared = [name for name in declared if name in common and name not in ignored]
    groups = (("options", own), ("options of every layer", shared), ("accepted, without effect here", ignored))
    return [(title, names) for title, names in groups if names]


def _entry(name: str, f: Field) -> str:
    """One option: its type and range, default and meaning, and why it has no effect if so."""
    from runner.config.options import default_text, describe
    default = default_text(f).strip("*")
    takes = f"{describe(f)}; {default if default == 'required' else 'default ' + default}"
    lines = [f"  {console.paint(name, 'bold')}  ({takes})", f"      {f.metadata['doc']}"]
    if f.metadata["reason"]:
        lines.append(f"      no effect: {f.metadata['reason']}")
    return "\n".join(lines)


def _module(layer_class: type) -> str:
    return (inspect.getmodule(layer_class).__doc__ or "").strip()      # type: ignore[union-attr]
