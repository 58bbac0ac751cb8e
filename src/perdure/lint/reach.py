"""Finds the workflows in the checked files, and every function that their code reaches."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from perdure.lint.names import Defined, Names
from perdure.lint.scopes import FunctionNode, Scope, Source

_PARTS = frozenset(f"perdure.workflow.{name}" for name in ("run", "signal", "query", "update"))
_SET_UP = ("__init__", "__post_init__")


class Reached(NamedTuple):
    """A function that runs as workflow code."""

    function: Defined
    workflow: str
    """Name of the workflow that reaches it."""


def roots(names: Names) -> Iterator[Reached]:
    """The functions and methods that the engine calls."""
    for source in names.sources.values():
        for node, scope in _nodes(source):
            if isinstance(node, FunctionNode):
                if _decorated(node, scope, names, "workflow"):
                    yield Reached(Defined(node, scope), node.name)
            elif isinstance(node, ast.ClassDef):
                yield from _parts(node, scope, names)
            elif _registers(node) and isinstance(node, ast.Call):
                found = names.meaning(node.args[0], scope)
                if isinstance(found, Defined) and isinstance(found.node, FunctionNode):
                    yield Reached(found, found.node.name)


def _nodes(source: Source) -> Iterator[tuple[ast.AST, Scope]]:
    """Every node that defines or calls something, with the scope that it stands in."""
    waiting: list[tuple[ast.AST, Scope]] = [(source.tree, source.scope)]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, FunctionNode | ast.ClassDef | ast.Call):
            yield node, scope
        inside = source.scopes.get(node, scope)
        waiting.extend((child, inside) for child in ast.iter_child_nodes(node))


def _registers(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="workflow") | ast.Call(func=ast.Attribute(attr="workflow")), args=[_]):
            return True
        case _:
            return False


def _decorated(node: FunctionNode | ast.ClassDef, scope: Scope, names: Names, kind: str) -> bool:
    """Whether a decorator such as `@app.workflow` stands on it."""
    for each in node.decorator_list:
        made = each.func if isinstance(each, ast.Call) else each
        if isinstance(made, ast.Attribute) and made.attr == kind and names.dotted(made.value, scope) != "perdure":
            return True
    return False


def is_activity(found: Defined, names: Names) -> bool:
    """Whether workflow code that calls this asks for an activity or for a child workflow."""
    return any(_decorated(found.node, found.scope, names, kind) for kind in ("activity", "workflow"))


def _parts(node: ast.ClassDef, scope: Scope, names: Names) -> Iterator[Reached]:
    inside = scope.source.scopes[node]
    parts = [each for each in node.body if isinstance(each, FunctionNode) and _is_part(each, inside, names)]
    if parts or _decorated(node, scope, names, "workflow"):
        set_up = [each for each in node.body if isinstance(each, FunctionNode) and each.name in _SET_UP]
        for each in (*set_up, *parts):
            yield Reached(Defined(each, inside), node.name)


def _is_part(node: FunctionNode, scope: Scope, names: Names) -> bool:
    for each in node.decorator_list:
        made = each.func if isinstance(each, ast.Call) else each
        if names.dotted(made, scope) in _PARTS:
            return True
        # `@rename.validator`, where `rename` is an update above it.
        if isinstance(made, ast.Attribute) and made.attr == "validator":
            return True
    return False


def methods_run_by(made: Defined, names: Names) -> Iterator[Defined]:
    """What runs when an object of a class of the checked files is made."""
    for name in _SET_UP:
        found = names.member(made, name)
        if isinstance(found, Defined):
            yield found


def is_exempt(node: ast.Call, scope: Scope, names: Names) -> bool:
    """Whether the call runs what it is given outside the workflow, once, and records what came of it."""
    name = names.dotted(node.func, scope)
    return name.startswith("perdure.") and name.rpartition(".")[2] in _RECORDING


_RECORDING = ("side_effect", "local_activity", "execute_local_activity")


def dotted_prefixes(name: str) -> Iterator[str]:
    """The dotted name, then what it is in, up to the first part."""
    while name:
        yield name
        name = name.rpartition(".")[0]
