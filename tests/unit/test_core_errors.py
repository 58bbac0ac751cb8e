"""The error tree: codes, messages with a remedy, pickling, and the drawing at the top of its file."""

import pickle
import re
import string
from collections.abc import Iterator

import pytest

from perdure.core import errors
from perdure.core.errors import InvalidArguments, PerdureError, StillRunning, UpdateFailed, WorkflowFailed

NAME = re.compile(r"\b[A-Z][a-z]+[A-Z]?\w*\b")


def below(root: type[PerdureError]) -> Iterator[type[PerdureError]]:
    """Every class of the module below `root`, and `root` itself."""
    yield root
    for each in root.__subclasses__():
        if each.__module__.startswith(errors.__name__):
            yield from below(each)


TREE = list(below(PerdureError))
RAISED = [kind for kind in TREE if "code" in vars(kind) and kind is not PerdureError]
BRANCHES = {"UsageError": "1", "RunError": "2", "ParkedError": "3", "StoreError": "4", "TestError": "6"}


def facts_of(kind: type[PerdureError]) -> dict[str, object]:
    """Facts that fill the class's template."""
    fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(kind.template) if name]
    return {name: 7 if spec == "g" else f"<{name}>" for name, spec in fields}


def drawn() -> dict[str, str]:
    """By class: its parent in the drawing."""
    text = errors.__doc__ or ""
    parents: dict[str, str] = {}
    branch = ""
    for line in text.splitlines():
        found = re.match(r"(?P<rail>[│ ]*)[├└]── (?P<rest>.*)", line)
        if found is None:
            continue
        if not found["rail"]:
            branch = found["rest"].split()[0]
            parents[branch] = "PerdureError"
            continue
        first, arrow, derived = found["rest"].partition("→")
        names = [name for name in NAME.findall(first) if hasattr(errors, name)]
        parents.update(dict.fromkeys(names, branch))
        if arrow:
            parents.update(dict.fromkeys(NAME.findall(derived), names[-1]))
    return parents


def test_the_drawing_matches_the_classes() -> None:
    real = {kind.__name__: kind.__base__.__name__ for kind in TREE if kind is not PerdureError and kind.__base__}

    assert drawn() == real


def test_codes_are_unique_and_tell_the_branch() -> None:
    codes = [kind.code for kind in RAISED]
    branches = {kind: next(name for name in BRANCHES if issubclass(kind, getattr(errors, name))) for kind in RAISED}

    assert len(set(codes)) == len(codes)
    assert [kind.__name__ for kind in RAISED if not kind.code.startswith(f"PDR{BRANCHES[branches[kind]]}")] == []


def test_every_class_that_says_something_has_a_code_and_a_template() -> None:
    leaves = [kind for kind in TREE if not kind.__subclasses__()]

    assert [kind.__name__ for kind in leaves if "code" not in vars(kind) or "template" not in vars(kind)] == []


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_an_error_tells_its_code_and_its_facts(kind: type[PerdureError]) -> None:
    facts = facts_of(kind)

    error = kind(**facts)

    assert str(error).startswith(f"{kind.code}: ")
    assert error.facts == facts
    assert [fact for fact in facts.values() if str(fact) not in str(error)] == []


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[PerdureError]) -> None:
    error = kind(**facts_of(kind))

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == str(error)
    assert again.facts == error.facts


# An outcome says why: there is nothing about the call to mend.
TO_MEND = [kind for kind in RAISED if not issubclass(kind, WorkflowFailed | UpdateFailed)]


@pytest.mark.parametrize("kind", TO_MEND, ids=lambda kind: kind.__name__)
def test_a_message_ends_with_a_remedy(kind: type[PerdureError]) -> None:
    _, semicolon, remedy = kind.template.rpartition("; ")

    assert semicolon, "a message is `what is the matter; what to do`"
    assert remedy == "{remedy}" or " " in remedy


def test_a_message_is_the_template_filled() -> None:
    error = InvalidArguments(name="pay", signature="pay(card: str)", reason="missing a required argument: 'card'")

    assert str(error).startswith("PDR1008: arguments of 'pay' do not fit pay(card: str): missing a required argument")


def test_a_time_is_written_as_people_write_it() -> None:
    assert "after 2.5 seconds" in str(StillRunning(workflow_id="w", timeout_s=2.5))
    assert "after 3 seconds" in str(StillRunning(workflow_id="w", timeout_s=3.0))


def test_the_root_alone_says_little() -> None:
    assert str(PerdureError()) == "PDR0000: unknown error"
