"""The architecture, checked by reading the imports: every module belongs to a floor and imports only from lower floors.

The table below is the architecture; docs/architecture.md gives the reasons.  Change both together.
"""
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "runner"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = [
    {"runner.arguments", "runner.errors", "runner.file_kinds", "runner.files", "runner.lock", "runner.machine",
     "runner.ops", "runner.program", "runner.shipped", "runner.text_table"},
    {"runner.reading"},
    {"runner.config", "runner.compat", "runner.distributed", "runner.images", "runner.optim.rules", "runner.outputs"},
    {"runner.layers", "runner.net_options", "runner.process_group"},
    {"runner.network", "runner.network_checks"},
    {"runner.weights", "runner.optim", "runner.datasets", "runner.detection"},
    {"runner.inference", "runner.run_folder", "runner.weights_tools"},
    {"runner.analysis", "runner.chosen_run", "runner.model"},
    {"runner.training", "runner.export"},
    {"runner.api", "runner.importing"},
    {"runner.cli"},
]
FOR_ALL = ("runner.program", "runner.errors")        # everything may import these; neither computes anything
REQUIRED = {"numpy", "PIL", "yaml", "tqdm"}     # from requirements.txt; everything else is an extra
LIMITS = {"runner/layers": 200, "runner": 450, "tests": 450, "tools": 450, "bench": 450}
# file -> why it may be longer
LONG = {
    "runner/layers/shared/base.py": "the contract of all layers in one place; not a layer itself",
    "runner/layers/region.py": "the losses of two forks and the class tree",
    "runner/layers/yolo.py": "decoding, matching and the loss of the head are checked against each other line by line",
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def home(module: str) -> tuple[int, str] | None:
    """(floor, entry of FLOORS) of a module; None outside the package."""
    for height, names in enumerate(FLOORS):
        for name in names:
            if module == name or module.startswith(name + "."):
                return height, name
    return None


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything a file imports, at any level, including names imported from modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a name lives"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def upward_imports(me: str, tree: ast.AST) -> list[str]:
    here = home(me)
    if here is None:
        return [] if me in ("runner", "runner.__main__") else [f"{me} is not on any floor: add it to FLOORS"]
    wrong = []
    for other in imported(tree):
        there = home(other)
        if there is None or there[1] in (here[1], *FOR_ALL):
            continue
        if there[0] >= here[0]:
            wrong.append(f"{me} (floor {here[0]}) imports {other} (floor {there[0]}): import from lower floors only")
    return wrong


FAST = "runner.ops.fast."
# folder of the compiled backend -> what else of the backend it may import
FAST_FOLDERS = {"simd": {"jit", "tuning"}, "train": {"simd", "jit", "tuning"}, "infer": {"simd", "jit", "tuning"}}


def crossing_imports(me: str, tree: ast.AST) -> list[str]:
    """Imports between folders of the compiled backend that are strangers to each other."""
    folder = me.removeprefix(FAST).partition(".")[0]
    if not me.startswith(FAST) or folder not in FAST_FOLDERS:
        return []
    parts = {other: other.removeprefix(FAST).partition(".")[0] for other in imported(tree) if other.startswith(FAST)}
    return [f"{me} imports {other}" for other, part in parts.items() if part not in FAST_FOLDERS[folder] | {folder}]


def bound_functions(me: str, tree: ast.AST) -> list[str]:
    """Functions imported from `runner.ops` by name, which `ops.use("fast")` could not replace."""
    if home(me) == (0, "runner.ops"):
        return []
    return [f"{me}:{node.lineno} binds {alias.name}: write `from runner import ops` and `ops.{alias.name}(...)`"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] == ["runner", "ops"]
            and node.module != "runner.ops.inference_op"        # it computes nothing
            for alias in node.names
            if alias.name not in ("inference_op", "memory", "parallel") and not alias.name.isupper()]      # a constant


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    me, tree = module_of(path), ast.parse(path.read_text())
    assert not upward_imports(me, tree)
    assert not crossing_imports(me, tree)
    assert not bound_functions(me, tree)


def test_the_checks_above_find_violations() -> None:
    up = ast.parse("def f():\n    from runner.network import Network\n")
    assert upward_imports("runner.layers.maxpool", up)
    assert upward_imports("runner.weights", ast.parse("import runner.detection")), "modules on one floor are strangers"
    assert upward_imports("runner.weights", ast.parse("import runner.training.loop"))
    assert upward_imports("runner.nowhere", ast.parse(""))
    assert not upward_imports("runner.training.loop", up)
    training = ast.parse("from runner.ops.fast.train import dense")
    assert crossing_imports("runner.ops.fast.infer.conv", training)
    assert crossing_imports("runner.ops.fast.simd.dot", training)
    assert crossing_imports("runner.ops.fast.train.dense", ast.parse("import runner.ops.fast.infer.executor"))
    assert not crossing_imports("runner.ops.fast.planned", training)
    assert bound_functions("runner.layers.maxpool", ast.parse("from runner.ops import maxpool2d"))
    assert bound_functions("runner.layers.maxpool", ast.parse("from runner.ops.pool import maxpool2d"))
    assert not bound_functions("runner.layers.maxpool", ast.parse("from runner import ops"))


def test_every_entry_names_a_module() -> None:
    entries = {(height, name) for height, names in enumerate(FLOORS) for name in names}
    assert {there for path in FILES if (there := home(module_of(path)))} == entries


def test_the_page_lists_the_floors() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("\n## Floors\n")[2]
    listed: list[set[str]] = []
    for line in page.partition("```text\n")[2].partition("\n```")[0].splitlines():
        entry = re.match(r"(\d+)? +(runner/[\w/.]+)", line)
        if entry is None or line.startswith("    "):
            continue
        if entry[1]:
            assert int(entry[1]) == len(listed)
            listed.append(set())
        listed[-1].add(entry[2].removesuffix("/").removesuffix(".py").replace("/", "."))
    assert listed == FLOORS


def test_only_the_command_line_prints_parses_and_exits() -> None:
    wrong = []
    for path in FILES:
        if module_of(path).startswith(("runner.cli", "runner.__main__")):
            continue
        tree = ast.parse(path.read_text())
        wrong += [f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}" for node in ast.walk(tree)
                  if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit", "exit", "input")]
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imported(tree) if name == "argparse"]
    assert not wrong


def test_extras_are_imported_inside_functions() -> None:
    """With only requirements.txt installed, a module with a top-level `import numba` could not be imported."""
    wrong = []
    for path in FILES:
        if module_of(path).startswith("runner.ops.fast"):
            continue
        for node in ast.parse(path.read_text()).body:       # the top level of the file, not its functions
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported(node):
                    top = name.partition(".")[0]
                    if top not in REQUIRED | {"runner", "cfgrunner"} and top not in sys.stdlib_module_names:
                        wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {name}")
    assert not wrong


def _loaded_by(*command: str) -> set[str]:
    """The packages a Python process has loaded when it ends."""
    listing = "import atexit, sys; atexit.register(lambda: print(*{m.partition('.')[0] for m in sys.modules}))\n"
    done = subprocess.run([sys.executable, "-c", listing + command[0], *command[1:]], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_import_do_not_load_numpy() -> None:
    heavy = {"numpy", "PIL", "yaml", "tqdm", "numba", "matplotlib", "onnx", "pytest"}
    assert not heavy & _loaded_by("import runner; runner.__version__")
    assert not heavy & _loaded_by("import runpy; runpy.run_path('run.py', run_name='__main__')", "--help")
    assert "numpy" in _loaded_by("import runner; runner.load"), "_loaded_by does not work"


def test_every_public_name_is_importable() -> None:
    import runner
    for name in runner.__all__:
        assert getattr(runner, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = runner.lode


def test_long_files_have_a_reason() -> None:
    """Split a layer over 200 lines or any file over 450, or give a reason in LONG."""
    long = {}
    for folder, limit in LIMITS.items():
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text().splitlines())
            if lines > limit:
                long[str(path.relative_to(ROOT))] = lines
    unexplained = {file: lines for file, lines in long.items() if file not in LONG}
    assert not unexplained, f"split these files, or give a reason in LONG: {unexplained}"
    assert not set(LONG) - set(long), "remove files that are no longer long"
