"""The pytest plugin: fixtures, the marker, and history snapshots. Each test runs pytest on a small project."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHOP = '''
"""A shop."""
import asyncio
from perdure import Perdure

app = Perdure("memory://")

@app.activity
async def charge(card: str) -> str:
    return f"r-{card}"

@app.activity
def pack(card: str) -> str:
    return f"packed {card}"

@app.workflow
async def month(card: str) -> str:
    receipt = await charge(card)
    await asyncio.sleep(30 * 24 * 3600)
    return receipt
'''
TESTS = """
import pytest
from shop import app, charge, month

async def test_a_month(perdure_env):
    began = perdure_env.now
    mock = perdure_env.mock(charge).returns("mocked")
    handle = await app.start(month, "tok")
    assert await handle.result() == "mocked"
    assert (perdure_env.now - began).days == 30
    mock.assert_called_once_with("tok")

@pytest.mark.perdure(unmocked="refuse", seed=7)
async def test_options_of_the_marker(perdure_env):
    with pytest.raises(Exception, match="not mocked"):
        await (await app.start(month, "tok")).result()

async def test_another_environment(perdure_environment):
    async with perdure_environment(app, replay=True):
        assert await (await app.start(month, "tok")).result() == "r-tok"
"""
SNAPSHOT = """
from shop import app, month

async def test_the_history(perdure_env, perdure_snapshot):
    handle = await app.start(month, "tok")
    await handle.result()
    await perdure_snapshot(handle)
    second = await app.start(month, "other")
    await second.result()
    await perdure_snapshot(second, "second")
"""


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run pytest on the project in `folder`; return what it printed."""
    plugin = ("-p", "perdure.testing.pytest_plugin")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an app."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "pytest.ini").write_text("[pytest]\nperdure_app = shop:app\npythonpath = .\nasyncio_mode = auto\n")
    return tmp_path


def test_tests_run_in_an_environment_of_the_app(project: Path) -> None:
    (project / "test_shop.py").write_text(TESTS)

    assert "3 passed" in run(project)


def test_another_plugin_for_async_tests_is_not_needed(project: Path) -> None:
    (project / "test_shop.py").write_text(TESTS.partition("async def test_another")[0])
    (project / "pytest.ini").write_text("[pytest]\nperdure_app = shop:app\npythonpath = .\n")

    assert "2 passed" in run(project, "-p", "no:asyncio")


def test_the_app_comes_by_marker_or_fixture_as_well(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\npythonpath = .\nasyncio_mode = auto\n")
    (project / "test_marked.py").write_text(
        "import pytest, shop\n\npytestmark = pytest.mark.perdure(app='shop:app')\n\n"
        "async def test_it(perdure_env):\n    assert perdure_env.app is shop.app\n\n"
        "@pytest.mark.perdure(app=shop.app)\n"
        "async def test_directly(perdure_env):\n    assert perdure_env.app is shop.app\n"
    )
    (project / "test_fixture.py").write_text(
        "import pytest, shop, asyncio\n\n@pytest.fixture\ndef perdure_app():\n    return shop.app\n\n"
        "def test_plain(perdure_env):\n"
        "    async def main():\n        async with perdure_env:\n            return perdure_env.now\n"
        "    assert asyncio.run(main()).year == 2025\n"
    )
    (project / "test_none.py").write_text("async def test_it(perdure_env):\n    pass\n")

    assert "3 passed, 1 error" in run(project, code=1)


def test_a_snapshot_is_written_matched_and_told_when_it_differs(project: Path) -> None:
    (project / "test_shop.py").write_text(SNAPSHOT)
    file = project / "__histories__/test_shop/test_the_history.json"

    assert "write it with --perdure-update-snapshots" in run(project, code=1)
    run(project, "--perdure-update-snapshots")
    assert '"+0s WorkflowExecutionStarted' in file.read_text()
    assert "TimerFired" in file.read_text()
    run(project)

    (project / "shop.py").write_text(SHOP.replace("return receipt", "return receipt.upper()"))
    told = run(project, code=1)
    assert '-+30d WorkflowExecutionCompleted {"result": "r-tok"}' in told
    assert '++30d WorkflowExecutionCompleted {"result": "R-TOK"}' in told

    (project / "shop.py").write_text(SHOP.replace("await charge(card)", "await pack(card)"))
    told = run(project, code=1)
    assert "the code of today cannot go on with the history" in told
    assert "shop.py:18" in told


def test_a_snapshot_is_a_recorded_history_for_the_command_line(project: Path) -> None:
    (project / "test_shop.py").write_text(SNAPSHOT)
    run(project, "--perdure-update-snapshots")

    command = [sys.executable, "-m", "perdure", "replay", "--app", "shop:app", "__histories__/test_shop"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 histories replayed, 2 clean" in done.stderr
