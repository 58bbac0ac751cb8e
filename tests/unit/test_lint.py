"""The checks of workflow code: each line that ends in a code is found, with that code, and no other line is."""

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from perdure.lint import RULES, Checked
from perdure.lint.check import check_sources
from perdure.lint.scopes import Source

HEAD = """
import asyncio, contextlib, itertools, os, random, requests, socket, subprocess, sys, threading, time, uuid, secrets
import datetime as clock
from datetime import datetime as dt, date
from pathlib import Path
from time import time as now
from perdure import Perdure, workflow
app = Perdure("memory://")
CACHE: dict[str, int] = {}
TOTAL = 0
NAMES = {"a", "b"}
counter = itertools.count()

@app.activity
async def charge(card: str) -> str:
    return str(time.time()) + open("x").read() + str(dt.now())
"""

FOUND = {
    "clocks": """
        dt.now()  # PDC001
        date.today()  # PDC001
        clock.datetime.utcnow()  # PDC001
        now()  # PDC001
        read = dt.now  # PDC001
        time.strftime("%H")  # PDC001
        time.clock_gettime(1)  # PDC001
        time.time() + time.monotonic_ns()
        workflow.now().date()
        dt(2026, 1, 1).replace(hour=3)
        dt.fromisoformat("2026-01-01")
        time.strftime("%H", time.gmtime(0))
    """,
    "clocks imported inside": """
        import time as t
        from datetime import datetime
        from random import choice
        datetime.now()  # PDC001
        t.time()
        choice("ab")
    """,
    "chance": """
        secrets.token_hex()  # PDC002
        os.urandom(8)  # PDC002
        uuid.uuid1()  # PDC002
        random.Random()  # PDC002
        random.SystemRandom().random()  # PDC002
        random.Random(5).random()
        random.random()
        uuid.uuid4()
        uuid.uuid5(uuid.NAMESPACE_DNS, "x")
        secrets.compare_digest("a", "b")
    """,
    "sets": """
        tags = {"a", "b"}
        for tag in tags:  # PDC003
            await charge(tag)
        [await charge(tag) for tag in set(card)]  # PDC003
        first = next(iter(tags))  # PDC003
        list(tags)  # PDC003
        dict.fromkeys(tags)  # PDC003
        ",".join(tags | {"c"})  # PDC003
        await asyncio.gather(*tags)  # PDC003
        [*tags]  # PDC003
        one, two = tags  # PDC003
        for key in tags.union(card):  # PDC003
            pass
        {key: 1 for key in CACHE.keys() - {"x"}}  # PDC003
        for name in NAMES:  # PDC003
            pass
        for index, name in enumerate(frozenset(card)):  # PDC003
            pass
    """,
    "sets in order": """
        tags = {"a", "b"}
        for tag in sorted(tags):
            await charge(tag)
        sorted(tag.upper() for tag in tags)
        any(tag == "a" for tag in tags)
        len(tags), min(tags), "a" in tags, set(tags), {each for each in tags}
        ordered = set(card)
        ordered = sorted(ordered)
        for each in ordered:
            pass
        for number in {1, 2, 3}:
            pass
        tasks = {asyncio.create_task(charge(tag)) for tag in "ab"}
        for task in tasks:
            await task
        later: set[asyncio.Task[str]] = set()
        later.add(asyncio.create_task(charge("c")))
        await asyncio.gather(*later)
        more = set()
        more.add(asyncio.create_task(charge("c")))
        await asyncio.gather(*more)
        done, pending = await asyncio.wait(tasks)
        for task in done:
            task.result()
        for key in CACHE:
            pass
        for key in dict.fromkeys(card):
            pass
    """,
    "a set taken from": """
        tags = set(card)
        tags.pop()  # PDC003
        numbers = {1, 2}
        numbers.pop()
    """,
    "addresses": """
        hash(card) % 2  # PDC004
        sorted([card], key=id)  # PDC004
        workflow.logger.info("at %s", id(card))
        print(id(card))
    """,
    "a parameter named like a builtin": """
        async def pick(id, hash):
            return id(hash) + hash(id)
        await pick(1, 2)
    """,
    "environment": """
        os.environ["HOME"]  # PDC005
        os.environ.get("HOME")  # PDC005
        os.getenv("HOME")  # PDC005
        sys.argv[1]  # PDC005
        Path.cwd()  # PDC005
        os.path.join("a", "b")
        workflow.side_effect(lambda: os.environ["HOME"])
    """,
    "threads": """
        threading.Thread(target=print)  # PDC006
        await asyncio.to_thread(print)  # PDC006
        asyncio.get_running_loop().run_in_executor(None, print)  # PDC006
        subprocess.run(["ls"])  # PDC006
        os.system("ls")  # PDC006
        await asyncio.create_subprocess_exec("ls")  # PDC006
        async with asyncio.TaskGroup() as group:
            group.create_task(charge(card))
        for each in asyncio.as_completed([charge(card)]):
            await each
    """,
    "the world outside": """
        open("x")  # PDC007
        input()  # PDC007
        Path("x").read_text()  # PDC007
        path = Path("x") / "y"
        path.exists()  # PDC007
        (path.parent / "z").write_text("")  # PDC007
        requests.get("http://localhost")  # PDC007
        socket.socket()  # PDC007
        time.sleep(1)  # PDC007
        os.listdir(".")  # PDC007
        print("once more in each replay")
        path.name, path.suffix, Path("a") / "b"
        try:
            await charge(card)
        except requests.HTTPError:
            pass
    """,
    "globals": """
        global TOTAL
        TOTAL += 1  # PDC008
        CACHE[card] = 1  # PDC008
        CACHE.update(a=1)  # PDC008
        next(counter)  # PDC008
        del CACHE[card]  # PDC008
        os.environ["A"] = "b"  # PDC005
        mine = {}
        mine[card] = 1
        CACHE.get(card)
        copied = dict(CACHE)
        copied.update(a=1)
    """,
    "handlers": """
        try:
            await charge(card)
        except:  # PDC009
            pass
        try:
            await charge(card)
        except BaseException:  # PDC009
            return ""
        with contextlib.suppress(BaseException):  # PDC009
            await charge(card)
        try:
            await charge(card)
        except BaseException:
            await charge("undo")
            raise
        try:
            await charge(card)
        except Exception:
            pass
        except asyncio.CancelledError:
            pass
        try:
            int(card)
        except:
            pass
    """,
    "loops": """
        while True:  # PDC010
            await asyncio.sleep(0)
        while not CACHE:  # PDC010
            await asyncio.sleep(0)
        while True:  # PDC010
            card += "x"
        while True:
            await asyncio.sleep(60)
        while True:
            await asyncio.sleep(0)
            if card:
                break
        while card:
            card = card[1:]
            await asyncio.sleep(0)
        while True:
            await charge(card)
    """,
    "tasks that nobody awaits": """
        asyncio.create_task(charge(card))  # PDC011
        task = asyncio.create_task(charge(card))  # PDC011
        charge(card)  # PDC011
        other = asyncio.ensure_future(charge(card))
        other.cancel()
    """,
    "what a comment allows": """
        dt.now()  # perdure: ignore[PDC001]
        os.environ["HOME"], hash(card)  # perdure: ignore[PDC004, PDC005]
        os.environ["HOME"]  # perdure: ignore[PDC001] # PDC005
    """,
    "functions inside": """
        def stamp():
            return dt.now()  # PDC001
        @app.activity
        def far():
            return dt.now()
        def recorded():
            return dt.now()
        workflow.side_effect(recorded)
        clocks = [lambda: dt.now()]  # PDC001
        stamp()
    """,
    "annotations": """
        thread: threading.Thread | None = None
        def typed(session: requests.Session, path: Path) -> threading.Thread: ...
        isinstance(card, Path)
    """,
}


def expected_in(text: str) -> list[tuple[int, str]]:
    """The lines with a code at their end."""
    found = [(number, re.search(r"# (PDC\d{3})$", line)) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, match[1]) for number, match in found if match is not None]


def checked(**files: str) -> Checked:
    """What is found in files of these names."""
    return check_sources(
        [Source(Path(f"{name.replace('.', '/')}.py"), name, dedent(text)) for name, text in files.items()]
    )


def codes(found: Checked) -> list[tuple[int, str]]:
    """Lines and codes."""
    return [(each.line, each.code) for each in found.findings]


@pytest.mark.parametrize("name", FOUND)
def test_exactly_what_a_replay_may_not_repeat_is_found(name: str) -> None:
    body = indent(dedent(FOUND[name]).strip(), "    ")
    text = f"{HEAD}\n@app.workflow\nasync def order(card: str) -> str:\n{body}\n    return card\n"

    found = checked(shop=text)

    assert codes(found) == expected_in(text)
    assert found.workflows == ("order",)


def test_every_code_is_shown_by_a_sample() -> None:
    assert {code for text in FOUND.values() for _, code in expected_in(text)} == {rule.code for rule in RULES}


def test_a_finding_says_where_why_and_what_instead() -> None:
    (finding,) = checked(
        shop="""
            from perdure import Perdure
            from datetime import datetime as dt
            app = Perdure("memory://")
            @app.workflow(name="Order")
            async def order() -> None:
                when = dt.now()
        """
    ).findings

    assert (finding.file, finding.line, finding.column) == ("shop.py", 7, 12)
    assert finding.fact == "datetime.datetime.now reads the clock of the machine, which a replay finds changed"
    assert finding.remedy == "use workflow.now()"
    assert finding.workflow == "order"


def test_helpers_are_followed_through_modules_and_methods() -> None:
    found = checked(
        **{
            "shop.flows": """
                from perdure import Perdure
                from shop import helpers as h
                from .prices import Basket, total as price_of
                app = Perdure("memory://")
                @app.workflow
                async def order() -> None:
                    h.stamp()
                    price_of()
                    basket = Basket()
                    basket.refresh()
                    basket.tags
                    for tag in basket.names: ...
                def unused():
                    open("x")
            """,
            "shop.helpers": """
                from datetime import datetime
                def stamp(): return inner()
                def inner(): return datetime.now()
                def unused(): open("x")
            """,
            "shop.prices": """
                import os
                class Base:
                    def refresh(self): return self._load()
                    def _load(self): return open("x")
                class Basket(Base):
                    def __init__(self): self.names = {"a"}; self.home = os.environ["HOME"]
                    @property
                    def tags(self): return hash(self)
                    def unused(self): input()
                def total(): return input()
            """,
        }
    ).findings

    assert [(each.file, each.line, each.code) for each in found] == [
        ("shop/flows.py", 13, "PDC003"),
        ("shop/helpers.py", 4, "PDC001"),
        ("shop/prices.py", 5, "PDC007"),
        ("shop/prices.py", 7, "PDC005"),
        ("shop/prices.py", 9, "PDC004"),
        ("shop/prices.py", 11, "PDC007"),
    ]
    assert {each.workflow for each in found[1:2]} == {"order, in inner"}


def test_a_class_workflow_is_checked_in_all_its_parts() -> None:
    text = """
        import time, random, os
        from perdure import Perdure, workflow
        app = Perdure("memory://")
        @app.workflow
        class Order:
            def __init__(self) -> None:
                self.names: set[str] = set()
                self.home = os.getcwd()  # PDC005
            @workflow.run
            async def run(self) -> None:
                for name in self.names:  # PDC003
                    await self.step(name)
            @workflow.signal
            def add(self, name: str) -> None:
                open(name)  # PDC007
                self.names.add(name)
            @workflow.query
            def shown(self) -> list[str]:
                return list(self.names)  # PDC003
            @workflow.update(name="rename")
            async def rename(self, name: str) -> None:
                time.sleep(1)  # PDC007
            @rename.validator
            def _(self, name: str) -> None:
                hash(name)  # PDC004
            async def step(self, name: str) -> None:
                input()  # PDC007
            def unused(self) -> None:
                input()
    """

    assert codes(checked(shop=text)) == expected_in(dedent(text))


def test_workflows_inside_functions_and_registered_by_a_call_are_found() -> None:
    text = """
        from perdure import Perdure
        def make():
            app = Perdure("memory://")
            @app.workflow
            async def inner() -> None:
                open("x")  # PDC007
            async def called() -> None:
                open("x")  # PDC007
            app.workflow(called)
            app.workflow(name="other")(outer)
        async def outer() -> None:
            open("x")  # PDC007
    """
    found = checked(shop=text)

    assert sorted(found.workflows) == ["called", "inner", "outer"]
    assert codes(found) == expected_in(dedent(text))


def test_star_imports_relative_imports_and_aliases_are_followed() -> None:
    text = """
        from perdure import Perdure
        from time import *
        from os import environ as settings
        import os.path as p
        import datetime
        clock = datetime.datetime
        app = Perdure("memory://")
        @app.workflow
        async def order() -> None:
            sleep(1)  # PDC007
            settings.get("A")  # PDC005
            p.exists("x")  # PDC007
            clock.now()  # PDC001
    """

    assert codes(checked(shop=text)) == expected_in(dedent(text))
