"""`perdure check` gives no false alarm on what the project shows, and its page tells every code."""

import re
from pathlib import Path

from perdure.lint import RULES, Severity, check
from perdure.lint.check import check_sources
from perdure.lint.scopes import Source
from tests.docs.test_docs import pages, programs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/checks.md").read_text()
REFUSED_ON_PURPOSE = {"deterministic-code.md": "PDC007"}
"""Pages that show what is refused, with the one code that is found there."""


def test_the_examples_are_clean() -> None:
    found = check([str(ROOT / "examples")])

    assert len(found.workflows) >= 7
    assert found.findings == ()


def test_the_code_of_the_documentation_is_clean() -> None:
    workflows, codes = set[str](), set[tuple[str, str]]()
    for path in pages():
        for line, text in programs(path.read_text()).items():
            found = check_sources([Source(path, f"page_{line}", text)])
            workflows.update(found.workflows)
            codes.update((path.name, each.code) for each in found.findings)

    assert len(workflows) >= 20
    assert codes == set(REFUSED_ON_PURPOSE.items())


def test_the_workflows_whose_histories_are_kept_are_clean() -> None:
    path = ROOT / "tests/histories/workflows.py"
    found = check_sources([Source(path, "workflows", path.read_text().replace("@recorded", "@app.workflow"))])

    assert len(found.workflows) >= 14
    assert found.findings == ()


def test_the_page_of_checks_has_a_section_for_each_code() -> None:
    sections = dict(re.findall(r"^## (PDC\d{3}): (.+)$", PAGE, re.MULTILINE))

    assert sections == {each.code: each.title for each in RULES}


def test_the_page_of_checks_names_the_warnings() -> None:
    assert {each.code for each in RULES if each.severity is Severity.WARNING} == set(
        re.findall(r"^## (PDC\d{3}): .+\n\nA warning", PAGE, re.MULTILINE)
    )
