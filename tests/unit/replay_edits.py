"""Edits of the workflows in `replay_shop`, each with what a replay of a history from before must say."""

from typing import NamedTuple


class Edit(NamedTuple):
    """A change of the source, and what a replay must say of it."""

    workflow: str
    old: str
    new: str
    recorded: str
    asked: str
    line: str
    """Part of the one line of the new source that is at fault."""


NOTHING = "nothing more"
EDITS = {
    "an activity is added at the start": Edit(
        "order", "found = [await reserve(item)]", "await charge(0)\n    found = [await reserve(item)]",
        "activity 'reserve' (call 1)", "activity 'charge' (call 1)", "await charge(0)",
    ),
    "an activity is added in the middle": Edit(
        "order", "await asyncio.sleep(60)", "await ship('extra')\n    await asyncio.sleep(60)",
        "a timer (call 3)", "activity 'ship' (call 3)", "await ship('extra')",
    ),
    "an activity is added at the end": Edit(
        "order", "    return found", "    await charge(3)\n    return found",
        "the run's completion", "activity 'charge' (call 11)", "await charge(3)",
    ),
    "an activity is removed": Edit(
        "order", "found.append(await charge(cents))", "pass",
        "activity 'charge' (call 2)", "a timer (call 2)", "asyncio.sleep(60)",
    ),
    "an activity is renamed": Edit(
        "order", "@app.activity\nasync def ship(", '@app.activity(name="send")\nasync def ship(',
        "activity 'ship' (call 6)", "activity 'send' (call 6)", "return await ship(text)",
    ),
    "two activities change places": Edit(
        "order", "found = [await reserve(item)]\n    if cents > 100:\n        found.append(await charge(cents))",
        "found = [await charge(cents)]\n    if cents > 100:\n        found.append(await reserve(item))",
        "activity 'reserve' (call 1)", "activity 'charge' (call 1)", "found = [await charge(cents)]",
    ),
    "an activity becomes another": Edit(
        "order", "found.append(await charge(cents))", "found.append(await ship(item))",
        "activity 'charge' (call 2)", "activity 'ship' (call 2)", "found.append(await ship(item))",
    ),
    "a helper asks for another activity": Edit(
        "order", "return await ship(text)", "return await reserve(text)",
        "activity 'ship' (call 6)", "activity 'reserve' (call 6)", "return await reserve(text)",
    ),
    "a timer is added": Edit(
        "order", "    mark = ", "    await asyncio.sleep(1)\n    mark = ",
        "a side effect (call 4)", "a timer (call 4)", "await asyncio.sleep(1)\n    mark",
    ),
    "a timer is removed": Edit(
        "order", "await asyncio.sleep(60)", "pass",
        "a timer (call 3)", "a side effect (call 3)", "mark = workflow.side_effect",
    ),
    "a timer becomes an activity": Edit(
        "order", "await asyncio.sleep(60)", "await reserve('later')",
        "a timer (call 3)", "activity 'reserve' (call 3)", "await reserve('later')",
    ),
    "a sleep becomes nothing": Edit(
        "order", "await asyncio.sleep(60)", "await asyncio.sleep(0)",
        "a timer (call 3)", "a side effect (call 3)", "mark = workflow.side_effect",
    ),
    "a child is removed": Edit(
        "order",
        "child = await workflow.start_child(leaf, mark, id=\"order-leaf\")\n    found.append(str(await child))", "pass",
        "child workflow 'leaf' with id 'order-leaf' (call 7)", "activity 'ship' (call 7)", "sent = await ship(name)",
    ),
    "a child gets another id": Edit(
        "order", 'id="order-leaf"', 'id="order-twig"',
        "child workflow 'leaf' with id 'order-leaf' (call 7)", "child workflow 'leaf' with id 'order-twig' (call 7)",
        "workflow.start_child",
    ),
    "a child is of another type": Edit(
        "order", "workflow.start_child(leaf, mark,", "workflow.start_child(stubborn,",
        "child workflow 'leaf' with id 'order-leaf' (call 7)",
        "child workflow 'stubborn' with id 'order-leaf' (call 7)",
        "workflow.start_child",
    ),
    "a child is added": Edit(
        "order", "    try:\n        await flaky()", "    await leaf(3)\n    try:\n        await flaky()",
        "activity 'flaky' (call 5)", "child workflow 'leaf'", "await leaf(3)",
    ),
    "an awaited child is not awaited": Edit(
        "order", "found.append(str(await child))", "found.append('child')",
        NOTHING, "activity 'ship' (call 8)", "sent = await ship(name)",
    ),
    "a side effect is removed": Edit(
        "order", "workflow.side_effect(lambda: 7, result_type=int)", "7",
        "a side effect (call 4)", "activity 'flaky' (call 4)", "await flaky()",
    ),
    "a side effect is added": Edit(
        "order", "    found = [await reserve", "    workflow.side_effect(lambda: 1)\n    found = [await reserve",
        "activity 'reserve' (call 1)", "a side effect (call 1)", "workflow.side_effect(lambda: 1)",
    ),
    "a side effect becomes an activity": Edit(
        "order", "mark = workflow.side_effect(lambda: 7, result_type=int)", "mark = len(await charge(7))",
        "a side effect (call 4)", "activity 'charge' (call 4)", "mark = len(await charge(7))",
    ),
    "a side effect moves": Edit(
        "order",
        "    await asyncio.sleep(60)\n    mark = workflow.side_effect(lambda: 7, result_type=int)",
        "    mark = workflow.side_effect(lambda: 7, result_type=int)\n    await asyncio.sleep(60)",
        "a timer (call 3)", "a side effect (call 3)", "mark = workflow.side_effect",
    ),
    "a condition changes": Edit(
        "order", "if cents > 100", "if cents > 1_000",
        "activity 'charge' (call 2)", "a timer (call 2)", "asyncio.sleep(60)",
    ),
    "a condition is turned round": Edit(
        "approval", "if not again", "if again",
        "activity 'reserve' (call 4)", "the run's completion", "return title",
    ),
    "it returns early": Edit(
        "order", "    await asyncio.sleep(60)", "    if found:\n        return ['early']\n    await asyncio.sleep(60)",
        "a timer (call 3)", "the run's completion", "return ['early']",
    ),
    "it raises": Edit(
        "order", "    await asyncio.sleep(60)",
        "    if found:\n        raise LookupError('bug')\n    await asyncio.sleep(60)",
        "a timer (call 3)", "the run's failure (LookupError: bug)", "raise LookupError('bug')",
    ),
    "a failure is not caught any more": Edit(
        "order", "except ActivityError:", "except LookupError:",
        "activity 'ship' (call 6)", "the run's failure (ActivityError: activity 'flaky' failed", "await flaky()",
    ),
    "a failure is answered differently": Edit(
        "order", 'found.append(await notify("failed"))', "found.append(await charge(0))",
        "activity 'ship' (call 6)", "activity 'charge' (call 6)", "found.append(await charge(0))",
    ),
    "a loop turns once more": Edit(
        "order", '("a", "b", "c")', '("a", "b", "c", "d")',
        "the run's completion", "activity 'ship' (call 11)", "sent = await ship(name)",
    ),
    "a loop turns once less": Edit(
        "order", '("a", "b", "c")', '("a", "b")',
        "activity 'ship' (call 10)", "the run's completion", "return found",
    ),
    "a loop becomes a gather": Edit(
        "order", '    for name in ("a", "b", "c"):\n        sent = await ship(name)\n        found.append(sent)',
        '    found += await asyncio.gather(*[ship(name) for name in "abc"])',
        NOTHING, "activity 'ship' (call 9)", "asyncio.gather(*[ship(name)",
    ),
    "the members of a gather change places": Edit(
        "crowd", 'reserve("x"), charge(5), ship("y")', 'charge(5), reserve("x"), ship("y")',
        "activity 'reserve' (call 1)", "activity 'charge' (call 1)", "await asyncio.gather",
    ),
    "the last members of a gather change places": Edit(
        "crowd", 'reserve("x"), charge(5), ship("y")', 'reserve("x"), ship("y"), charge(5)',
        "activity 'charge' (call 2)", "activity 'ship' (call 2)", "await asyncio.gather",
    ),
    "a gather has one more member": Edit(
        "crowd", 'first, second, third = await asyncio.gather(reserve("x"), charge(5), ship("y"))',
        'first, second, third, _ = await asyncio.gather(reserve("x"), charge(5), ship("y"), ship("z"))',
        NOTHING, "activity 'ship' (call 4)", "await asyncio.gather",
    ),
    "a gather becomes a sequence": Edit(
        "crowd", 'await asyncio.gather(reserve("x"), charge(5), ship("y"))',
        'await reserve("x"), await charge(5), await ship("y")',
        "activity 'charge' (call 2)", NOTHING, 'await reserve("x")',
    ),
    "a task group has fewer members": Edit(
        "crowd", "for item in items]", "for item in items[1:]]",
        "activity 'reserve' (call 6)", NOTHING, "async with asyncio.TaskGroup",
    ),
    "a task is not started": Edit(
        "crowd", "asyncio.create_task(asyncio.sleep(3_600))", "asyncio.create_task(asyncio.sleep(0))",
        "a timer (call 7)", "activity 'charge' (call 7)", "await charge(1)",
    ),
    "a task is not cancelled": Edit(
        "crowd", "waiting.cancel()", "pass",
        "the cancellation of a timer (call 7)", NOTHING, "await charge(2)",
    ),
    "a task starts later": Edit(
        "crowd", "    await asyncio.sleep(0)\n    await charge(1)", "    await charge(1)\n    await asyncio.sleep(0)",
        "a timer (call 7)", "activity 'charge' (call 7)", "await charge(1)",
    ),
    "a deadline is removed": Edit(
        "crowd", "        async with asyncio.timeout(5):\n            await asyncio.sleep(10)",
        "        await asyncio.sleep(10)",
        "a timer (call 11)", NOTHING, "await asyncio.sleep(10)",
    ),
    "a deadline is not caught": Edit(
        "crowd", 'done.append(await ship("late"))', 'done.append("late")',
        "activity 'ship' (call 12)", "the run's completion", "return [first",
    ),
    "another signal is waited for": Edit(
        "approval", "    await ship(title)", '    await workflow.channel("go").receive()\n    await ship(title)',
        "activity 'ship' (call 1)", NOTHING, 'await workflow.channel("go").receive()',
    ),
    "a signal is not waited for": Edit(
        "approval", "    yes = await votes.receive()\n",
        "    yes = True\n    await workflow.channel('vote').receive()\n"
        "    await votes.receive()\n",
        "activity 'charge' (call 2)", NOTHING, "await votes.receive()\n    await charge",
    ),
    "a signal is received in another channel": Edit(
        "approval", 'workflow.channel("vote", bool)', 'workflow.channel("ballot", bool)',
        "activity 'charge' (call 2)", NOTHING, "yes = await votes.receive()",
    ),
    "a limit of waiting is removed": Edit(
        "approval", "asyncio.wait_for(votes.receive(), 30)", "votes.receive()",
        "a timer (call 3)", NOTHING, "again = await votes.receive()",
    ),
    "clean-up changes": Edit(
        "stubborn", '    finally:\n        await ship("cleaned")', '    finally:\n        await reserve("cleaned")',
        "activity 'ship' (call 2)", "activity 'reserve' (call 2)", 'await reserve("cleaned")',
    ),
    "clean-up is removed": Edit(
        "stubborn", '    finally:\n        await ship("cleaned")\n        await charge(9)',
        "    finally:\n        pass",
        "activity 'ship' (call 2)", "the run's cancellation", "",
    ),
    "cancellation is swallowed": Edit(
        "stubborn", "    finally:", "    except asyncio.CancelledError:",
        "the run's cancellation", "the run's completion", 'return "never"',
    ),
}  # fmt: skip
