"""Walks the code of one function that runs in workflows, and reports what a replay may not repeat."""

import ast
from collections.abc import Callable, Iterable

from perdure.lint import shapes, tables
from perdure.lint.finding import (
    ADDRESS,
    BLOCKING,
    CHANCE,
    CLOCK,
    DROPPED,
    ENVIRONMENT,
    GLOBALS,
    SETS,
    SPINNING,
    SWALLOWED,
    THREADS,
    Rule,
)
from perdure.lint.names import Defined, Dotted, Kind, Names, Variable
from perdure.lint.reach import dotted_prefixes, is_activity, is_exempt, methods_run_by
from perdure.lint.scopes import FunctionNode, Scope

Report = Callable[[ast.AST, Rule, str, str], None]
"""Takes the place, the rule, the fact and the remedy."""

_FACTS = {
    CLOCK: "{} reads the clock of the machine, which a replay finds changed",
    CHANCE: "{} draws what no replay draws again",
    ADDRESS: "{} differs from process to process",
    ENVIRONMENT: "{} may differ from process to process",
    THREADS: "{} leaves the workflow's own loop",
    BLOCKING: "{} reaches outside, again in every replay",
}
_ORDER_BLIND = frozenset(
    f"builtins.{name}" for name in ("sorted", "set", "frozenset", "any", "all", "min", "max", "sum", "len")
)
_SAYING = ("debug", "info", "warning", "error", "exception", "critical", "log")


class Walk(ast.NodeVisitor):
    """One function; `reached` takes the functions and methods of the checked files that it uses."""

    def __init__(self, names: Names, scope: Scope, report: Report, reached: Callable[[Defined], None]) -> None:
        self._names = names
        self._scope = scope
        self._report_to = report
        self._reached = reached
        self._blind: set[ast.AST] = set()
        """Expressions whose order nobody sees."""
        self._saying = 0
        self._exempt: set[str] = set()
        """Functions in the function that are only handed to `side_effect`."""

    def body_of(self, node: FunctionNode) -> None:
        """Walk a function."""
        self._exempt |= shapes.handed_over(node, lambda call: is_exempt(call, self._scope, self._names))
        for each in node.body:
            self.visit(each)

    def _report(self, node: ast.AST, rule: Rule, fact: str, remedy: str = "") -> None:
        if not (self._saying and rule in (ADDRESS, ENVIRONMENT)):
            self._report_to(node, rule, fact, remedy or rule.remedy)

    # Functions inside

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inner(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inner(node)

    def _inner(self, node: FunctionNode) -> None:
        if node.name in self._exempt or is_activity(Defined(node, self._scope), self._names):
            return
        self._within(node, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within(node, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        # Its methods are walked where they are used.
        for each in node.body:
            if not isinstance(each, FunctionNode):
                self._within(node, [each])

    def _within(self, owner: FunctionNode | ast.Lambda | ast.ClassDef, body: Iterable[ast.AST]) -> None:
        outside = self._scope
        self._scope = outside.source.scopes[owner]
        for each in body:
            self.visit(each)
        self._scope = outside

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._named(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self._named(node)
        self.visit(node.value)

    def _named(self, node: ast.Name | ast.Attribute) -> None:
        found = self._names.meaning(node, self._scope)
        if isinstance(found, Defined):
            if not is_activity(found, self._names):
                self._reached(found)
        elif isinstance(found, Dotted):
            self._dotted(node, found)

    def _dotted(self, node: ast.expr, found: Dotted) -> None:
        rule = tables.ANSWERED.get(found.name)
        if rule is not None:
            if found.bound:
                module, _, _ = found.name.rpartition(".")
                remedy = f"write `import {module}` and {found.name}(), which is answered from the run"
                self._report(node, rule, f"{found.name}(), bound by its name, is not answered from the run", remedy)
            return
        for name in dotted_prefixes(found.name):
            entry = tables.NAMES.get(name)
            if entry is not None:
                shown = name.removeprefix("builtins.")
                self._report(node, entry.rule, _FACTS[entry.rule].format(shown), entry.remedy)
                return

    # Calls

    def visit_Call(self, node: ast.Call) -> None:
        if is_exempt(node, self._scope, self._names):
            return
        found = self._names.meaning(node.func, self._scope)
        name = found.name if isinstance(found, Dotted) else ""
        if isinstance(found, Defined) and isinstance(found.node, ast.ClassDef):
            for each in methods_run_by(found, self._names):
                self._reached(each)
        if name:
            self._called(node, name)
        elif isinstance(node.func, ast.Attribute):
            self._called_method(node, node.func)
        if name in _ORDER_BLIND:
            self._blind.update(node.args)
        self._iterating_call(node, name)
        saying = name == "builtins.print" or (isinstance(node.func, ast.Attribute) and node.func.attr in _SAYING)
        self._saying += saying
        self.generic_visit(node)
        self._saying -= saying

    def _called(self, node: ast.Call, name: str) -> None:
        if name in tables.UNSEEDED and not node.args and not node.keywords:
            remedy = "give it a seed, or use workflow.random()"
            self._report(node.func, CHANCE, f"{name}() without a seed is seeded by chance", remedy)
        elif len(node.args) < tables.CLOCK_WITHOUT.get(name, 0):
            remedy = "give it a moment: workflow.now().timetuple()"
            self._report(node.func, CLOCK, f"{name}() without a moment reads the clock of the machine", remedy)
        elif name in tables.HARMLESS or name in tables.NAMES:
            return
        for package in dotted_prefixes(name.rpartition(".")[0]):
            rule = tables.PACKAGES.get(package)
            last = name.rpartition(".")[2]
            if rule is not None and (last[:1].islower() or last in tables.TYPES_THAT_ACT):
                remedy = tables.NAMES["os.urandom"].remedy if package == "secrets" else ""
                self._report(node.func, rule, _FACTS[rule].format(f"{name}()"), remedy)
                return

    def _called_method(self, node: ast.Call, func: ast.Attribute) -> None:
        entry = tables.METHODS.get(func.attr)
        kind = self._names.kind(func.value, self._scope)
        if entry is not None and kind is None:
            self._report(func, entry.rule, _FACTS[entry.rule].format(f"{func.attr}()"), entry.remedy)
        elif kind is Kind.PATH and func.attr in tables.PATH_IO:
            self._report(func, BLOCKING, _FACTS[BLOCKING].format(f"Path.{func.attr}()"))
        elif kind is Kind.SET and func.attr == "pop" and not node.args:
            self._ordered(func.value, "set.pop() takes")
        if func.attr in tables.WRITING and kind in (Kind.MUTABLE, Kind.SET, Kind.NUMBERS):
            self._written(func.value)

    # Sets

    def _iterating_call(self, node: ast.Call, name: str) -> None:
        for each in node.args:
            if isinstance(each, ast.Starred):
                self._ordered(each.value, "* gives")
        joins = isinstance(node.func, ast.Attribute) and node.func.attr == "join" and not name
        if node in self._blind:
            return
        if name.removeprefix("builtins.") in tables.ITERATING or joins:
            for each in node.args:
                self._ordered(each, f"{'join' if joins else name.removeprefix('builtins.')}() follows")
                if name == "builtins.next" and isinstance(each, ast.Name | ast.Attribute):
                    self._written_if_kept(each)

    def _ordered(self, node: ast.expr, what: str) -> None:
        if self._names.kind(node, self._scope) is Kind.SET and not shapes.holds_only_tasks(node, self._scope):
            self._report(node, SETS, f"{what} the order of a set, which differs from process to process")

    def visit_For(self, node: ast.For) -> None:
        self._ordered(node.iter, "the loop follows")
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> None:
        if node not in self._blind:
            for each in node.generators:
                self._ordered(each.iter, "the comprehension follows")
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        self._display(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._display(node)

    def _display(self, node: ast.List | ast.Tuple) -> None:
        for each in node.elts:
            if isinstance(each, ast.Starred) and isinstance(each.ctx, ast.Load):
                self._ordered(each.value, "* gives")
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._ordered(node.value, "the generator follows")
        self.generic_visit(node)

    # Statements

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assigned(target)
            if isinstance(target, ast.Tuple | ast.List):
                self._ordered(node.value, "the assignment follows")
            elif self._starts_task(node.value) and self._is_unread(target):
                self._report(node.value, DROPPED, "nobody reads the variable, so nobody awaits the task")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._assigned(node.target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._assigned(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._assigned(target)

    def _assigned(self, target: ast.expr) -> None:
        match target:
            case ast.Name(name) if name in self._scope.outer:
                owner = self._scope.enclosing(name)
                if owner is None or isinstance(owner.owner, ast.Module):
                    self._report(target, GLOBALS, _shared(name))
            case ast.Subscript(value):
                self._written(value)
            case ast.Attribute(value):
                found = self._names.meaning(value, self._scope)
                if isinstance(found, Dotted) and found.name in self._names.sources:
                    self._report(target, GLOBALS, _shared(f"{found.name}.{target.attr}"))
                elif isinstance(found, Defined):
                    self._report(target, GLOBALS, _shared(f"{found.node.name}.{target.attr}"))
                else:
                    self._written(value)
            case _:
                pass

    def _written(self, node: ast.expr) -> None:
        """What is changed belongs to a module or a class, not to the run."""
        while isinstance(node, ast.Subscript):
            node = node.value
        found = self._names.meaning(node, self._scope)
        if isinstance(found, Variable) and isinstance(found.scope.owner, ast.Module | ast.ClassDef):
            if isinstance(found.scope.owner, ast.ClassDef) and shapes.is_own_field(node):
                return
            self._report(node, GLOBALS, _shared(found.name))

    def _written_if_kept(self, node: ast.expr) -> None:
        if self._names.kind(node, self._scope) is Kind.MUTABLE:
            self._written(node)

    def visit_Try(self, node: ast.Try) -> None:
        for handler in node.handlers:
            self._handler(node, handler)
        self.generic_visit(node)

    def _handler(self, node: ast.Try, handler: ast.ExceptHandler) -> None:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        everything = any(
            each is None or self._names.dotted(each, self._scope) == "builtins.BaseException" for each in kinds
        )
        if everything and shapes.awaits(node.body) and not shapes.raises(handler.body):
            shown = "except:" if handler.type is None else "except BaseException:"
            self._report(handler, SWALLOWED, f"`{shown}` catches the cancellation of the run and does not raise it")

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and self._names.dotted(call.func, self._scope) == "contextlib.suppress":
                caught = [self._names.dotted(each, self._scope) for each in call.args]
                if "builtins.BaseException" in caught and shapes.awaits(node.body):
                    self._report(call, SWALLOWED, "suppress(BaseException) catches the cancellation of the run")
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if shapes.spins(node, lambda each: self._names.dotted(each, self._scope) == "asyncio.sleep"):
            self._report(node, SPINNING, "the loop waits for nothing that could end it: the step never ends")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if self._starts_task(node.value):
            self._report(node.value, DROPPED, "nobody holds the task, so nobody awaits it")
        elif isinstance(node.value, ast.Call):
            found = self._names.meaning(node.value.func, self._scope)
            if isinstance(found, Defined) and (
                isinstance(found.node, ast.AsyncFunctionDef) or is_activity(found, self._names)
            ):
                fact = f"{found.node.name}(...) is not awaited, so it never runs"
                self._report(node.value, DROPPED, fact)
        self.generic_visit(node)

    def _is_unread(self, target: ast.expr) -> bool:
        return isinstance(target, ast.Name) and not shapes.is_read(target.id, self._scope)

    def _starts_task(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return False
        if self._names.dotted(node.func, self._scope) in ("asyncio.create_task", "asyncio.ensure_future"):
            return True
        match node.func:
            case ast.Attribute(value=ast.Call(func=made), attr="create_task"):
                return self._names.dotted(made, self._scope).startswith("asyncio.get_")
            case _:
                return False


def _shared(name: str) -> str:
    return f"{name!r} is shared by all runs of the process and forgotten with it"
