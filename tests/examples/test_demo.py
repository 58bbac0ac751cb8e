"""The demo: it ends well, and it would not if the promise were broken."""

import time
from pathlib import Path

from examples import demo
from tests.examples import scripts

DEMO_S_MAX = 15


def test_the_demo_ends_well_and_soon() -> None:
    started = time.monotonic()

    printed = scripts.run("demo.py")

    assert "== Kept:" in printed
    assert printed.count("SIGKILL") == 2
    assert time.monotonic() - started < DEMO_S_MAX


def test_the_demo_notices_a_step_that_ran_twice_a_wrong_result_and_an_early_timer() -> None:
    Path("effects.txt").write_text("1\n2\n2\n3\n3\n4\n5\n6\n")

    assert demo.verdict("cost 1", early=True) == [
        "step 2 ran 2 times",
        "the result is 'cost 1', not 'cost 1111110'",
        "the workflow woke up too early",
    ]


def test_the_demo_is_content_with_what_should_be() -> None:
    Path("effects.txt").write_text("1\n2\n3\n3\n4\n5\n6\n")

    assert demo.verdict("cost 1111110", early=False) == []
