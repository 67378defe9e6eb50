"""Kinds of instructions: each declares the fields its kernel reads, and an operator gives all of them."""
import ast
import inspect
import textwrap

import numpy as np
import pytest

from runner.ops.fast.infer import instructions, winograd
from runner.ops.fast.infer.executor import CompiledProgram
from runner.ops.fast.infer.instructions import KINDS, RECORD, Kind


def fields_read(function) -> set[str]:
    """Names read from the first argument `s`, in a kernel and in the functions it passes `s` to."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = {node.attr for node in ast.walk(tree)
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "s"}
    for node in ast.walk(tree):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
                and isinstance(node.args[0], ast.Name) and node.args[0].id == "s"):
            helper = getattr(inspect.getmodule(function), node.func.id)
            names |= fields_read(helper.py_func)
    return names


@pytest.mark.parametrize("name", KINDS)
def test_a_kernel_reads_the_fields_it_declares(name: str) -> None:
    kind = KINDS[name]
    assert kind.fields and len(set(kind.fields)) == len(kind.fields), "a field is declared twice"
    assert set(kind.fields) == fields_read(kind.kernel)


def offsets_of(dtype: np.dtype) -> dict[str, int]:
    """Field -> its offset in a record, bytes."""
    assert dtype.fields is not None
    return {name: field[1] for name, field in dtype.fields.items()}


@pytest.mark.parametrize("name", KINDS)
def test_records_of_all_kinds_have_one_size(name: str) -> None:
    dtype = KINDS[name].dtype
    offsets, common = offsets_of(dtype), offsets_of(RECORD)
    assert dtype.itemsize == RECORD.itemsize
    assert {field: offsets[field] for field in common} == common
    assert max(offsets.values()) < dtype.itemsize


def test_every_kind_can_be_found_by_its_name() -> None:
    declared = {kind for module in (instructions, winograd) for kind in vars(module).values() if isinstance(kind, Kind)}
    assert set(KINDS.values()) == declared and all(KINDS[kind.name] is kind for kind in declared)


def test_an_instruction_has_all_its_fields() -> None:
    program, fields = CompiledProgram(1), dict.fromkeys(instructions.copy_planes.fields, 0)
    program.append(instructions.copy_planes, 1, **fields)
    assert len(program) == 1
    for wrong in ({"x": 0}, {**fields, "stride": 1}):
        with pytest.raises(TypeError, match="copy_planes: these fields are missing or unknown"):
            program.append(instructions.copy_planes, 1, **wrong)


def test_a_dry_program_only_counts_memory() -> None:
    program = CompiledProgram(1, dry=True)
    assert program.array(12, lambda: pytest.fail("it is made")) == 0
    program.append(instructions.copy_planes, 1, scratch=7, **dict.fromkeys(instructions.copy_planes.fields, 0))
    assert (program.held, program.scratch) == (4 * 12, 7)


def test_a_program_copies_planes() -> None:
    """Two images of three blocks of channels, of five values each."""
    program = CompiledProgram(2)
    program.append(instructions.copy_planes, 2 * 3, x=0, x_image=15, x_plane=5, y=30, y_image=15, y_plane=5,
                   oc_blocks=3, size=5)
    m = np.arange(60, dtype="f4")
    program.bind(m.view(np.uint8))(np.zeros(1, "f4"))
    np.testing.assert_array_equal(m[30:], np.arange(30))
