"""Files are parsed in runner/reading only, and no data is ever executed: checked by reading the code."""
import ast
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
           "Image.open", "csv.reader", "csv.DictReader"}
METHODS = {"read_text", "read_bytes", "isdigit", "isnumeric"}
# (file, call) -> why it is not read by runner/reading
EXCEPTIONS = {
    ("runner/lock.py", "json.loads"): "below runner/reading; catches what json raises for a short text",
    ("runner/lock.py", "read_text"): "files of the system",
    ("runner/machine.py", "read_text"): "files of the system",
    ("runner/ops/fast/jit.py", "read_bytes"): "the program's own source",
    ("runner/datasets/download.py", "zipfile.ZipFile"): "unpacks file by file, and refuses paths outside its folder",
    ("runner/datasets/download.py", "tarfile.open"): "unpacks file by file, and refuses paths outside its folder",
    ("runner/images/arrays.py", "zipfile.ZipFile"): "counts the files in an archive",
}

# what executes data, or writes where an archive says
RUNS_CODE = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "subprocess.getoutput",
             "subprocess.getstatusoutput", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "runpy.run_path",
             "runpy.run_module", "code.interact", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open"}
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


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_data_is_executed(path: Path) -> None:
    assert not executed(ast.parse(path.read_text(encoding="utf-8")))


def test_every_exception_is_needed() -> None:
    needed = {(str(path.relative_to(ROOT)), call) for path in PROGRAM
              for call in parsed(ast.parse(path.read_text(encoding="utf-8")))}
    assert set(EXCEPTIONS) <= needed


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
