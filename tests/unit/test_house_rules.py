"""The house rules that no linter knows, checked on every Python file of the project, and on planted sources.

What is checked: sizes, docstrings, broad handlers, `print`, clocks and chance in the deciding layers, `__all__`.
What is not: imports between layers (import-linter) and style inside a line (ruff).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "bench", "examples")
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 5

MAY_PRINT = re.compile(r"src/perdure/(cli/|testing/simulate|.*__main__\.py$)")
DECIDES = re.compile(r"src/perdure/(core|programs|engine)/(?!clock\.py$)")
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + r"XX)\b")
CLOCK_OR_CHANCE = re.compile(
    r"(datetime\.)?(datetime|date)\.(now|utcnow|today)"
    r"|time\.(time|monotonic|perf_counter)(_ns)?"
    r"|(uuid\.)?uuid[14]|secrets\.\w+|os\.urandom"
    r"|random\.[a-z]\w*"
)

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One file: its path from the project's root, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def shipped(self) -> bool:
        """It is part of the package that users install."""
        return self.path.startswith("src/")


def parsed(path: str, text: str) -> Source:
    """The source at `path` with its tree."""
    return Source(path, text, ast.parse(text))


def breaches(source: Source) -> list[str]:
    """Every breach of the house rules in `source`, as `path:line: what`."""
    found = [
        *file_breaches(source),
        *function_breaches(source),
        *docstring_breaches(source),
        *handler_breaches(source),
        *call_breaches(source),
        *all_breaches(source),
    ]
    return [f"{source.path}:{line}: {what}" for line, what in sorted(found)]


def file_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """A file is short, opens with a docstring and holds no reminders."""
    lines = source.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield len(lines), f"the file has {len(lines)} lines, more than {FILE_LINES_MAX}"
    if not ast.get_docstring(source.tree):
        yield 1, "the module does not open with a docstring"
    for number, line in enumerate(lines, 1):
        if match := UNFINISHED.search(line):
            yield number, f"{match[0]} belongs in an issue"


def function_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """A function is short; a public one of the package takes few parameters."""
    for node in ast.walk(source.tree):
        if isinstance(node, AnyFunction):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"
    if source.shipped:
        for node, method in public_functions(source.tree):
            count = len(node.args.posonlyargs) + len(node.args.args)
            if method and not any(ast.unparse(each) == "staticmethod" for each in node.decorator_list):
                count -= 1
            if count > PARAMETERS_MAX:
                yield node.lineno, f"{node.name} has {count} parameters, more than {PARAMETERS_MAX}"


def public_functions(tree: ast.Module) -> Iterator[tuple[AnyFunction, bool]]:
    """Public functions of a module and public methods of its public classes; the flag marks methods."""
    for node in tree.body:
        if isinstance(node, AnyFunction) and not node.name.startswith("_"):
            yield node, False
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for child in node.body:
                if isinstance(child, AnyFunction) and (child.name == "__init__" or not child.name.startswith("_")):
                    yield child, True


def docstring_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """Whatever is public in the package has a docstring; methods need one where they are first promised.

    A method that implements a port is documented in the port, so methods count in a `Protocol` and in what
    `perdure` itself exports.
    """
    if not source.shipped:
        return
    for node in source.tree.body:
        if not isinstance(node, ast.ClassDef | AnyFunction) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not is_overload(node):
            yield node.lineno, f"{node.name} has no docstring"
        if isinstance(node, ast.ClassDef) and (is_protocol(node) or node.name in EXPORTED):
            for child in node.body:
                if not isinstance(child, AnyFunction) or child.name.startswith("_") or is_overload(child):
                    continue
                if not ast.get_docstring(child):
                    yield child.lineno, f"{node.name}.{child.name} has no docstring"


def is_overload(node: ast.ClassDef | AnyFunction) -> bool:
    """It is one signature of several, or the setter of a property: another definition has the docstring."""
    names = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(name.endswith(("overload", ".setter", ".deleter")) for name in names)


def is_protocol(node: ast.ClassDef) -> bool:
    """It is a port."""
    return any(re.match(r"(typing\.)?Protocol\b", ast.unparse(base)) for base in node.bases)


def handler_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """A handler of everything says why, on its line or on the line above."""
    commented = comment_lines(source.text)
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "BaseException" if node.type is None else ast.unparse(node.type)
        if re.search(r"\b(Base)?Exception\b", caught) and not {node.lineno, node.lineno - 1} & commented:
            yield node.lineno, f"`except {caught}` needs a comment that says why"


def comment_lines(text: str) -> set[int]:
    """Numbers of the lines that carry a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def call_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """The package prints only in its commands; what decides is handed its moments, ids and chance."""
    if not source.shipped:
        return
    # Without this import `random` is a parameter: a seeded generator that somebody handed over.
    draws = any(isinstance(node, ast.Import) and node.names[0].name == "random" for node in ast.walk(source.tree))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and not MAY_PRINT.match(source.path):
                yield node.lineno, "print belongs in the command line; raise or log instead"
            unfit = CLOCK_OR_CHANCE.fullmatch(called) and (draws or not called.startswith("random."))
            if unfit and DECIDES.match(source.path):
                yield node.lineno, f"{called}() reads a clock or draws by chance; take it as a parameter"


def all_breaches(source: Source) -> Iterator[tuple[int, str]]:
    """`__all__` is sorted and names nothing twice."""
    names = all_of(source.tree)
    if names != sorted(set(names)):
        yield 1, "__all__ is not sorted"


def all_of(tree: ast.Module) -> list[str]:
    """The names in a module's `__all__`; none if it has none."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name("__all__")], value=ast.List() | ast.Tuple() as value)
                | ast.AnnAssign(target=ast.Name("__all__"), value=ast.List() | ast.Tuple() as value)
            ):
                return [str(ast.literal_eval(element)) for element in value.elts]
            case _:
                pass
    return []


def project_files() -> list[Path]:
    """Every Python file that the rules cover."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*found, ROOT / "dev"]


def exported() -> frozenset[str]:
    """What `import perdure` offers."""
    path = ROOT / "src/perdure/__init__.py"
    return frozenset(all_of(ast.parse(path.read_text())) if path.exists() else ())


EXPORTED = exported()


@pytest.mark.parametrize("path", project_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_the_house_rules(path: Path) -> None:
    assert breaches(parsed(path.relative_to(ROOT).as_posix(), path.read_text())) == []


LONG_FUNCTION = "def long() -> None:\n    '''Doc.'''\n" + "    pass\n" * (FUNCTION_LINES_MAX - 1)
DOC = "'''Doc.'''\n"
CLASS = DOC + "class C:\n    '''Doc.'''\n"
TRY = DOC + "try:\n    pass\n"
PLANTED = {
    DOC + "\n" * FILE_LINES_MAX: "the file has 451 lines, more than 450",
    "": "the module does not open with a docstring",
    "x = 1": "the module does not open with a docstring",
    DOC + "# TO" + "DO: finish": "TO" + "DO belongs in an issue",
    DOC + LONG_FUNCTION: "long has 61 lines, more than 60",
    DOC + "def f(a, b, c, d, e, g):\n    'Doc.'": "f has 6 parameters, more than 5",
    CLASS + "    def g(self, a, b, c, d, e, /, f): ...": "g has 6 parameters, more than 5",
    CLASS + "    @staticmethod\n    def s(a, b, c, d, e, f): ...": "s has 6 parameters, more than 5",
    CLASS + "    def __init__(self, a, b, c, d, e, f): ...": "__init__ has 6 parameters",
    DOC + "class C:\n    x = 1": "C has no docstring",
    DOC + "async def f(): ...": "f has no docstring",
    DOC + "class P(Protocol[T]):\n    'Doc.'\n    def f(self): ...": "P.f has no docstring",
    TRY + "except Exception:\n    pass": "`except Exception` needs a comment",
    TRY + "except (OSError, BaseException) as e:\n    pass": "`except (OSError, BaseException)` needs",
    TRY + "except:\n    x = '# no comment'": "`except BaseException` needs a comment",
    DOC + "print(1)": "print belongs in the command line",
    DOC + "now = datetime.now(UTC)": "datetime.now() reads a clock",
    DOC + "now = time.time_ns()": "time.time_ns() reads a clock",
    DOC + "id = uuid.uuid4()": "uuid.uuid4() reads a clock",
    DOC + "import random\nx = random.randint(1, 2)": "random.randint() reads a clock",
    DOC + "__all__ = ['b', 'a']": "__all__ is not sorted",
    DOC + "__all__: list[str] = ['a', 'a']": "__all__ is not sorted",
}


@pytest.mark.parametrize(("text", "expected"), PLANTED.items(), ids=PLANTED.values())
def test_a_planted_breach_is_found(text: str, expected: str) -> None:
    found = breaches(parsed("src/perdure/engine/planted.py", text))

    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/perdure/cli/workflow.py", DOC + "print(1)"),
        ("src/perdure/testing/simulate.py", DOC + "print(1)"),
        ("src/perdure/engine/clock.py", DOC + "now = time.time()"),
        ("src/perdure/core/ids.py", DOC + "def f(random: Random) -> int:\n    'Doc.'\n    return random.randint(1, 2)"),
        ("src/perdure/core/a.py", DOC + "def f(a, b, c, d, e, *, g, h):\n    'Doc.'"),
        ("src/perdure/core/a.py", CLASS + "    def f(self, a, b, c, d, e): ..."),
        ("src/perdure/core/a.py", DOC + "def _f(a, b, c, d, e, g): ..."),
        ("src/perdure/core/a.py", DOC + "@overload\ndef f(): ..."),
        ("src/perdure/core/a.py", TRY + "except Exception:  # User code.\n    pass"),
        ("src/perdure/core/a.py", TRY + "# User code.\nexcept Exception:\n    pass"),
        ("src/perdure/core/a.py", DOC + "__all__ = ['A', 'b']"),
        ("tests/unit/test_a.py", DOC + "def test_a():\n    print(datetime.now())"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, text: str) -> None:
    assert breaches(parsed(path, text)) == []
