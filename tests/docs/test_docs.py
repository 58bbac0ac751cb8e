"""The documentation runs: every code block of README.md and docs/ is executed, every relative link leads somewhere.

How a page is written so that it can be run: docs/how-to/write-docs.md. There is no way to skip a `python` block.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK_S_MAX = 60

# Whatever looks like Python must be written as exactly `python`, so that it is executed.
LOOKS_LIKE_PYTHON = re.compile(r"^[\s>]*[`~]{3,}\s*\{?\.?py", re.IGNORECASE)
FENCE = re.compile(r"^(?P<indent>\s*)(?P<mark>`{3,}|~{3,})\s*(?P<language>.*?)\s*$")
COMMENT = re.compile(r"^\s*<!--\s*(?P<text>.*?)\s*-->\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|^\[[^\]]+\]:\s*(?P<defined>\S+)", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block: its language, the comment before it, its text and the line on which the text starts."""

    language: str
    comment: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page in order; a fence that is never closed is an error."""
    opened: re.Match[str] | None = None
    comment, start, lines = "", 0, list[str]()
    for number, line in enumerate(page.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence is not None:
            opened, start, lines = fence, number + 1, []
        elif opened is None:
            if line.strip():
                match = COMMENT.match(line)
                comment = match["text"] if match else ""
        elif fence is not None and not fence["language"] and fence["mark"].startswith(opened["mark"]):
            yield Block(opened["language"], comment, dedent("\n".join(lines)) + "\n", start)
            opened, comment = None, ""
        else:
            lines.append(line)
    if opened is not None:
        raise ValueError(f"the block that opens on line {start - 1} is never closed")


def programs(page: str) -> dict[int, str]:
    """The Python programs of a page by their first line: each block, joined with those that continue it.

    Every line keeps its number on the page, so that a traceback points into the page.
    """
    found: dict[int, str] = {}
    for block in blocks(page):
        if block.language != "python":
            continue
        if block.comment == "continues":
            first = max(found)
        else:
            first = block.line
            found[first] = ""
        missing = block.line - 1 - found[first].count("\n")
        found[first] += "\n" * missing + block.text
    return found


def sessions(page: str) -> dict[int, tuple[str, dict[str, str]]]:
    """The shell scripts of a page by their line, each with the files that the page has shown before it."""
    found: dict[int, tuple[str, dict[str, str]]] = {}
    files: dict[str, str] = {}
    for block in blocks(page):
        if block.comment.startswith("file: "):
            files[block.comment.removeprefix("file: ")] = block.text
        elif block.language == "console" and block.comment == "run":
            commands = re.findall(r"^[$>] (.*)$", block.text, re.MULTILINE)
            found[block.line] = ("\n".join(["set -e", *commands]), dict(files))
    return found


def unexecuted(page: str) -> list[int]:
    """Lines where something that looks like Python opens without being one of the executed blocks."""
    executed = {block.line - 1 for block in blocks(page) if block.language == "python"}
    opening = {number for number, line in enumerate(page.splitlines(), 1) if LOOKS_LIKE_PYTHON.match(line)}
    return sorted(opening - executed)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    without_code = re.sub(r"^\s*(```+|~~~+).*?^\s*\1", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead_links(path: Path, root: Path) -> list[str]:
    """The relative links of the page at `path` that lead to no file, out of `root`, or to no heading."""
    without_code = re.sub(r"^\s*(```+|~~~+).*?^\s*\1|`[^`\n]*`", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead: list[str] = []
    for match in LINK.finditer(without_code):
        target = match["target"] or match["defined"]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or not file.is_relative_to(root) or (anchor and anchor not in anchors(file.read_text())):
            dead.append(target)
    return dead


def pages() -> list[Path]:
    """The pages whose blocks are run."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]


def named(path: Path) -> str:
    """How a page is called in a test's id."""
    return path.relative_to(ROOT).as_posix()


PROGRAMS = [
    pytest.param(path, text, id=f"{named(path)}:{line}")
    for path in pages()
    for line, text in programs(path.read_text()).items()
]
SESSIONS = [
    pytest.param(script, files, id=f"{named(path)}:{line}")
    for path in pages()
    for line, (script, files) in sessions(path.read_text()).items()
]


def run(command: list[str], folder: Path) -> None:
    """Run `command` in `folder` with the commands of this environment; fail with its output if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BLOCK_S_MAX,
    )
    if done.returncode != 0:
        pytest.fail(f"exit code {done.returncode}\n{done.stdout.decode(errors='replace')}", pytrace=False)


@pytest.mark.parametrize(("page", "text"), PROGRAMS)
def test_a_program_runs(page: Path, text: str, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem}.py"
    program.write_text(text)

    run([sys.executable, program.name], tmp_path)


@pytest.mark.parametrize(("script", "files"), SESSIONS)
def test_a_shell_session_runs(script: str, files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    run(["bash", "-c", script], tmp_path)


@pytest.mark.parametrize("page", pages(), ids=named)
def test_no_python_block_is_left_out(page: Path) -> None:
    assert unexecuted(page.read_text()) == []


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))], ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page, ROOT) == []


PAGE = """# A page
```python
first = 1
```
<!-- continues -->

```python
second = first + 1
```

<!-- file: shop.py -->
```python
alone = 1
```

<!-- run -->
```console
$ python \\
> shop.py
output
$ true
```
```console
$ not run
```
"""


def test_blocks_that_continue_each_other_are_one_program_with_the_lines_of_the_page() -> None:
    found = programs(PAGE)

    assert list(found) == [3, 13]
    assert [found[3].splitlines()[2], found[3].splitlines()[7]] == ["first = 1", "second = first + 1"]
    assert found[13].strip() == "alone = 1"


def test_a_session_has_its_commands_and_the_files_shown_before_it() -> None:
    assert sessions(PAGE) == {18: ("set -e\npython \\\nshop.py\ntrue", {"shop.py": "alone = 1\n"})}


@pytest.mark.parametrize(
    "opening", ["```py", "```python3", "~~~ pycon", "```python title=x", "```{.python}", "> ```python", "```Python"]
)
def test_python_under_another_name_is_found(opening: str) -> None:
    closing = "" if opening.startswith(">") else opening[:3]

    assert unexecuted(f"{opening}\nx = 1\n{closing}\n") == [1]


def test_python_inside_another_block_is_found() -> None:
    assert unexecuted("````text\n```python\nx = 1\n```\n````\n") == [2]


def test_an_executed_block_is_not_reported_even_in_a_list() -> None:
    page = "1. Do\n\n   ```python\n   x = 1\n   ```\n"

    assert unexecuted(page) == []
    assert programs(page)[4].strip() == "x = 1"


def test_an_open_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 is never closed"):
        list(blocks("text\n```python\nx = 1\n"))


def test_a_program_that_fails_fails_its_test(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="exit code 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One heading: `code`\n```text\n# not a heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#one-heading-code) [c](#here) [d](https://x.test/no) `[e](no.md)`\n"
        "[f](no.md) [g](other.md#not-a-heading) [h](#there) [i](../page.md)\n[j]: no.md\n"
    )

    assert dead_links(page, tmp_path) == ["no.md", "other.md#not-a-heading", "#there", "../page.md", "no.md"]
