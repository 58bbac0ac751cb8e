"""The check itself: from the workflows of the named files to every function that they reach."""

import ast
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from perdure.lint.finding import Finding, Rule
from perdure.lint.names import Defined, Names
from perdure.lint.reach import Reached, roots
from perdure.lint.scopes import FunctionNode, Source
from perdure.lint.targets import sources_of
from perdure.lint.walk import Walk

_IGNORE = re.compile(r"#\s*perdure:\s*ignore\[(?P<codes>[A-Z0-9,\s]+)\]")


class Checked(NamedTuple):
    """What a check saw."""

    files_count: int
    workflows: tuple[str, ...]
    """Names of the functions and classes that are workflows, in the order of files."""
    findings: tuple[Finding, ...]
    """Sorted by file and line."""


def check(targets: Iterable[str]) -> Checked:
    """Check the workflows in modules, files and folders. Raises `InvalidOption` for what cannot be read."""
    return check_sources(sources_of(targets))


def check_sources(sources: Sequence[Source]) -> Checked:
    """Check the workflows in parsed files; helpers are followed into all of them."""
    names = Names(sources)
    found: dict[tuple[str, int, int, str], Finding] = {}
    waiting = list(roots(names))
    workflows = dict.fromkeys(each.workflow for each in waiting)
    seen: set[ast.AST] = set()
    while waiting:
        reached = waiting.pop(0)
        node = reached.function.node
        if node in seen or not isinstance(node, FunctionNode):
            continue
        seen.add(node)
        for finding in _check_function(reached, node, names, waiting):
            found.setdefault((finding.file, finding.line, finding.column, finding.code), finding)
    return Checked(len(sources), tuple(workflows), tuple(sorted(found.values())))


def _check_function(reached: Reached, node: FunctionNode, names: Names, waiting: list[Reached]) -> list[Finding]:
    source = reached.function.scope.source
    found: list[Finding] = []

    def report(place: ast.AST, rule: Rule, fact: str, remedy: str) -> None:
        line, column = getattr(place, "lineno", node.lineno), getattr(place, "col_offset", node.col_offset)
        if not _ignored(source, line, getattr(place, "end_lineno", None) or line, rule):
            where = reached.workflow if node.name == reached.workflow else f"{reached.workflow}, in {node.name}"
            file = shown(source.path)
            found.append(Finding(file, line, column + 1, rule.code, rule.severity, fact, remedy, where))

    def reach(other: Defined) -> None:
        waiting.append(Reached(other, reached.workflow))

    Walk(names, source.scopes[node], report, reach).body_of(node)
    return found


def shown(path: Path) -> str:
    """The path as people know it: relative to the working directory if it is below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _ignored(source: Source, first: int, last: int, rule: Rule) -> bool:
    """Whether a comment on one of the lines says so; a whole loop counts by its first line."""
    last = first if rule.code in ("PDC009", "PDC010") else last
    for line in source.lines[first - 1 : last]:
        match = _IGNORE.search(line)
        if match is not None and rule.code in re.split(r"[,\s]+", match["codes"]):
            return True
    return False
