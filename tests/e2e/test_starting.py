"""Starting runs: policies, delays, deadlines, retries of whole workflows, cron, and signals that come with a start."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from perdure import (
    AlreadyRunning,
    ApplicationError,
    ChildWorkflowError,
    IdConflict,
    IdReuse,
    Perdure,
    RetryPolicy,
    RunStatus,
    SearchKey,
    Signal,
    WorkflowFailed,
    WorkflowIdUsed,
    WorkflowTerminated,
    WorkflowTimedOut,
    workflow,
)
from perdure.core.errors import InvalidOption
from perdure.testing import TestEnvironment

WORD = Signal("word", str)


def waiting_app(url: str) -> tuple[Perdure, "workflow.Signal[str]"]:
    """An app with a workflow that returns the word that it is sent."""
    app = Perdure(url)

    @app.workflow
    async def echo() -> str:
        word = await workflow.channel(WORD).receive()
        if word == "fail":
            raise ApplicationError("as it was told")
        return word

    return app, WORD


async def finished(app: Perdure, id: str, word: str) -> None:
    """Start `echo` under an id and let it end."""
    handle = await app.start_by_name("echo", id=id)
    await handle.signal(WORD, word)
    try:
        await handle.result()
    except WorkflowFailed:
        assert word == "fail"


@pytest.mark.parametrize(
    ("word", "policy", "refused"),
    [
        ("done", IdReuse.ALLOW_DUPLICATE, False),
        ("done", IdReuse.ALLOW_DUPLICATE_FAILED_ONLY, True),
        ("fail", IdReuse.ALLOW_DUPLICATE_FAILED_ONLY, False),
        ("done", IdReuse.REJECT_DUPLICATE, True),
        ("fail", IdReuse.REJECT_DUPLICATE, True),
    ],
)
async def test_a_used_id_is_free_or_not_by_the_reuse_policy(
    url: str, word: str, policy: IdReuse, *, refused: bool
) -> None:
    app, _ = waiting_app(url)
    async with app:
        await finished(app, "w", word)

        if refused:
            with pytest.raises(WorkflowIdUsed):
                await app.start_by_name("echo", id="w", id_reuse=policy)
        else:
            handle = await app.start_by_name("echo", id="w", id_reuse=policy)
            assert (await handle.describe()).run.status is RunStatus.RUNNING


async def test_an_open_run_is_refused_used_or_ended_by_the_conflict_policy(url: str) -> None:
    app, _ = waiting_app(url)
    async with app:
        first = await app.start_by_name("echo", id="w")

        with pytest.raises(AlreadyRunning):
            await app.start_by_name("echo", id="w")
        same = await app.start_by_name("echo", id="w", id_conflict=IdConflict.USE_EXISTING)
        other = await app.start_by_name("echo", id="w", id_conflict=IdConflict.TERMINATE_EXISTING)
        third = await app.start_by_name("echo", id="w", id_reuse=IdReuse.TERMINATE_IF_RUNNING)

        assert same.run_id == first.run_id
        for ended in (first, other):
            with pytest.raises(WorkflowTerminated):
                await ended.result()
        assert len({first.run_id, other.run_id, third.run_id}) == 3
        assert (await third.describe()).run.status is RunStatus.RUNNING


async def test_a_signal_comes_with_the_start_or_to_the_open_run(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def two_words(first: str) -> list[str]:
        words = workflow.channel(WORD)
        return [first, await words.receive(), await words.receive()]

    async with app:
        started = await app.signal_with_start(WORD, "a", two_words, "x", id="w")
        joined = await app.signal_with_start(WORD, "b", two_words, "y", id="w")

        assert joined.run_id == started.run_id
        assert await started.result() == ["x", "a", "b"]


async def test_a_signal_with_start_under_one_request_id_counts_once(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def count() -> int:
        words = workflow.channel(WORD)
        await asyncio.sleep(0.2)
        return len(words)

    async with app:
        handles = [await app.signal_with_start(WORD, "a", count, id="w", request_id="r") for _ in range(3)]

        assert {await handle.result() for handle in handles} == {1}
        assert len({handle.run_id for handle in handles}) == 1


async def test_a_delayed_run_begins_later_and_takes_what_came_before(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def began() -> tuple[datetime, str]:
        return workflow.now(), workflow.channel(WORD).receive_nowait()

    async with TestEnvironment(app, store=url) as env:
        asked_at = env.now
        handle = await app.start(began, delay="30d")
        await handle.signal(WORD, "early")

        began_at, word = await handle.result()

        assert began_at - asked_at == timedelta(days=30)
        assert word == "early"


async def test_a_failed_workflow_is_tried_again_as_a_new_run_of_its_chain(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def third_time(word: str) -> list[object]:
        info = workflow.info()
        if info.attempt < 3:
            raise ApplicationError(f"not yet, {word}")
        failure = workflow.last_failure()
        return [word, info.attempt, str(failure), info.first_run_id, info.previous_run_id == info.run_id]

    async with TestEnvironment(app, store=url) as env:
        asked_at = env.now
        handle = await app.start(
            third_time, "sir", id="w", retry=RetryPolicy(initial_interval="1h", maximum_interval="5h")
        )

        found = await handle.result()

        assert found == ["sir", 3, "not yet, sir", handle.run_id, False]
        assert env.now - asked_at == timedelta(hours=3)
        runs = await app.list()
        assert [run.status for run in runs] == [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.FAILED]


async def test_a_workflow_is_not_tried_again_beyond_its_policy(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def never(kind: str) -> None:
        raise ApplicationError("no", type=kind, retryable=kind != "Final")

    policy = RetryPolicy(initial_interval="1s", maximum_attempts=2, non_retryable=["Fatal"])
    async with TestEnvironment(app, store=url):
        for kind, runs_count in (("Plain", 2), ("Fatal", 1), ("Final", 1)):
            handle = await app.start(never, kind, id=kind, retry=policy)
            with pytest.raises(WorkflowFailed):
                await handle.result()
            assert len(await app.list(id_prefix=kind)) == runs_count


async def test_a_run_that_takes_too_long_is_closed_as_timed_out(url: str) -> None:
    app = Perdure(url)
    cleaned: list[str] = []

    @app.activity
    async def clean() -> None:
        cleaned.append("a run that timed out asks for nothing more")

    @app.workflow
    async def slow() -> None:
        try:
            await asyncio.sleep(3 * 3600)
        finally:
            await clean()

    async with TestEnvironment(app, store=url) as env:
        asked_at = env.now
        handle = await app.start(slow, run_timeout="2h")

        with pytest.raises(WorkflowTimedOut, match="run"):
            await handle.result()

        assert env.now - asked_at == timedelta(hours=2)
        assert (await handle.describe()).run.status is RunStatus.TIMED_OUT
        assert cleaned == []
        assert (await handle.history())[-1].type == "WorkflowExecutionTimedOut"


async def test_the_execution_timeout_ends_all_tries_together(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def slow() -> None:
        await asyncio.sleep(3600)

    async with TestEnvironment(app, store=url) as env:
        asked_at = env.now
        handle = await app.start(
            slow, run_timeout="30m", execution_timeout="100m", retry=RetryPolicy(initial_interval="1m", coefficient=1.0)
        )

        with pytest.raises(WorkflowTimedOut, match="execution"):
            await handle.result()

        assert env.now - asked_at == timedelta(minutes=100)
        assert len(await app.list()) == 4


async def test_a_run_whose_time_was_over_before_anybody_took_it_never_runs(url: str) -> None:
    app = Perdure(url)
    ran: list[str] = []

    @app.workflow
    async def late() -> None:
        ran.append("code")

    async with TestEnvironment(app, store=url) as env:
        await env.crash(restart=False)
        handle = await app.start(late, run_timeout="1m")
        await env.sleep("2m")
        await env.start_worker()

        with pytest.raises(WorkflowTimedOut):
            await handle.result()

        assert ran == []


async def test_a_cron_workflow_runs_at_its_moments_and_knows_what_the_last_one_returned(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def count() -> int:
        # Longer than an hour once: the moment in between is left out.
        number = (workflow.last_result(int) or 0) + 1
        await asyncio.sleep(5400 if number == 2 else 60)
        return number

    async with TestEnvironment(app, store=url, start=datetime(2026, 3, 1, 9, 30, tzinfo=UTC)) as env:
        handle = await app.start(count, id="w", cron="0 * * * *")
        await env.sleep("6h")
        await handle.cancel("enough")

        runs = list(reversed(await app.list()))
        began = [(await app.handle("w", run_id=run.run_id).describe()).run.started_at for run in runs]
        closed = [run.closed_at for run in runs[:-1]]
        assert [at.hour * 60 + at.minute for at in closed if at is not None] == [601, 750, 781, 841, 901]
        assert runs[-1].status is RunStatus.RUNNING
        assert began == sorted(began)


async def test_a_cron_workflow_goes_on_after_a_failure(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    async def sometimes() -> str:
        if workflow.last_failure() is None:
            raise ApplicationError("the first time")
        return str(workflow.last_failure())

    async with TestEnvironment(app, store=url) as env:
        await app.start(sometimes, id="w", cron="0 0 * * *")
        await env.sleep("2d")

        runs = list(reversed(await app.list()))
        assert [run.status for run in runs] == [RunStatus.FAILED, RunStatus.COMPLETED, RunStatus.RUNNING]


async def test_a_memo_is_seen_without_the_history(url: str) -> None:
    app, _ = waiting_app(url)
    async with app:
        handle = await app.start_by_name("echo", memo={"who": "ada", "cents": 4200})

        record = await app.call(lambda engine: engine.find(handle.workflow_id))

        assert record.note is not None
        assert b"ada" in record.note


@pytest.mark.parametrize(
    "options",
    [
        {"delay": "soon"},
        {"delay": -1},
        {"id_reuse": "maybe"},
        {"id_conflict": 3},
        {"run_timeout": 0},
        {"execution_timeout": "no"},
        {"colour": "red"},
    ],
)
async def test_a_bad_option_starts_nothing(url: str, options: dict[str, object]) -> None:
    app, _ = waiting_app(url)
    async with app:
        with pytest.raises(InvalidOption):
            await app.start_by_name("echo", **options)  # type: ignore[arg-type]

        assert await app.list() == []


async def test_a_run_is_found_by_what_its_start_says_of_it(url: str) -> None:
    app, _ = waiting_app(url)
    customer, cents = SearchKey.keyword("CustomerId"), SearchKey.int("Cents")
    async with app:
        for number in range(3):
            attributes = [customer.set(f"c-{number}"), cents.set(100 * number)]
            await app.start_by_name("echo", id=f"w{number}", search_attributes=attributes)

        found = await app.list("CustomerId = 'c-1' or Cents >= 200 order by Cents asc")

        assert [run.workflow_id for run in found] == ["w1", "w2"]
        assert customer.value_in(found[0].search_attributes) == "c-1"


async def test_a_child_takes_the_options_of_a_run(url: str) -> None:
    app = Perdure(url)
    owner = SearchKey.keyword("Owner")

    @app.workflow
    async def child() -> int:
        if workflow.info().attempt < 3:
            raise ApplicationError("not yet")
        return workflow.info().attempt

    @app.workflow
    async def slow() -> None:
        await asyncio.sleep(7200)

    @app.workflow
    async def parent() -> list[object]:
        third = await workflow.start_child(
            child,
            id="child",
            retry=RetryPolicy(initial_interval="1m"),
            memo={"a": 1},
            search_attributes=[owner.set("ada")],
        )
        found: list[object] = [await third]
        try:
            await (await workflow.start_child(slow, run_timeout="1h"))
        except ChildWorkflowError as error:
            found.append(error.type)
        return found

    async with TestEnvironment(app, store=url):
        handle = await app.start(parent)

        assert await handle.result() == [3, "TimeoutError"]
        assert [run.workflow_id for run in await app.list("Owner = 'ada'")] == ["child"] * 3


async def test_an_update_comes_with_the_start_or_to_the_open_run(url: str) -> None:
    app = Perdure(url)

    @app.workflow
    class Counter:
        """Counts until it is told to end."""

        def __init__(self) -> None:
            self.total = 0

        @workflow.run
        async def run(self) -> int:
            await workflow.channel(WORD).receive()
            return self.total

        @workflow.update
        async def add(self, number: int) -> int:
            self.total += number
            return self.total

    async with app:
        first = await app.update_with_start(Counter.add, (5,), Counter.run, id="w", request_id="r1")
        again = await app.update_with_start(Counter.add, (5,), Counter.run, id="w", request_id="r1")
        other = await app.update_with_start(Counter.add, (2,), Counter.run, id="w")

        assert (first, again, other) == (5, 5, 7)
        handle = app.handle("w", Counter.run)
        await handle.signal(WORD, "end")
        assert await handle.result() == 7
        assert len(await app.list()) == 1
