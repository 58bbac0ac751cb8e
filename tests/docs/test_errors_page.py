"""docs/reference/errors.md and the tree of errors name the same codes: an error's code leads to its section."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.core import errors, errors_store
from perdure.testing.kit import errors as kit_errors

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/errors.md"
SECTION = re.compile(r"^### (?P<code>PDR\d{4})\n\n`(?P<name>\w+)`: (?P<text>.+?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)


def subclasses(root: type[errors.PerdureError]) -> Iterator[type[errors.PerdureError]]:
    """Every class below `root`."""
    for each in root.__subclasses__():
        yield each
        yield from subclasses(each)


def coded() -> list[tuple[str, str]]:
    """Code and name of every error class of the module that has a code of its own."""
    modules = (errors.__name__, errors_store.__name__, kit_errors.__name__)
    own = [each for each in dict.fromkeys(subclasses(errors.PerdureError)) if each.__module__ in modules]
    return sorted((each.code, each.__name__) for each in own if "code" in vars(each))


def test_codes_are_unique_and_well_formed() -> None:
    codes = [code for code, _ in coded()]

    assert codes, "the module defines no code"
    assert len(codes) == len(set(codes))
    assert [code for code in codes if not re.fullmatch(r"PDR\d{4}", code)] == []


def test_an_error_that_is_raised_has_a_code_of_its_own() -> None:
    leaves = [each for each in subclasses(errors.PerdureError) if not each.__subclasses__()]

    assert [each.__name__ for each in leaves if "code" not in vars(each)] == []


def test_the_page_and_the_module_name_the_same_codes() -> None:
    page = PAGE.read_text()
    sections = [(match["code"], match["name"]) for match in SECTION.finditer(page)]

    assert sections == coded()
    assert len(re.findall(r"^###", page, re.MULTILINE)) == len(sections), "a heading without a code or a class"


@pytest.mark.parametrize("part", ["**Cause.**", "**Remedy.**"])
def test_each_section_says_cause_and_remedy(part: str) -> None:
    assert [match["code"] for match in SECTION.finditer(PAGE.read_text()) if part not in match["text"]] == []
