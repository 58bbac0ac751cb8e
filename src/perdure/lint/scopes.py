"""Scopes of a source file: which names each module, class and function binds, and to what. Nothing is executed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Owner: TypeAlias = ast.Module | FunctionNode | ast.Lambda | ast.ClassDef


class Binding(NamedTuple):
    """One place where a name gets its value."""

    line: int
    """In force below this line; 0 from the start."""
    imported: str | None = None
    """Dotted name of what is imported."""
    definition: FunctionNode | ast.ClassDef | None = None
    value: ast.expr | None = None
    annotation: ast.expr | None = None


class Scope:
    """The names that one module, class or function binds."""

    def __init__(self, owner: Owner, source: "Source", parent: "Scope | None") -> None:
        self.owner = owner
        self.source = source
        self.parent = parent
        self.names: dict[str, list[Binding]] = {}
        self.outer: set[str] = set()
        """Names that `global` or `nonlocal` declares here."""

    def bind(self, name: str, binding: Binding) -> None:
        """Note a binding, in the scope that owns the name."""
        scope = self
        if name in self.outer:
            parent = self.enclosing(name)
            scope = self.source.scope if parent is None else parent
        scope.names.setdefault(name, []).append(binding)

    def enclosing(self, name: str) -> "Scope | None":
        """The scope around this one that binds the name; classes are invisible from inside their methods."""
        scope = self.parent
        while scope is not None:
            if name in scope.names and not isinstance(scope.owner, ast.ClassDef):
                return scope
            scope = scope.parent
        return None

    def owner_of(self, name: str) -> "Scope | None":
        """The scope whose name a reference from here means."""
        if name in self.names and name not in self.outer:
            return self
        return self.enclosing(name)

    @property
    def class_scope(self) -> "Scope | None":
        """The class whose method this is."""
        if self.parent is not None and isinstance(self.parent.owner, ast.ClassDef):
            return self.parent
        return None


class Source:
    """One parsed file with its scopes. `module` is its dotted name, as others import it."""

    def __init__(self, path: Path, module: str, text: str) -> None:
        """Raises SyntaxError or ValueError for what is no Python."""
        self.path = path
        self.module = module
        self.lines = text.splitlines()
        self.tree = ast.parse(text, filename=str(path))
        self.scope = Scope(self.tree, self, None)
        self.scopes: dict[ast.AST, Scope] = {self.tree: self.scope}
        self.stars: list[str] = []
        """Modules of which everything is imported."""
        _Collector(self).visit_body(self.tree.body)

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]


class _Collector(ast.NodeVisitor):
    """Fills the scopes of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._scope = source.scope
        self._line = 0

    def visit_body(self, body: list[ast.stmt]) -> None:
        for declared in _declarations(body):
            self._scope.outer.update(declared.names)
        for statement in body:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._line = node.end_lineno or node.lineno
        super().visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            name = each.asname or each.name.partition(".")[0]
            self._scope.bind(name, Binding(self._line, imported=each.name if each.asname else name))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            parts = self._source.package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1])
            module = f"{base}.{module}" if base and module else base or module
        for each in node.names:
            if each.name == "*":
                self._source.stars.append(module)
            else:
                self._scope.bind(each.asname or each.name, Binding(self._line, imported=f"{module}.{each.name}"))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: FunctionNode) -> None:
        self._scope.bind(node.name, Binding(0, definition=node))
        for each in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if each is not None:
                self.visit(each)
        self._inside(node, node.args, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inside(node, node.args, [ast.Expr(node.body, lineno=node.lineno, end_lineno=node.end_lineno)])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.bind(node.name, Binding(0, definition=node))
        self._inside(node, None, node.body)

    def _inside(self, owner: Owner, args: ast.arguments | None, body: list[ast.stmt]) -> None:
        outside, line = self._scope, self._line
        self._scope = self._source.scopes[owner] = Scope(owner, self._source, outside)
        if args is not None:
            for each in (*args.posonlyargs, *args.args, *args.kwonlyargs):
                self._scope.bind(each.arg, Binding(0, annotation=each.annotation))
            for rest in (args.vararg, args.kwarg):
                if rest is not None:
                    self._scope.bind(rest.arg, Binding(0))
        self.visit_body(body)
        self._scope, self._line = outside, line

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._bind_target(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._scope.bind(node.target.id, Binding(self._line, value=node.value, annotation=node.annotation))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind_target(node.target, node.value)

    def visit_For(self, node: ast.For) -> None:
        self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._loop(node)

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self._line = node.iter.end_lineno or node.lineno
        self._bind_target(node.target, None)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        # Its variables live in the expression only; known to the whole scope they do no harm.
        self._bind_target(node.target, None)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.visit(node.context_expr)
        if node.optional_vars is not None:
            entered = node.context_expr if isinstance(node.optional_vars, ast.Name) else None
            self._bind_target(node.optional_vars, entered)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._scope.bind(node.name, Binding(self._line))
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._scope.bind(node.name, Binding(self._line))
        self.generic_visit(node)

    def _bind_target(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._scope.bind(target.id, Binding(self._line, value=value))
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, None)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else None
            for index, each in enumerate(target.elts):
                self._bind_target(each, None if values is None else values[index])
        else:
            self.visit(target)


def _declarations(body: list[ast.stmt]) -> Iterator[ast.Global | ast.Nonlocal]:
    for node in within(body):
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield node


def within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node of these statements but those inside functions and classes of their own."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
