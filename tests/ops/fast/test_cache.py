"""The cache of compiled kernels: what a killed process, a full disk or damage leaves there does no harm."""
import importlib.util
from pathlib import Path

import pytest

numba = pytest.importorskip("numba")

from runner.ops.fast import jit  # noqa: E402


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def run(folder: Path, factor: int = 2) -> tuple[float, bool]:
    """Call a kernel as a new process would -> its value, and whether it came from the cache."""
    path = folder / "kernels.py"
    path.write_text(f"def times(x):\n    return {factor} * x\n")
    spec = importlib.util.spec_from_file_location("kernels", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kernel = jit.compiled(module.times)
    return kernel(3.), bool(kernel.stats.cache_hits)


def files(folder: Path, extension: str) -> list[Path]:
    return list(folder.rglob(f"*.{extension}"))


@pytest.mark.parametrize("extension", ["nbi", "nbc"])
@pytest.mark.parametrize("size", [0, 40, 300])
def test_a_damaged_file_is_replaced(folder: Path, extension: str, size: int) -> None:
    assert run(folder) == (6, False) and run(folder) == (6, True)
    path, = files(folder, extension)
    path.write_bytes(path.read_bytes()[:size])
    assert run(folder) == (6, False) and run(folder) == (6, True)


@pytest.mark.parametrize("at", ["_save_data", "_save_index"])
def test_a_process_killed_while_it_saves_leaves_no_other_code(
        folder: Path, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has changed, with the code of the former one in the cache."""
    assert run(folder) == (6, False)
    with monkeypatch.context() as patch:
        def killed(*given: object) -> None:
            raise Killed
        patch.setattr(jit, "STAMP", "another version")
        patch.setattr(jit._CacheFile, at, killed)
        with pytest.raises(Killed):
            run(folder, 5)
    monkeypatch.setattr(jit, "STAMP", "another version")
    assert run(folder, 5) == (15, False) and run(folder, 5) == (15, True) and len(files(folder, "nbc")) == 1


def test_a_full_disk_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(jit._CacheFile, "_save_data", full)
    assert run(folder) == (6, False) and run(folder) == (6, False) and not files(folder, "nbi")


def test_where_no_folder_can_be_written_kernels_are_not_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder of the source nor one of the user: no HOME, a read-only installation."""
    monkeypatch.setattr(numba.core.caching.CodeLibraryCacheImpl, "_locator_classes", [])
    monkeypatch.setattr(numba.core.caching.CompileResultCacheImpl, "_locator_classes", [])
    assert run(folder) == (6, False) and run(folder) == (6, False) and not files(folder, "nbi")
    assert jit.entry(lambda x: 2 * x, "float64(float64)")
