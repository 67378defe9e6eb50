"""--json: every verb has a schema in docs/schemas, and its outputs fit; no schema has a field that nothing writes."""
import argparse
import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import ops
from runner.cli import VERBS, common, console, module_of
from runner.files import SCHEMA_VERSION, json_text
from runner.outputs import obstacle
from tests import schemas, toy, toy_boxes, toy_labels
from tests.paths import ROOT
from tests.verbs import main

pytest.importorskip("jsonschema")
Part = tuple[str, Any]      # where a part of a schema is, and the part
PARTS = {"metrics"}         # schemas that others refer to
IN_FOLDERS = {"json-lines", "parts-manifest"}       # of what --json-lines writes
LISTS = {"predict", "detect", "check"}
SCHEMAS = schemas.schema_files()
TEXT_CFG = ("[net]\ninputs=256\nbatch=3\ntime_steps=6\nlearning_rate=.1\nmax_batches=2\n[rnn]\noutput=8\n[connected]\n"
            "output=256\nactivation=linear\n[softmax]\n")
VALUES_CFG = ("[net]\nwidth=6\nheight=6\nchannels=1\nbatch=4\nmax_batches=2\nmax_crop=6\n[connected]\noutput=2\n"
              "activation=linear\n[cost]\n")
SHORT = ("--quiet", "--no-report", "--set")


def json_outputs() -> set[str]:
    """Verb, or verb-command, of every option that writes JSON; train-log is that of --log-json."""
    def of(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
        for action in parser._actions:
            if isinstance(action, common.Output) and action.content in ("JSON", "log"):
                yield name if action.content == "JSON" else f"{name}-log"
            if isinstance(action, argparse._SubParsersAction):
                for command, one in action.choices.items():
                    yield from of(one, f"{name}-{command}")
    found = set()
    for verb in VERBS:
        parser = argparse.ArgumentParser()
        importlib.import_module(module_of(verb)).arguments(parser)
        found |= set(of(parser, verb))
    return found


def parts(schema: Any, where: str) -> Iterator[Part]:
    """Every part of a schema that is a schema itself."""
    yield where, schema
    for key in ("properties", "$defs"):
        for name, part in schema.get(key, {}).items():
            yield from parts(part, f"{where}/{key}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key], f"{where}/{key}")
    for number, part in enumerate(schema.get("anyOf", [])):
        yield from parts(part, f"{where}/anyOf/{number}")


def resolved(root: str, where: str, schema: Any) -> tuple[str, str, Any]:
    """The schema, its root and its place, that `$ref` names."""
    address, _, path = schema["$ref"].partition("#")
    name = next(name for name, each in SCHEMAS.items() if each["$id"] == address) if address else root
    found = SCHEMAS[name]
    for key in filter(None, path.split("/")):
        found = found[key]
    return name, f"{name}{path}", found


def used(root: str, where: str, schema: Any, value: Any) -> Iterator[str]:
    """The places of the properties that a value has."""
    if "$ref" in schema:
        yield from used(*resolved(root, where, schema), value)
    for number, part in enumerate(schema.get("anyOf", [])):
        if schemas.validator(root).evolve(schema=part).is_valid(value):
            yield from used(root, f"{where}/anyOf/{number}", part, value)
    if isinstance(value, dict):
        for key, each in value.items():
            if key in schema.get("properties", {}):
                yield f"{where}/properties/{key}"
                yield from used(root, f"{where}/properties/{key}", schema["properties"][key], each)
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from used(root, f"{where}/additionalProperties", schema["additionalProperties"], each)
    if isinstance(value, list) and "items" in schema:
        for each in value:
            yield from used(root, f"{where}/items", schema["items"], each)


def test_every_json_output_has_a_schema() -> None:
    assert set(SCHEMAS) - PARTS - IN_FOLDERS == json_outputs()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_describes_every_field(name: str) -> None:
    from jsonschema import Draft202012Validator
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:cfgrunner:schema:{name}:{SCHEMA_VERSION}" and schema["title"]
    assert schema["$schema"].endswith("2020-12/schema")
    bare = [where for where, part in parts(schema, name) if where.split("/")[-2:-1] in (["properties"], ["$defs"])
            and not part.get("description")]
    assert not bare
    open_objects = [where for where, part in parts(schema, name) if "properties" in part
                    and part.get("additionalProperties", part.get("unevaluatedProperties")) is not False
                    and name != "metrics"]
    assert not open_objects
    versions = [part for where, part in parts(schema, name) if where.endswith("/properties/schema_version")]
    assert [part["const"] for part in versions] == [SCHEMA_VERSION] * (
        len(schema["anyOf"]) if name == "json-lines" else name not in LISTS | PARTS)


def test_the_page_names_every_schema() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert not [name for name in SCHEMAS if f"(schemas/{name}.json)" not in page]


def test_a_value_that_does_not_fit_is_noticed() -> None:
    right: dict[str, Any] = {"schema_version": 1, "suggested": None, "tried": []}
    assert not schemas.problems("rates", right)
    for value in ({"schema_version": 1}, right | {"schema_version": 2}, right | {"more": 1}, right | {"tried": [1]}):
        assert schemas.problems("rates", value), value
    scope = {"__name__": "runner.cli.rates", "write_json": console.write_json}
    with pytest.raises(AssertionError, match=r"docs/schemas/rates.json: .*'suggested' is a required"):
        exec("write_json('-', {'tried': []})", scope)       # as that verb would write it


def test_what_json_does_not_have_is_null(tmp_path: Path) -> None:
    assert json_text({"a": [math.nan, (1.5, -math.inf)], "b": "ü"}) == '{"a": [null, [1.5, null]], "b": "ü"}'
    target = tmp_path / "a.json"
    for value in ([], [[1]], [{"a": math.nan}], {}, {"a": 1}):
        console.write_json(str(target), value)
        assert not obstacle(target, "JSON", [])      # recognised, and written again
        found = json.loads(target.read_text())
        assert (found.get("schema_version") == SCHEMA_VERSION) if isinstance(value, dict) else found is not None


def classify(folder: Path) -> None:
    toy.make(folder)
    main("train", "cfg/toy.cfg", *SHORT, "net.max_batches=3", "--json", "a.json", "--log-json", "a.log")
    main("train", "cfg/toy.cfg", "--name", "slow", *SHORT, "net.learning_rate=.01", "--set", "net.max_batches=2")
    main("test", "cfg/toy.cfg", "--json", "-", "--top-k", "1", "--crops", "10", "--per-image")
    (folder / "d.cfg").write_text(toy.CFG.replace("[connected]", "[dropout]\nprobability=.5\n\n[connected]"))
    main("predict", "d.cfg", "data/toy/test", "--weights", "weights/toy/last.weights", "--samples", "2", "--json", "-")
    (folder / "data/toy/test/dark/bad.png").write_text("not an image")
    main("predict", "d.cfg", "data/toy/test", "--weights", "weights/toy/last.weights", "--samples", "2", "--json-lines",
         "parts")
    (folder / "data/toy/test/dark/bad.png").unlink()
    main("compare", "toy", "slow", "--json", "-")
    main("rates", "cfg/toy.cfg", "--quiet", "--updates", "3", "--json", "-", expect=1)
    main("weights", "info", "toy", "--json", "-")
    main("summary", "cfg/toy.cfg", "--json", "-")
    main("profile", "cfg/toy.cfg", "--runs", "1", "--json", "-")
    (folder / "bad.cfg").write_text("[net]\nwidth=x\n")
    main("check", "cfg/toy.cfg", "bad.cfg", "--json", "-", expect=1)
    (folder / "data/toy/train/dark/0.png").write_bytes((folder / "data/toy/test/dark/0.png").read_bytes())
    main("data", "data/toy", "--json", "-", expect=1)
    main("doctor", "--json", "-")


def values(folder: Path) -> None:
    toy.make(folder)
    (folder / "v.cfg").write_text(VALUES_CFG)
    main("train", "v.cfg", "--data", "data/toy", *SHORT, "net.max_batches=1", "--json", "-", "--log-json", "v.log")
    main("test", "v.cfg", "--data", "data/toy", "--crops", "10", "--json", "-")
    main("predict", "v.cfg", "data/toy/test/dark", "--json", "-")


def several_labels(folder: Path) -> None:
    toy_labels.make(folder, updates=1, images=20)
    main("train", "cfg/marks.cfg", *SHORT, "net.split_share=.3", "--json", "-", "--log-json", "m.log")
    main("test", "cfg/marks.cfg", "--crops", "10", "--json", "-", "--per-image")
    main("predict", "cfg/marks.cfg", "data/marks", "--json", "-")
    main("predict", "cfg/marks.cfg", "data/marks", "--json-lines", "parts")
    main("data", "data/marks.csv", "--quiet", "--json", "-")


def detect(folder: Path) -> None:
    toy_boxes.make(folder)
    main("train", "cfg/squares.cfg", *SHORT, "net.max_batches=1", "--json", "-", "--log-json", "s.log")
    main("test", "cfg/squares.cfg", "--json", "-", "--thresh", "0", "--iou", ".99", "--per-image")
    main("test", "cfg/squares.cfg", "--json", "-", "--tiles", "20x16")
    main("detect", "cfg/squares.cfg", "data/squares/images/test/0.png", "--thresh", "0", "--json", "-",
         "--track")
    main("detect", "cfg/squares.cfg", "data/squares/images/test", "cfg/squares.cfg", "--json-lines", "parts")
    main("anchors", "cfg/squares.cfg", "--json", "-")
    label = next(iter(sorted(folder.glob("data/squares/labels/train/*.txt"))))
    label.write_text("0 7 7 7 7\n")
    main("data", "data/squares", "--quiet", "--json", "-", expect=1)


def text(folder: Path) -> None:
    (folder / "text.txt").write_text("to be or not to be. " * 20)
    (folder / "chars.cfg").write_text(TEXT_CFG)
    main("train", "chars.cfg", "--data", "text.txt", *SHORT, "net.max_batches=1", "--json", "-")
    main("test", "chars.cfg", "--data", "text.txt", "--json", "-")
    main("generate", "chars.cfg", "--length", "3", "--json", "-")


def test_every_output_fits_its_schema_and_every_field_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(common, "choose_backend", lambda _: ops.use("numpy"))       # nothing is compiled
    schemas.written.clear()
    for scenario in (classify, values, several_labels, detect, text):      # each output is compared where it is written
        folder = tmp_path / scenario.__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        scenario(folder)
    assert {name for name, _ in schemas.written} == set(SCHEMAS) - PARTS
    seen = {where for name, value in schemas.written for where in used(name, name, SCHEMAS[name], value)}
    declared = {where for name, schema in SCHEMAS.items() for where, part in parts(schema, name)
                if where.split("/")[-2:-1] == ["properties"]}
    assert not sorted(declared - seen)
