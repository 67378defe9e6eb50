"""The house's plan, held by reading the imports: each file stands on a floor, and arrows point down only.

The tables are the architecture (docs/architecture.md tells why).  Change them on purpose, and the page with them.
"""
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "runner"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = [
    {"runner.errors", "runner.files", "runner.machine", "runner.ops"},
    {"runner.config", "runner.compat", "runner.images"},
    {"runner.layers", "runner.optim.rules"},
    {"runner.network", "runner.net_options"},
    {"runner.weights", "runner.optim", "runner.datasets", "runner.detection"},
    {"runner.inference", "runner.run_folder"},
    {"runner.analysis", "runner.model"},
    {"runner.training"},
    {"runner.cli"},
]
# neighbours on one floor do not know each other, except these
SIDEWAYS = {
    ("runner.network", "runner.net_options"): "the [net] section is the network's own",
}
REQUIRED = {"numpy", "PIL", "yaml", "tqdm"}     # what requirements.txt brings for running; the rest are extras
LIMITS = {"runner/layers": 200, "runner": 450, "tests": 450, "tools": 450, "bench": 450}
# file -> why it may be longer
LONG = {
    "runner/layers/shared/base.py": "the contract of all layers, which a reader wants in one place; it is no layer",
    "runner/layers/region.py": "two forks' losses and the tree of classes, one beside the other",
    "runner/layers/yolo.py": "decoding, matching and the loss of the head are checked against each other line by line",
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def home(module: str) -> tuple[int, str] | None:
    """The floor a module stands on, and the name it goes by in the table; None outside the package."""
    for height, names in enumerate(FLOORS):
        for name in names:
            if module == name or module.startswith(name + "."):
                return height, name
    return None


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a file, what is taken from a module included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a name lives"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def wrong_arrows(me: str, tree: ast.AST) -> list[str]:
    here = home(me)
    if here is None:
        return [] if me == "runner" else [f"{me} stands on no floor: add it to FLOORS"]
    wrong = []
    for other in imported(tree):
        there = home(other)
        if there is None or there[1] in (here[1], "runner.errors") or (here[1], there[1]) in SIDEWAYS:
            continue
        if there[0] >= here[0]:
            wrong.append(f"{me} (floor {here[0]}) imports {other} (floor {there[0]}): only what is below may be used")
    return wrong


def bound_kernels(me: str, tree: ast.AST) -> list[str]:
    """Kernels taken out of `runner.ops` by name: `ops.use("fast")` could not replace them any more."""
    if home(me) == (0, "runner.ops"):
        return []
    return [f"{me}:{node.lineno} binds {alias.name}: write `from runner import ops` and `ops.{alias.name}(...)`"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] == ["runner", "ops"]
            and node.module != "runner.ops.inference_op"        # it computes nothing
            for alias in node.names if alias.name not in ("inference_op", "memory", "parallel")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down(path: Path) -> None:
    me, tree = module_of(path), ast.parse(path.read_text())
    assert not wrong_arrows(me, tree)
    assert not bound_kernels(me, tree)


def test_the_checks_above_see_a_fault() -> None:
    up = ast.parse("def f():\n    from runner.network import Network\n")
    assert wrong_arrows("runner.layers.maxpool", up)
    assert wrong_arrows("runner.images.draw", up), "neighbours are strangers unless SIDEWAYS says otherwise"
    assert wrong_arrows("runner.weights", ast.parse("import runner.training.loop"))
    assert wrong_arrows("runner.nowhere", ast.parse(""))
    assert not wrong_arrows("runner.training.loop", up)
    assert bound_kernels("runner.layers.maxpool", ast.parse("from runner.ops import maxpool2d"))
    assert bound_kernels("runner.layers.maxpool", ast.parse("from runner.ops.pool import maxpool2d"))
    assert not bound_kernels("runner.layers.maxpool", ast.parse("from runner import ops"))


def test_every_floor_is_lived_on_and_every_exception_is_used() -> None:
    modules = [module_of(path) for path in FILES]
    used = {(here[1], there[1]) for path in FILES if (here := home(module_of(path)))
            for other in imported(ast.parse(path.read_text())) if (there := home(other))}
    lived_on = {there for module in modules if (there := home(module))}
    assert {(height, name) for height, names in enumerate(FLOORS) for name in names} == lived_on
    assert len(SIDEWAYS) <= 3 and not set(SIDEWAYS) - used, "an exception that is not used any more"


def test_only_the_command_line_prints_parses_and_exits() -> None:
    wrong = []
    for path in FILES:
        if module_of(path).startswith("runner.cli"):
            continue
        tree = ast.parse(path.read_text())
        wrong += [f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}" for node in ast.walk(tree)
                  if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit", "exit", "input")]
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imported(tree) if name == "argparse"]
    assert not wrong


def test_extras_are_imported_where_they_are_used_only() -> None:
    """A module that starts with `import numba` could not be imported with requirements.txt alone."""
    wrong = []
    for path in FILES:
        if module_of(path).startswith("runner.ops.fast"):
            continue
        for node in ast.parse(path.read_text()).body:       # the top level of the file, not its functions
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported(node):
                    top = name.partition(".")[0]
                    if top not in REQUIRED | {"runner"} and top not in sys.stdlib_module_names:
                        wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {name}")
    assert not wrong


def _loaded_by(*command: str) -> set[str]:
    """Names of the packages a Python process has loaded at its end."""
    listing = "import atexit, sys; atexit.register(lambda: print(*{m.partition('.')[0] for m in sys.modules}))\n"
    done = subprocess.run([sys.executable, "-c", listing + command[0], *command[1:]], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_import_do_not_wait_for_numpy() -> None:
    heavy = {"numpy", "PIL", "yaml", "tqdm", "numba", "matplotlib", "onnx", "pytest"}
    assert not heavy & _loaded_by("import runner; runner.__version__")
    assert not heavy & _loaded_by("import runpy; runpy.run_path('run.py', run_name='__main__')", "--help")
    assert "numpy" in _loaded_by("import runner; runner.load"), "the list of loaded packages cannot be trusted"


def test_every_public_name_can_be_had() -> None:
    import runner
    for name in runner.__all__:
        assert getattr(runner, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = runner.lode


def test_no_file_grows_without_being_asked_why() -> None:
    """A layer over 200 lines, or any file over 450: split it, or say in LONG why it is better whole."""
    long = {}
    for folder, limit in LIMITS.items():
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text().splitlines())
            if lines > limit:
                long[str(path.relative_to(ROOT))] = lines
    asked = {file: lines for file, lines in long.items() if file not in LONG}
    assert not asked, f"split these files, or give a reason in LONG: {asked}"
    assert not set(LONG) - set(long), "files that are no longer long"
