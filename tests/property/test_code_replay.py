"""Random workflows under random orders of messages replay identically."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.ids import WorkflowId
from perdure.engine.recorded import parse_histories, recorded_history, replay
from tests.property.random_programs import PROGRAMS, Interpreter, Node, echo, play
from tests.unit.code_driver import RUN_ID, Driver


@settings(max_examples=150, deadline=None)
@given(program=PROGRAMS, data=st.data())
def test_every_history_replays_identically(program: Node, data: st.DataObject) -> None:
    async def flow() -> Any:
        return await Interpreter().run(program)

    driver = Driver(flow, echo)
    play(driver, data)
    driver.run.close()


@settings(max_examples=500, deadline=None)
@given(program=PROGRAMS, data=st.data())
def test_no_history_of_unchanged_code_is_a_false_alarm(program: Node, data: st.DataObject) -> None:
    async def flow() -> Any:
        return await Interpreter().run(program)

    driver = Driver(flow, echo, recalls=False)
    play(driver, data)
    driver.run.close()
    document = msgspec.json.encode(recorded_history("flow", WorkflowId("w-1"), RUN_ID, driver.turns, "this test"))

    (history,) = parse_histories(document, "drawn.json")

    assert replay(history, driver.program).mismatch is None
