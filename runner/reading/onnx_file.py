"""ONNX models from files: parsed by the package onnx, with sentences where it cannot."""
from pathlib import Path
from typing import Any

from runner.errors import MissingExtra, RunnerError, UsageError
from runner.reading.text import check_memory, read_bytes


def read_onnx(path: str | Path, error: type[RunnerError] = UsageError) -> Any:
    """-> onnx.ModelProto, checked, with the weights it keeps in files of their own.

    `error` where the file cannot be opened, is not an ONNX model, or names a weights file outside its folder.
    MissingExtra without the package onnx.
    """
    try:
        import onnx
        from onnx import checker, external_data_helper
    except ImportError:
        raise MissingExtra("onnx", "reading an ONNX model", "onnx") from None
    data = read_bytes(path, error)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as problem:        # protobuf's errors have no common base but this
        raise error(f"{path}: not an ONNX model ({_first_line(problem)})") from None
    if not model.graph.node:
        raise error(f"{path}: not an ONNX model, or one without nodes")
    folder = Path(path).absolute().parent
    stored = [tensor for tensor in model.graph.initializer if external_data_helper.uses_external_data(tensor)]
    files = {entry.value for tensor in stored for entry in tensor.external_data if entry.key == "location"}
    try:
        check_memory(sum((folder / name).stat().st_size for name in files), f"{path}: its weights", error)
        external_data_helper.load_external_data_for_model(model, str(folder))
    except RunnerError:
        raise
    except MemoryError:
        raise error(f"{path}: its weights do not fit into memory") from None
    except Exception as problem:        # onnx raises several kinds for one mistake
        raise error(f"{path}: its weights, which are in {', '.join(sorted(files))}, cannot be read "
                    f"({_first_line(problem)})") from None
    try:
        checker.check_model(model)
    except Exception as problem:
        raise error(f"{path}: not a valid ONNX model: {_first_line(problem)}") from None
    return model


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]
