"""Generate the parts of the documentation that come from declarations in the code.

    python tools/make_reference.py              write
    python tools/make_reference.py --check      write nothing; list stale files, with exit status 1 if there are any

docs/options.md is generated completely: every section, its docstrings, and a table of its options.  In README.md and
the other pages, a block between the lines

    <!-- generated: options dropout -->
    <!-- end -->

is generated: `options NAME` is the table of a section, `sections` the list of sections, `compat` the table of
runner/compat.py, `python` the public Python names, `formats TASK` the table of dataset formats, `suffixes` the endings
of data/<cfg name>.
"""
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from runner.cli import darknet  # noqa: E402
from runner.compat import COMPAT, Compat  # noqa: E402
from runner.config import Options  # noqa: E402
from runner.config.options import default_text, describe  # noqa: E402
from runner.datasets import FORMATS  # noqa: E402
from runner.datasets.format import Task  # noqa: E402
from runner.datasets.formats import described_suffixes  # noqa: E402
from runner.layers import LAYERS  # noqa: E402
from runner.layers.shared.base import Layer, LayerOptions  # noqa: E402
from runner.net_options import NetOptions  # noqa: E402

BLOCK = re.compile(r"(?m)^<!-- generated: (\w+) ?([\w-]*) -->\n.*?^<!-- end -->$", re.DOTALL)
COLUMNS = re.compile(r"\S+( \S+)* {3,}\S")

HEAD = """# Options

Every section of the cfg language, with its options.  This page is generated from the declarations in `runner/layers/`
by `python tools/make_reference.py`; `python run.py explain SECTION` prints the same.  The grammar is described in
[cfg.md](cfg.md).

"""


def layer_classes() -> list[type[Layer]]:
    """All layer classes, sorted by the name of their section."""
    return sorted(set(LAYERS.values()), key=lambda cls: cls.names[0].lower())


def page() -> str:
    """docs/options.md."""
    names = ["net", *(cls.names[0] for cls in layer_classes())]
    links = " · ".join(f"[{name}](#{name.lower()})" for name in names)
    parts = [HEAD + links, section("net", ("network",), prose(module_doc(NetOptions)), NetOptions)]
    parts.append("## In every layer\n\n" + table(LayerOptions))
    for cls in layer_classes():
        text = prose(module_doc(cls)) + "\n\nShapes: " + prose(inspect.cleandoc(cls.__doc__ or ""))
        parts.append(section(cls.names[0], cls.names[1:], text, cls.Options, inherited=True))
    return "\n\n".join(parts) + "\n"


def section(name: str, aliases: tuple[str, ...], text: str, options: type[Options], inherited: bool = False) -> str:
    also = ", ".join(f"`[{alias}]`" for alias in aliases)
    head = f"## {name}\n\n" + (f"Also written {also}.\n\n" if also else "")
    return head + text + "\n\n" + table(options, inherited)


def table(options: type[Options], inherited: bool = False) -> str:
    """The table of a section's options; `inherited`: without the options that every layer has."""
    shared = LayerOptions.declared() if inherited else {}
    own = {key: f for key, f in options.declared().items() if key not in shared}
    read = [(f"`{key}`", default_text(f), describe(f), f.metadata["doc"])
            for key, f in own.items() if not f.metadata["reason"]]
    idle = [(f"`{key}`", f.metadata["doc"], f.metadata["reason"]) for key, f in own.items() if f.metadata["reason"]]
    parts = []
    if read:
        parts.append(markdown(("option", "default", "takes", "meaning"), read))
    elif not idle:
        parts.append("No options of its own.")
    if idle:
        parts.append("Read, and without effect here:\n\n" + markdown(("option", "in darknet", "why"), idle))
    return "\n\n".join(parts)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def escaped(cell: str) -> str:
        return cell if cell.startswith(("`", "**")) else cell.replace("*", "\\*")
    return "\n".join([line(head), "|" + " --- |" * len(head), *(line([escaped(cell) for cell in row]) for row in rows)])


def prose(text: str) -> str:
    """A docstring as Markdown: indented lines and columns are formulas, kept verbatim; elsewhere stars are escaped."""
    text = re.sub(r"^\[[\w-]+\]: ", "", text)
    lines = (text[:1].upper() + text[1:]).splitlines()
    return "\n".join(line if line.startswith("    ") else f"    {line}" if COLUMNS.match(line) else
                     line.replace("*", "\\*") for line in lines)


def module_doc(thing: type) -> str:
    return inspect.cleandoc(inspect.getmodule(thing).__doc__ or "")     # type: ignore[union-attr]


def compat_table() -> str:
    """The rows of runner/compat.py in which the forks differ."""
    meaning = comments(Compat)
    rows = []
    for f in fields(Compat):
        values = [getattr(column, f.name) for column in COMPAT.values()]
        if f.name != "name" and len(set(values)) > 1:
            rows.append((f"`{f.name}`", *map(word, values), meaning.get(f.name, "")))
    return markdown(("", *COMPAT, "what it is"), rows)


def darknet_commands() -> str:
    """Every command of darknet and what is written here, from runner/cli/darknet.py."""
    offered = {name: command for name, command in darknet.COMMANDS.items() if command.takes != "..."}
    rows = [(f"`{name} {command.takes}`", f"`{darknet.written(command.here)}`" if command.here else "-", command.note)
            for name, command in offered.items()]
    others = ", ".join(f"`{name}`" for name in darknet.COMMANDS if name not in offered)
    return markdown(("darknet", "here", ""), [*rows, (others, "-", darknet.NOT_HERE)])


def darknet_flags() -> str:
    """Every flag of those commands, likewise."""
    options = {name: darknet.option_of(name) for name in darknet.FLAGS}
    return markdown(("flag", "here"), [
        (f"`-{name}{' VALUE' if flag.value else ''}`", f"`{options[name]}`" if options[name] else flag.why)
        for name, flag in darknet.FLAGS.items()])


def word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


def comments(owner: type) -> dict[str, str]:
    """Field name -> the comment after its declaration, continued on the lines below."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.getsource(owner).splitlines():
        declared, more = re.match(r" {4}(\w+): [^#]*(?:# *(.*))?$", line), re.match(r" +# *(.*)", line)
        if declared:
            name, found[declared[1]] = declared[1], declared[2] or ""
        elif more and name:
            found[name] += " " + more[1]
    return found


def sections() -> str:
    """The names of all sections, in lines of at most 120 characters."""
    return textwrap.fill(", ".join(f"`{name}`" for name in ["net", *(cls.names[0] for cls in layer_classes())]), 120,
                         break_long_words=False, break_on_hyphens=False)


def formats_table(task: str) -> str:
    """The dataset formats of a task."""
    return markdown(("format", "files"), [(fmt.name, fmt.example) for fmt in FORMATS if fmt.task == task])


def python_reference() -> str:
    """Every public name of `runner`: signature and docstring; of a class, of its public methods and properties too."""
    import runner
    parts = []
    for name in runner.__all__:
        thing = getattr(runner, name)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            parts.append(f"### `{name}`\n\n{paragraphs(thing.__doc__)}")
            parts += [described(f"{name}.{key}", member) for key, member in vars(thing).items()
                      if not key.startswith("_") and member.__doc__ and not isinstance(member, str)
                      and (callable(member) or isinstance(member, property | functools.cached_property))]
        elif inspect.isfunction(thing):
            parts.append(described(name, thing))
        elif inspect.isclass(thing):
            parts.append(f"### `{name}`\n\n{paragraphs(thing.__doc__)}")
        elif inspect.ismodule(thing):
            parts.append(f"### `{name}`\n\nThe package `{thing.__name__}`.")
    return "\n\n".join(parts)


def described(name: str, member: Any) -> str:
    """A function, a method or a property."""
    head = name
    if not isinstance(member, property | functools.cached_property):
        signature = inspect.signature(member)
        head += str(signature.replace(return_annotation=inspect.Signature.empty, parameters=[
            one.replace(annotation=inspect.Parameter.empty) for key, one in signature.parameters.items()
            if key != "self"]))
    return f"{'####' if '.' in name else '###'} `{head}`\n\n{paragraphs(member.__doc__)}"


def paragraphs(text: str | None) -> str:
    """A docstring as Markdown: a paragraph with columns or a list of arguments is kept as it is."""
    parts = []
    for part in inspect.cleandoc(text or "").split("\n\n"):
        lines = part.splitlines()
        listed = any(re.match(r"\S+( \S+)* {2,}\S|    ", line) and not line.endswith(".") for line in lines[:1]) or \
            any(line.startswith(" ") for line in lines)
        parts.append(f"```text\n{part}\n```" if listed else part.replace("*", "\\*"))
    return "\n\n".join(parts)


def fill(text: str, file: str) -> str:
    """`text` with its generated blocks updated."""
    def block(found: re.Match[str]) -> str:
        what, name = found[1], found[2]
        if what == "options" and name in LAYERS:
            body = table(LAYERS[name].Options, inherited=True)
        elif what == "sections":
            body = sections()
        elif what == "python":
            body = python_reference()
        elif what == "compat":
            body = compat_table()
        elif what == "darknet" and name in ("commands", "flags"):
            body = darknet_commands() if name == "commands" else darknet_flags()
        elif what == "suffixes":
            body = "Without that, it is `data/<cfg name>`, a folder or a file ending in one of " \
                   f"{', '.join(f'`{ending}`' for ending in described_suffixes())}."
        elif what == "formats" and name in get_args(Task):
            body = formats_table(name)
        else:
            raise SystemExit(f"{file}: nothing is generated for {what} {name}")
        return f"<!-- generated: {' '.join(filter(None, (what, name)))} -->\n{body}\n<!-- end -->"
    return BLOCK.sub(block, text)


def pages(root: Path = ROOT) -> dict[Path, str]:
    """All pages with generated parts -> their up-to-date content."""
    wanted = {root / "docs" / "options.md": page()}
    for path in [*root.glob("*.md"), *sorted((root / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if path not in wanted and BLOCK.search(text):
            wanted[path] = fill(text, str(path.relative_to(root)))
    return wanted


def stale(root: Path = ROOT) -> dict[Path, str]:
    """The pages whose generated parts are out of date -> their up-to-date content."""
    return {path: text for path, text in pages(root).items()
            if not path.exists() or path.read_text(encoding="utf-8") != text}


def main(arguments: list[str]) -> int:
    old = stale()
    if arguments == ["--check"]:
        for path in old:
            print(f"{path.relative_to(ROOT)} is stale: run python tools/make_reference.py", file=sys.stderr)
        return 1 if old else 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for path, text in old.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
