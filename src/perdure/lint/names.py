"""What a name or an expression stands for, as far as the source says: a dotted name, a definition, a kind of value."""

import ast
import builtins
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, TypeAlias

from perdure.lint.scopes import Binding, FunctionNode, Scope, Source

DEPTH_MAX = 20
"""Aliases of aliases are followed so far."""


class Dotted(NamedTuple):
    """Something outside the checked files."""

    name: str
    bound: bool = False
    """By a name of its module, and not looked up in the module that it comes from."""


class Defined(NamedTuple):
    """A function or a class of the checked files, and the scope that holds it."""

    node: FunctionNode | ast.ClassDef
    scope: Scope


class Variable(NamedTuple):
    """A variable of the checked files."""

    name: str
    scope: Scope


Meaning: TypeAlias = Dotted | Defined | Variable | None


class Kind(Enum):
    """What is known of a value."""

    SET = "a set"
    NUMBERS = "a set whose order is the same in every process"
    PATH = "a path"
    MUTABLE = "a list, a dictionary or the like"


class Instance(NamedTuple):
    """An object of a class of the checked files."""

    of: Defined


class Names:
    """Answers for one set of checked files."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = {source.module: source for source in sources}

    # Meanings

    def meaning(self, node: ast.expr, scope: Scope) -> Meaning:
        """What a name or a chain of attributes stands for."""
        return self._meaning(node, scope, 0)

    def _meaning(self, node: ast.expr, scope: Scope, depth: int) -> Meaning:
        if depth > DEPTH_MAX:
            return None
        if isinstance(node, ast.Name):
            owner = scope.owner_of(node.id)
            if owner is not None:
                return self._of_name(node.id, owner, node.lineno if owner is scope else None, depth)
            return self._elsewhere(node.id, scope.source)
        if isinstance(node, ast.Attribute):
            base = self._meaning(node.value, scope, depth + 1)
            if isinstance(base, Dotted):
                return self._canonical(f"{base.name}.{node.attr}", depth)
            if isinstance(base, Defined) and isinstance(base.node, ast.ClassDef):
                return self.member(base, node.attr)
            kind = self.kind(node.value, scope, depth + 1)
            return self.member(kind.of, node.attr) if isinstance(kind, Instance) else None
        return None

    def _of_name(self, name: str, owner: Scope, line: int | None, depth: int) -> Meaning:
        binding = _binding(owner.names[name], line)
        if binding.definition is not None:
            return Defined(binding.definition, owner)
        if binding.imported is not None:
            found = self._canonical(binding.imported, depth)
            return Dotted(found.name, bound=isinstance(owner.owner, ast.Module)) if isinstance(found, Dotted) else found
        if isinstance(binding.value, ast.Name | ast.Attribute) and len(owner.names[name]) == 1:
            found = self._meaning(binding.value, owner, depth + 1)
            if isinstance(found, Dotted | Defined):
                return found._replace(bound=True) if isinstance(found, Dotted) else found
        return Variable(name, owner)

    def _elsewhere(self, name: str, source: Source) -> Meaning:
        for module in source.stars:
            other = self.sources.get(module)
            if other is None:
                return Dotted(f"{module}.{name}", bound=True) if not hasattr(builtins, name) else None
            if name in other.scope.names:
                return self._of_name(name, other.scope, None, 0)
        return Dotted(f"builtins.{name}") if hasattr(builtins, name) else None

    def _canonical(self, name: str, depth: int) -> Meaning:
        """What a dotted name stands for: it may lead into a checked file, and from there further on."""
        if depth > DEPTH_MAX:
            return None
        module, rest = name, list[str]()
        while module and module not in self.sources:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
        if not module or not rest:
            return Dotted(name)
        scope = self.sources[module].scope
        if rest[0] not in scope.names:
            return Dotted(name)
        found = self._of_name(rest[0], scope, None, depth + 1)
        for each in rest[1:]:
            if isinstance(found, Dotted):
                found = self._canonical(f"{found.name}.{each}", depth + 1)
            elif isinstance(found, Defined) and isinstance(found.node, ast.ClassDef):
                found = self.member(found, each)
            else:
                return None
        return found

    def member(self, owner: Defined, name: str, depth: int = 0) -> Meaning:
        """An attribute of a class, its bases included."""
        assert isinstance(owner.node, ast.ClassDef)
        inside = owner.scope.source.scopes[owner.node]
        if name in inside.names:
            return self._of_name(name, inside, None, 0)
        for base in owner.node.bases:
            found = self.meaning(base.value if isinstance(base, ast.Subscript) else base, owner.scope)
            if isinstance(found, Defined) and isinstance(found.node, ast.ClassDef) and depth < DEPTH_MAX:
                inherited = self.member(found, name, depth + 1)
                if inherited is not None:
                    return inherited
        return None

    def dotted(self, node: ast.expr, scope: Scope) -> str:
        """The dotted name that an expression stands for, empty if it stands for none."""
        found = self.meaning(node, scope)
        return found.name if isinstance(found, Dotted) else ""

    # Kinds

    def kind(self, node: ast.expr, scope: Scope, depth: int = 0) -> Kind | Instance | None:
        """What is known of the value of an expression."""
        if depth > DEPTH_MAX:
            return None
        match node:
            case ast.Name():
                return self._kind_of_name(node, scope, depth)
            case ast.Attribute():
                return self._kind_of_attribute(node, scope, depth)
            case ast.Set(elts):
                return Kind.NUMBERS if all(map(self._settled, elts, [scope] * len(elts))) else Kind.SET
            case ast.SetComp(elt):
                return Kind.NUMBERS if self._settled(elt, scope) else Kind.SET
            case ast.List() | ast.Dict() | ast.ListComp() | ast.DictComp():
                return Kind.MUTABLE
            case ast.Await(value) | ast.NamedExpr(value=value):
                return self.kind(value, scope, depth + 1)
            case ast.IfExp(body=body, orelse=orelse):
                return self._either(body, orelse, scope, depth)
            case ast.BoolOp(values=values):
                return self._either(values[0], values[-1], scope, depth)
            case ast.BinOp():
                return self._kind_of_operation(node, scope, depth)
            case ast.Call():
                return self._kind_of_call(node, scope, depth)
            case _:
                return None

    def _either(self, one: ast.expr, other: ast.expr, scope: Scope, depth: int) -> Kind | Instance | None:
        first, second = self.kind(one, scope, depth + 1), self.kind(other, scope, depth + 1)
        return first if first == second or second is None else second if first is None else None

    def _kind_of_name(self, node: ast.Name, scope: Scope, depth: int) -> Kind | Instance | None:
        owner = scope.owner_of(node.id)
        if owner is None:
            return None
        if owner.class_scope is not None and _is_self(owner, node.id):
            assert isinstance(owner.class_scope.owner, ast.ClassDef)
            around = owner.class_scope.parent
            return None if around is None else Instance(Defined(owner.class_scope.owner, around))
        bindings = owner.names[node.id]
        if owner is scope:
            return self._kind_of_binding(_binding(bindings, node.lineno), owner, depth)
        kinds = {self._kind_of_binding(each, owner, depth) for each in bindings}
        return kinds.pop() if len(kinds) == 1 else None

    def _kind_of_binding(self, binding: Binding, scope: Scope, depth: int) -> Kind | Instance | None:
        if binding.annotation is not None:
            declared = self.kind_of_annotation(binding.annotation, scope)
            if declared is not None:
                return declared
        return None if binding.value is None else self.kind(binding.value, scope, depth + 1)

    def _kind_of_attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> Kind | Instance | None:
        if node.attr in _PATH_PARTS and self.kind(node.value, scope, depth + 1) is Kind.PATH:
            return Kind.PATH
        base = self.meaning(node.value, scope)
        owner = self.kind(node.value, scope, depth + 1)
        found = self.member(owner.of, node.attr) if isinstance(owner, Instance) else None
        if isinstance(owner, Instance) and not isinstance(found, Variable):
            return self._kind_of_field(owner.of, node.attr, depth)
        if isinstance(base, Dotted | Defined):
            found = self.meaning(node, scope)
        if isinstance(found, Variable):
            bindings = found.scope.names[found.name]
            return self._kind_of_binding(bindings[0], found.scope, depth) if len(bindings) == 1 else None
        return None

    def _kind_of_field(self, owner: Defined, name: str, depth: int) -> Kind | Instance | None:
        """The kind that all methods give to `self.name`."""
        assert isinstance(owner.node, ast.ClassDef)
        kinds: set[Kind | Instance | None] = set()
        for method in owner.node.body:
            if not isinstance(method, FunctionNode) or not method.args.args:
                continue
            inside = owner.scope.source.scopes[method]
            for node in ast.walk(method):
                match node:
                    case ast.Assign(targets=[ast.Attribute(ast.Name(me), attr)], value=value):
                        annotation = None
                    case ast.AnnAssign(target=ast.Attribute(ast.Name(me), attr), value=value, annotation=annotation):
                        pass
                    case _:
                        continue
                if attr == name and me == method.args.args[0].arg:
                    binding = Binding(0, value=value, annotation=annotation)
                    kinds.add(self._kind_of_binding(binding, inside, depth + 1))
        return kinds.pop() if len(kinds) == 1 else None

    def _kind_of_operation(self, node: ast.BinOp, scope: Scope, depth: int) -> Kind | Instance | None:
        left, right = self.kind(node.left, scope, depth + 1), self.kind(node.right, scope, depth + 1)
        if isinstance(node.op, ast.Div) and left is Kind.PATH:
            return Kind.PATH
        if isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            for one, other in ((left, right), (right, left)):
                if one in _SETS:
                    return one if other == one else Kind.SET
            if any(map(_is_view, (node.left, node.right))):
                return Kind.SET
        return None

    def _kind_of_call(self, node: ast.Call, scope: Scope, depth: int) -> Kind | Instance | None:
        found = self.meaning(node.func, scope)
        if isinstance(found, Dotted):
            if found.name in ("builtins.set", "builtins.frozenset"):
                return self._kind_of_made_set(node, scope, depth)
            if found.name.startswith("pathlib.") and found.name.rpartition(".")[2] in _PATHS | {"cwd", "home"}:
                return Kind.PATH
            return Kind.MUTABLE if found.name in _CONTAINERS else None
        if isinstance(found, Defined):
            if isinstance(found.node, ast.ClassDef):
                return Instance(found)
            return None if found.node.returns is None else self.kind_of_annotation(found.node.returns, found.scope)
        if isinstance(node.func, ast.Attribute):
            owner = self.kind(node.func.value, scope, depth + 1)
            if owner in _SETS and node.func.attr in _SET_MAKERS:
                others = {self.kind(each, scope, depth + 1) for each in node.args}
                return owner if others <= {owner} else Kind.SET
            if owner is Kind.PATH and node.func.attr in _PATH_MAKERS:
                return Kind.PATH
        return None

    def _kind_of_made_set(self, node: ast.Call, scope: Scope, depth: int) -> Kind:
        if not node.args:
            return Kind.SET
        match node.args[0]:
            case ast.Call(ast.Name("range")):
                return Kind.NUMBERS
            case ast.List(elts) | ast.Tuple(elts) if all(self._settled(each, scope) for each in elts):
                return Kind.NUMBERS
            case ast.GeneratorExp(elt) | ast.ListComp(elt) if self._settled(elt, scope):
                return Kind.NUMBERS
            case made:
                return Kind.NUMBERS if self.kind(made, scope, depth + 1) is Kind.NUMBERS else Kind.SET

    def _settled(self, node: ast.expr, scope: Scope) -> bool:
        """Whether the hash of a value is the same in every process: numbers, tasks and futures, tuples of them."""
        match node:
            case ast.Constant(value):
                return isinstance(value, int | float)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return True
            case ast.Tuple(elts):
                return all(self._settled(each, scope) for each in elts)
            case ast.Call(func):
                name = self.dotted(func, scope)
                return name in _SETTLED_CALLS or (isinstance(func, ast.Attribute) and func.attr == "create_task")
            case _:
                return False

    def kind_of_annotation(self, node: ast.expr, scope: Scope) -> Kind | Instance | None:
        """The kind of values that an annotation allows."""
        match node:
            case ast.Constant(str(text)):
                try:
                    return self.kind_of_annotation(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return None
            case ast.BinOp(left, ast.BitOr(), right):
                first, second = self.kind_of_annotation(left, scope), self.kind_of_annotation(right, scope)
                return first if second is None else second if first is None else None
            case ast.Subscript(value, of):
                name = self.dotted(value, scope)
                if name in ("typing.Optional", "typing.Final", "typing.ClassVar"):
                    return self.kind_of_annotation(of, scope)
                if name in _SET_TYPES:
                    return Kind.NUMBERS if self._settled_type(of, scope) else Kind.SET
                return None
            case ast.Name() | ast.Attribute():
                found = self.meaning(node, scope)
                if isinstance(found, Defined) and isinstance(found.node, ast.ClassDef):
                    return Instance(found)
                name = found.name if isinstance(found, Dotted) else ""
                if name in _SET_TYPES:
                    return Kind.SET
                return Kind.PATH if name.startswith("pathlib.") and name.rpartition(".")[2] in _PATHS else None
            case _:
                return None

    def _settled_type(self, node: ast.expr, scope: Scope) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return False
        name = self.dotted(node.value if isinstance(node, ast.Subscript) else node, scope)
        return name in _SETTLED_TYPES


def _binding(bindings: list[Binding], line: int | None) -> Binding:
    """The last one in force at the line; without a line, the last one of all."""
    before = bindings if line is None else [each for each in bindings if each.line < line]
    # A loop may bring a name back to a line above its binding.
    return before[-1] if before else bindings[0]


def _is_self(scope: Scope, name: str) -> bool:
    node = scope.owner
    if not isinstance(node, FunctionNode):
        return False
    parameters = [*node.args.posonlyargs, *node.args.args]
    return bool(parameters) and parameters[0].arg == name and not any(map(_is_static, node.decorator_list))


def _is_static(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "staticmethod"


def _is_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


_SETS = (Kind.SET, Kind.NUMBERS)
_SET_MAKERS = frozenset(("union", "intersection", "difference", "symmetric_difference", "copy"))
_SET_TYPES = frozenset(
    (
        *("builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet", "typing.AbstractSet"),
        *("typing.MutableSet", "collections.abc.Set", "collections.abc.MutableSet"),
    )
)
_SETTLED_TYPES = frozenset(
    (
        *("builtins.int", "builtins.float", "builtins.bool"),
        *("asyncio.Task", "asyncio.Future", "asyncio.tasks.Task", "asyncio.futures.Future"),
    )
)
_SETTLED_CALLS = frozenset(
    (
        *("asyncio.create_task", "asyncio.ensure_future", "asyncio.shield", "asyncio.gather", "builtins.len"),
        *("builtins.int", "builtins.float", "builtins.round", "builtins.bool", "builtins.sum", "builtins.ord"),
    )
)
_CONTAINERS = frozenset(
    (
        *("builtins.list", "builtins.dict", "builtins.bytearray", "collections.defaultdict", "collections.deque"),
        *("collections.Counter", "collections.OrderedDict", "itertools.count", "collections.ChainMap"),
    )
)
_PATHS = frozenset(("Path", "PosixPath", "WindowsPath"))
_PATH_PARTS = frozenset(("parent",))
_PATH_MAKERS = frozenset(("joinpath", "with_suffix", "with_name", "with_stem", "relative_to", "expanduser"))
