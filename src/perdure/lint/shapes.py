"""Questions about the shape of code that need no names."""

import ast
from collections.abc import Callable, Iterator, Sequence

from perdure.lint.scopes import FunctionNode, Scope, within


def awaits(body: Sequence[ast.stmt]) -> bool:
    """Whether the statements may wait, so that a cancellation may come to them."""
    return any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
        or (isinstance(node, ast.comprehension) and node.is_async)
        for node in within(list(body))
    )


def raises(body: Sequence[ast.stmt]) -> bool:
    """Whether the statements raise something themselves."""
    return any(isinstance(node, ast.Raise) for node in within(list(body)))


def spins(node: ast.While, is_sleep: Callable[[ast.expr], bool]) -> bool:
    """Whether the loop never waits for anything durable, and nothing in it can end it."""
    inside = list(within(node.body))
    waits = [each for each in inside if isinstance(each, ast.Await | ast.AsyncFor | ast.AsyncWith)]
    if not all(isinstance(each, ast.Await) and _is_nothing(each.value, is_sleep) for each in waits):
        return False
    endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
    if endless:
        ends = ast.Break | ast.Return | ast.Raise | ast.Yield | ast.YieldFrom
        return not any(isinstance(each, ends) for each in inside)
    return bool(waits) and all(isinstance(each, ast.Pass) or _waits_only(each) for each in node.body)


def _is_nothing(node: ast.expr, is_sleep: Callable[[ast.expr], bool]) -> bool:
    match node:
        case ast.Call(func=func, args=[ast.Constant(value=int() | float() as seconds)]):
            return seconds <= 0 and is_sleep(func)
        case _:
            return False


def _waits_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Await)


def is_read(name: str, scope: Scope) -> bool:
    """Whether the function reads its variable anywhere."""
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in ast.walk(scope.owner)
    )


def is_own_field(node: ast.expr) -> bool:
    """Whether it is written `self.name`: the object's own, as far as one can see."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def holds_only_tasks(node: ast.expr, scope: Scope) -> bool:
    """Whether all that is ever added to a set are tasks, which iterate in the order of their making."""
    if not isinstance(node, ast.Name):
        return False
    owner = scope.owner_of(node.id)
    added = [] if owner is None else list(_added(node.id, owner))
    return bool(added) and all(_is_task(each, owner) for each in added)


def _added(name: str, scope: Scope) -> Iterator[ast.expr]:
    for node in ast.walk(scope.owner):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="add"), args=[value]) if owner == name:
                yield value
            case _:
                pass


def _is_task(node: ast.expr, scope: Scope | None) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="create_task" | "ensure_future")):
            return True
        case ast.Name(name) if scope is not None:
            values = [each.value for each in scope.names.get(name, ())]
            return bool(values) and all(each is not None and _is_task(each, None) for each in values)
        case _:
            return False


def handed_over(node: FunctionNode, is_exempt: Callable[[ast.Call], bool]) -> set[str]:
    """Names of what the function hands to calls that run it outside the workflow, and uses nowhere else."""
    handed: dict[str, int] = {}
    read: dict[str, int] = {}
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            read[each.id] = read.get(each.id, 0) + 1
        elif isinstance(each, ast.Call) and is_exempt(each):
            for argument in each.args:
                if isinstance(argument, ast.Name):
                    handed[argument.id] = handed.get(argument.id, 0) + 1
    return {name for name, count in handed.items() if read.get(name) == count}
