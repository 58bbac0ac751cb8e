"""The plugin for pytest: fixtures `perdure_env`, `perdure_environment`, `perdure_snapshot`, and the marker `perdure`.

It imports the package only where a test uses it, and needs no other plugin: a test that is a coroutine and that none
runs is run here.
"""

import asyncio
import functools
import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.handle import Handle
    from perdure.testing import TestEnvironment

MARKER = "perdure(app=..., **options): the app and the options of this test's `perdure_env`"
FOLDER = "__histories__"
"""Snapshots lie in this folder, beside the test's module."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called by pytest."""
    group = parser.getgroup("perdure")
    group.addoption(
        "--perdure-update-snapshots", action="store_true", help="write the history snapshots of these tests"
    )
    parser.addini("perdure_app", "the app of `perdure_env`, as module:name", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest."""
    config.addinivalue_line("markers", MARKER)


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of all markers on the test, the closest one's first."""
    options: dict[str, Any] = {}
    for marker in request.node.iter_markers("perdure"):
        options = {**marker.kwargs, **options}
    return options


@pytest.fixture
def perdure_app(request: pytest.FixtureRequest) -> "Perdure":
    """The app of `perdure_env`: the marker's `app`, else that of the ini option `perdure_app`; or override it."""
    from perdure.app import Perdure
    from perdure.core.errors import InvalidOption
    from perdure.testing.targets import load_app

    app = _marked(request).get("app") or request.config.getini("perdure_app")
    if isinstance(app, Perdure):
        return app
    if not app:
        remedy = "write @pytest.mark.perdure(app=...), `perdure_app = module:name` in the ini file, or the fixture"
        raise InvalidOption(name="perdure_app", value="''", fact="names no app", remedy=remedy)
    return load_app(str(app))


@pytest.fixture
def perdure_env(request: pytest.FixtureRequest, perdure_app: "Perdure") -> "TestEnvironment":
    """A `TestEnvironment` of the app, entered around an async test, in its loop; a plain test enters it itself."""
    from perdure.testing import TestEnvironment

    options = {name: value for name, value in _marked(request).items() if name != "app"}
    env = TestEnvironment(perdure_app, **cast(Any, options))
    test = request.node.obj
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def inside(*args: Any, **kwargs: Any) -> None:
            async with env:
                await test(*args, **kwargs)

        request.node.obj = inside
    return env


@pytest.fixture
def perdure_environment() -> "Callable[..., TestEnvironment]":
    """Makes environments: `async with perdure_environment(app, replay=True) as env:`."""
    from perdure.testing import TestEnvironment

    return TestEnvironment


@pytest.fixture
def perdure_snapshot(request: pytest.FixtureRequest) -> "Callable[..., Awaitable[None]]":
    """`await perdure_snapshot(handle)`: the run's history is that of the snapshot; a second one needs a `name`."""
    from perdure.testing.kit.snapshot import assert_history

    path = Path(request.node.path)
    folder = path.parent / FOLDER / path.stem
    update = bool(request.config.getoption("--perdure-update-snapshots"))

    async def check(handle: "Handle[Any]", name: str = "") -> None:
        own = re.sub(r"[^\w.-]+", "_", f"{request.node.name}.{name}" if name else request.node.name)
        await assert_history(handle, folder / f"{own}.json", update=update)

    return check


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Called by pytest: runs a coroutine that uses `perdure_env`, if no other plugin has taken it."""
    if "perdure_env" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    # What pytest itself would call the function with.
    names = cast(Any, pyfuncitem)._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
