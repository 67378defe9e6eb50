"""Activations in a graph: the nodes that `export` writes for each, found again wherever they stand."""
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from runner.export.activations import ACTIVATIONS
from runner.export.graph import Graph
from runner.importing.graph import Node, OnnxGraph

X = "x"
COMMUTATIVE = {"Add", "Mul", "Max", "Min", "Equal"}
TWINS = {"linear", "revleaky", "symmelliot"}        # nothing, or the same function as another
CLOSE = 1e-4        # relative, of a constant: SELU's have four digits in darknet
OPSETS = (13, 18)   # the writers know two forms


@dataclass
class Pattern:
    """The nodes of one activation; root is the last."""
    name: str
    root: Node
    producers: dict[str, Node]
    constants: dict[str, np.ndarray]


@dataclass
class _Match:
    """tensors of a pattern -> those of the graph; the nodes found so far."""
    tensors: dict[str, str] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)


@cache
def patterns() -> list[Pattern]:
    """Every activation in the forms of `export`, the largest first."""
    from onnx import numpy_helper
    found = []
    for name, write in ACTIVATIONS.items():
        if name in TWINS:
            continue
        for opset in OPSETS:
            g = Graph(opset)
            g.output("y", write(g, X), 1, [1])
            g.inputs.append((X, 1, [1]))
            graph = OnnxGraph(g.model("pattern", {}, "", ""))
            nodes = graph.nodes[:-1]        # the last is the Identity that names the output
            constants = {w.name: numpy_helper.to_array(w) for w in g.weights} | graph.constants
            found.append(Pattern(name, nodes[-1], {node.outputs[0]: node for node in nodes}, constants))
    return sorted(found, key=lambda pattern: -len(pattern.producers))


def find_activations(graph: OnnxGraph) -> None:
    """Replace the nodes of every activation by one of the operator Activation, with its name as `function`."""
    by_op: dict[str, list[Pattern]] = {}
    for pattern in patterns():
        by_op.setdefault(pattern.root.op, []).append(pattern)
    producers = {name: node for node in graph.nodes for name in node.outputs}
    consumers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            consumers.setdefault(name, []).append(node)
    gone: set[int] = set()
    for node in reversed(graph.nodes):
        if id(node) in gone:
            continue
        for pattern in by_op.get(node.op, ()):
            match = _match(node, pattern.root, pattern, graph, producers, _Match())
            if match and X in match.tensors and match.tensors[X] not in graph.constants \
                    and _inside(match, node, consumers, graph.outputs) and not gone & set(match.nodes):
                gone |= set(match.nodes) - {id(node)}
                order = [each for each in graph.nodes if id(each) in match.nodes]
                node.names = [name for each in order for name in each.names]
                node.op, node.inputs = "Activation", [match.tensors[X]]
                node.attributes = {"function": pattern.name}
                break
    graph.nodes = [node for node in graph.nodes if id(node) not in gone]
    graph.count()


def _inside(match: _Match, root: Node, consumers: dict[str, list[Node]], outputs: list[str]) -> bool:
    """Does nothing outside the match read what is between its first and last node?"""
    between = [name for node in match.nodes.values() if node is not root for name in node.outputs]
    return not any(name in outputs or any(id(reader) not in match.nodes for reader in consumers.get(name, ()))
                   for name in between)


def _match(node: Node, wanted: Node, pattern: Pattern, graph: OnnxGraph, producers: dict[str, Node],
           match: _Match) -> _Match | None:
    if node.op != wanted.op or not _same_attributes(node.attributes, wanted.attributes):
        return None
    inputs = [name for name in node.inputs if name]
    if len(inputs) != len(wanted.inputs):
        return None
    orders = [inputs, inputs[::-1]] if node.op in COMMUTATIVE and len(inputs) == 2 else [inputs]
    for order in orders:
        found: _Match | None = _Match(dict(match.tensors), {**match.nodes, id(node): node})
        for name, want in zip(order, wanted.inputs, strict=True):
            found = found and _match_tensor(name, want, pattern, graph, producers, found)
        if found:
            return found
    return None


def _match_tensor(name: str, want: str, pattern: Pattern, graph: OnnxGraph, producers: dict[str, Node],
                  match: _Match) -> _Match | None:
    if want in match.tensors:
        return match if match.tensors[want] == name else None
    if want in pattern.constants:
        return match if name in graph.constants and _close(graph.constants[name], pattern.constants[want]) else None
    if want in pattern.producers:
        if name not in producers:
            return None
        found = _match(producers[name], pattern.producers[want], pattern, graph, producers, match)
    else:
        found = match
    return found and _Match({**found.tensors, want: name}, found.nodes)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.size == b.size and bool(np.allclose(a.reshape(-1).astype(np.float64), b.reshape(-1), CLOSE, 1e-7))


def _same_attributes(have: dict[str, Any], want: dict[str, Any]) -> bool:
    def same(one: Any, other: Any) -> bool:
        return _close(np.asarray(one), np.asarray(other)) if isinstance(other, float | int | list) else one == other
    return all(key in have and same(have[key], value) for key, value in want.items())
