"""Files are parsed in runner/reading only, and no data is ever executed: checked by reading the code."""
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

READERS = ROOT / "runner" / "reading"
PROGRAM = sorted((ROOT / "runner").rglob("*.py"))
EVERYTHING = [*PROGRAM, *sorted((ROOT / "tools").rglob("*.py")), ROOT / "run.py"]

# what parses a file, and has a guarded reader instead
PARSERS = {"json.load", "json.loads", "yaml.load", "yaml.safe_load", "yaml.load_all", "yaml.safe_load_all",
           "yaml.parse", "yaml.compose", "yaml.scan", "ElementTree.parse", "ElementTree.fromstring", "ElementTree.XML",
           "ElementTree.iterparse", "np.load", "np.fromfile", "np.loadtxt", "np.genfromtxt", "np.fromstring",
           "zipfile.ZipFile", "tarfile.open", "gzip.open", "gzip.GzipFile", "gzip.decompress", "zlib.decompress",
           "Image.open", "csv.reader", "csv.DictReader", "onnx.load", "onnx.load_model", "onnx.load_from_string",
           "onnx.load_model_from_string"}
METHODS = {"read_text", "read_bytes", "isdigit", "isnumeric"}
# (file, call) -> why it is not read by runner/reading
EXCEPTIONS = {
    ("runner/lock.py", "json.loads"): "below runner/reading; catches what json raises for a short text",
    ("runner/lock.py", "read_text"): "files of the system",
    ("runner/machine.py", "read_text"): "files of the system",
    ("runner/ops/fast/jit.py", "read_bytes"): "the program's own source",
    ("runner/datasets/download.py", "zipfile.ZipFile"): "unpacks file by file, and refuses paths outside its folder",
    ("runner/datasets/download.py", "tarfile.open"): "unpacks file by file, and refuses paths outside its folder",
    ("runner/export/files.py", "zipfile.ZipFile"): "writes a comment into an archive of its own",
    ("runner/images/arrays.py", "zipfile.ZipFile"): "counts the files in an archive",
}

# (file, call) -> why int() or float() reads a text without runner.reading.numbers
NUMBER_EXCEPTIONS = {
    ("runner/cli/doctor.py", "int(part)"): "parts of the versions of installed packages",
    ("runner/cli/test.py", "boxes.add_argument(type=int)"): "argparse compares it with `choices`",
    ("runner/cli/test.py", "parser.add_argument(type=int)"): "argparse compares it with `choices`",
    ("runner/datasets/detection/boxes_in_lists.py", "map(float, word.split(','))"): "a pattern limits the digits",
    ("runner/datasets/folders.py", "int(part[:DIGITS])"): "digits, of which it takes the first",
    ("runner/export/onnx_model.py", "int(scope.partition('_')[0])"): "names that this program gave to operators",
    ("runner/inference/parts.py", "float(f'{value:.9g}')"): "rounds a number",
    ("runner/training/suggest_anchors.py", "float(f'{side:.1g}')"): "rounds a number",
    ("runner/machine.py", "int((each / limit).read_text())"): "files of the system",
    ("runner/machine.py", "int((each / used).read_text())"): "files of the system",
    ("runner/machine.py", "int(line.split()[1])"): "files of the system",
}
# methods that only texts have, and whose results are texts or lists of texts; methods of texts with other results
OF_TEXTS = {"split", "rsplit", "splitlines", "partition", "rpartition", "strip", "lstrip", "rstrip", "lower", "upper",
            "casefold", "removeprefix", "removesuffix", "read_text", "group", "groups", "replace", "translate", "stem",
            "findall", "fullmatch", "match", "search"}
ON_TEXTS = OF_TEXTS - {"replace", "stem"} | {"isdecimal", "isascii", "isalpha", "startswith", "endswith", "encode"}
NOT_TEXTS = {"np", "os", "shutil", "math", "re"}        # modules with functions of these names

# what executes data, or writes where an archive says
RUNS_CODE = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "subprocess.getoutput",
             "subprocess.getstatusoutput", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "runpy.run_path",
             "runpy.run_module", "code.interact", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open"}
# files that do it all the same, with the reason
MAY = {"runner/process_group.py": "objects that the processes of one MPI job send to each other, as mpi4py does"}
UNPACKS = {"extractall", "extract", "unpack_archive"}
MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls in a file, with the name that is called as it is written: json.loads; the last part for methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def parsed(tree: ast.AST) -> set[str]:
    """Calls that parse a file."""
    found = set()
    for name, _ in calls(tree):
        found |= {name} & PARSERS
        found |= {name.rpartition(".")[2]} & METHODS if "." in name else set()
    return found


class _Texts(ast.NodeVisitor):
    """The names of a file that stand for texts somewhere, as far as the code shows it; found in two passes."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def is_text(self, node: ast.AST | None) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.names
        if isinstance(node, ast.Subscript | ast.Starred):
            return self.is_text(node.value)
        if isinstance(node, ast.Attribute):
            return node.attr in ("stem", "suffix", "name", "text")
        if isinstance(node, ast.BoolOp):
            return any(map(self.is_text, node.values))
        if isinstance(node, ast.IfExp):
            return self.is_text(node.body) or self.is_text(node.orelse)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                if isinstance(node.func.value, ast.Name) and node.func.value.id == "re":
                    return True
                return node.func.attr in OF_TEXTS and not self._of_module(node.func)
            return isinstance(node.func, ast.Name) and (node.func.id in ("str", "read_text", "decode", "input") or (
                node.func.id in ("enumerate", "zip", "sorted", "reversed") and any(map(self.is_text, node.args))))
        return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

    @staticmethod
    def _of_module(called: ast.Attribute) -> bool:
        return isinstance(called.value, ast.Name) and called.value.id in NOT_TEXTS

    def _bind(self, target: ast.AST, value: ast.AST | None) -> None:
        if self.is_text(value):
            self.names |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}

    def visit_arg(self, node: ast.arg) -> None:
        annotation = ast.unparse(node.annotation) if node.annotation else ""
        if re.search(r"\bstr\b", re.sub(r"(Mapping|dict)\[str,", "", annotation)):
            self.names.add(node.arg)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in ON_TEXTS and isinstance(called.value, ast.Name) \
                and not self._of_module(called):
            self.names.add(called.value.id)
        self.generic_visit(node)


def numbers_of_texts(tree: ast.Module) -> set[str]:
    """Calls of int() and float() on texts, and int and float as functions that are called with texts.

    Each outermost function or class is looked at on its own."""
    found = set()
    for part in tree.body:
        texts = _Texts()
        for _ in range(2):
            texts.visit(part)
        for name, node in calls(part):
            if name in ("int", "float") and node.args and texts.is_text(node.args[0]) and not (
                    isinstance(node.args[0], ast.Constant)):
                found.add(ast.unparse(node))
            if name == "map" and ast.unparse(node.args[0]) in ("int", "float") and texts.is_text(node.args[1]):
                found.add(ast.unparse(node))
            found |= {f"{name}(type={ast.unparse(keyword.value)})" for keyword in node.keywords
                      if keyword.arg == "type" and ast.unparse(keyword.value) in ("int", "float")}
    return found


def executed(tree: ast.AST) -> list[str]:
    """Calls and imports that execute data."""
    found = []
    for name, node in calls(tree):
        if name in RUNS_CODE or name.rpartition(".")[2] in UNPACKS:
            found.append(f"line {node.lineno}: {name}")
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg in ("shell", "allow_pickle") and not off:
                found.append(f"line {node.lineno}: {name}({keyword.arg}=...)")
    for statement in ast.walk(tree):
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else \
            [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.partition(".")[0] in MODULES]
    return found


@pytest.mark.parametrize("path", [path for path in PROGRAM if READERS not in path.parents],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_parsed_by_the_guarded_readers(path: Path) -> None:
    file = str(path.relative_to(ROOT))
    found = {call for call in parsed(ast.parse(path.read_text(encoding="utf-8"))) if (file, call) not in EXCEPTIONS}
    assert not found, f"{file} calls {', '.join(sorted(found))}: use runner.reading"


@pytest.mark.parametrize("path", [path for path in PROGRAM if READERS not in path.parents],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_numbers_of_texts_have_bounds(path: Path) -> None:
    file = str(path.relative_to(ROOT))
    found = {call for call in numbers_of_texts(ast.parse(path.read_text(encoding="utf-8")))
             if (file, call) not in NUMBER_EXCEPTIONS}
    assert not found, f"{file} calls {', '.join(sorted(found))}: use runner.reading.numbers"


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_data_is_executed(path: Path) -> None:
    assert bool(executed(ast.parse(path.read_text(encoding="utf-8")))) == (str(path.relative_to(ROOT)) in MAY)


def test_every_exception_is_needed() -> None:
    needed = {(str(path.relative_to(ROOT)), call) for path in PROGRAM
              for call in parsed(ast.parse(path.read_text(encoding="utf-8")))}
    assert set(EXCEPTIONS) <= needed
    numbers = {(str(path.relative_to(ROOT)), call) for path in PROGRAM
               for call in numbers_of_texts(ast.parse(path.read_text(encoding="utf-8")))}
    assert set(NUMBER_EXCEPTIONS) <= numbers


@pytest.mark.parametrize("text", [
    "def f(a: str): return int(a)", "def f(line):\n w = line.split()\n return float(w[0])",
    "x = [int(p) for p in s.split()]", "m = re.match('a', b)\nint(m[1])",
    "list(map(float, row.split()))", "p.add_argument('--n', type=int)", "int(path.stem)",
    "if a.isdecimal():\n int(a)", "float((p / 'x').read_text())"])
def test_numbers_of_texts_are_found(text: str) -> None:
    assert numbers_of_texts(ast.parse("def g():\n " + text.replace("\n", "\n ")))
    others = "int(x.sum()); float('inf'); int(a.shape[0]); float(np.split(a, 2)[0]); whole(text); real(text.strip())"
    assert not numbers_of_texts(ast.parse(others))


@pytest.mark.parametrize("text", ["json.loads(x)", "Path(a).read_text()", "np.load(f)", "word.isdigit()",
                                  "with Image.open(p) as image: pass", "ElementTree.parse(p).getroot()"])
def test_parsing_is_found(text: str) -> None:
    assert parsed(ast.parse(text))
    assert not parsed(ast.parse("re.compile(x); json.dumps(y); open_image(p); read_text(p); int('1')"))


@pytest.mark.parametrize("text", ["eval(x)", "import pickle", "from pickle import loads", "os.system('ls')",
                                  "exec(code)", "subprocess.run(x, shell=True)", "np.load(f, allow_pickle=flag)",
                                  "tar.extractall(p)", "yaml.load(x)"])
def test_execution_is_found(text: str) -> None:
    assert executed(ast.parse(text))
    assert not executed(ast.parse("subprocess.run(x, shell=False); re.compile(y); np.save(f, a, allow_pickle=False)"))
