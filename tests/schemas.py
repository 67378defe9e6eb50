"""The JSON that verbs write, compared with docs/schemas: while the tests run, everything that is written."""
import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from runner.cli import console
from runner.files import json_text, json_utf8
from runner.inference import shards
from runner.training import monitor
from tests.paths import ROOT

FOLDER = ROOT / "docs" / "schemas"
INSTALLED = importlib.util.find_spec("jsonschema") is not None
# module that writes -> name of its schema, where it is not that of the module
NAMES = {"runner.cli.weights": "weights-info", "runner.cli.train_results": "train",
         "runner.training.monitor": "train-log", "runner.inference.shards": "json-lines"}
written: list[tuple[str, Any]] = []     # schema, value: what has been written since it was cleared


def schema_files() -> dict[str, Any]:
    """Name -> schema."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


@functools.cache
def validator(name: str) -> Any:
    """The jsonschema validator of a schema."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    schemas = schema_files()
    registry: Any = Registry().with_resources((schema["$id"], Resource.from_contents(schema))
                                              for schema in schemas.values())
    return Draft202012Validator(schemas[name], registry=registry)


def problems(name: str, value: Any) -> list[str]:
    """Where a value does not fit a schema."""
    from jsonschema.exceptions import best_match
    return [f"{name}: {each.json_path}: {(best_match(each.context) if each.context else each).message}"
            for each in validator(name).iter_errors(value)]


def refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def checked(depth: int, function: Callable[..., str] = json_text) -> Callable[..., str]:
    """`json_text` or `json_utf8` that compares what it writes with the schema of the module `depth` calls above."""
    def write(value: Any, *rest: Any, **more: Any) -> str:
        text = function(value, *rest, **more)
        module = sys._getframe(depth).f_globals["__name__"]
        if module.startswith("runner."):
            name, found = NAMES.get(module, module.rpartition(".")[2]), json.loads(text, parse_constant=refuse_constant)
            name = "parts-manifest" if name == "json-lines" and "shards" in found else name
            assert not (wrong := problems(name, found)), f"docs/schemas/{name}.json: {wrong}"
            written.append((name, found))
        return text
    return write


@pytest.fixture(scope="session", autouse=True)
def json_is_checked() -> None:
    """From now on, writing JSON that does not fit its schema is an error."""
    if INSTALLED:
        vars(console)["json_text"] = checked(2)
        vars(monitor)["json_text"] = checked(1)
        vars(shards)["json_utf8"] = checked(1, json_utf8)
