"""What listing and counting by filters promise: every store finds what the language says, in the order that it says."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.filter.evaluate import Facts, in_order
from perdure.core.filter.parser import parse_filter
from perdure.core.filter.tree import AttributeField, Filter, Order, SystemField
from perdure.core.ids import RunId, WorkflowId
from perdure.core.store import NewRun, Park, RunRecord, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import ANNA, NOW, birth, claim, hire, new_run, turn
from perdure.testing.filters import NAMES, some_attributes, some_filter, truth, written

FILTERS_COUNT = 400
RUNS_COUNT = 40


async def populate(store: Store, random: Random, count: int = RUNS_COUNT) -> Sequence[RunRecord]:
    """Runs of all states with attributes of all kinds; their records as the store has them."""
    await hire(store, ANNA)
    runs = [some_run(random, number) for number in range(count)]
    await store.create([run for run in runs if run.created_at_ms % 2])
    await store.commit(ANNA, [birth(run) for run in runs if not run.created_at_ms % 2])
    await claim(store, ANNA)
    for run in runs:
        turns_count = 0 if run.created_at_ms % 2 else 1
        for number in range(turns_count + 1, turns_count + random.randint(1, 3)):
            await store.commit(ANNA, [turn(run, number, attributes=some_attributes(random))])
            turns_count = number
        fate = random.choice([None, None, "park", *RunStatus])
        if fate == "park":
            await store.park(ANNA, [Park(run.run_id, turns_count, b"why")])
        elif isinstance(fate, RunStatus) and fate is not RunStatus.RUNNING:
            at_ms = run.created_at_ms + random.choice((0, 250, 500, 1_000, 1_001))
            await store.commit(ANNA, [turn(run, turns_count + 1, closes=fate, keep=False, at_ms=at_ms)])
    return await store.read_runs([run.run_id for run in runs])


def some_run(random: Random, number: int) -> NewRun:
    """A run whose fields are few different ones."""
    return new_run(
        number,
        workflow_id=WorkflowId(f"{random.choice(('order', 'order-', 'örder', 'w', '%'))}{number}"),
        workflow_type=random.choice(("order", "refund", "Order")),
        queue=random.choice(("main", "other")),
        created_at_ms=NOW + random.choice((0, 1, 2, 500, 1_000)),
        parent_run_id=random.choice((None, new_run(0).run_id, RunId("gone"))),
        attributes=some_attributes(random),
    )


def some_order(random: Random) -> tuple[Order, ...]:
    """Up to three keys."""
    fields = [*SystemField, *[AttributeField(name.strip("`")) for name in NAMES]]
    return tuple(Order(field, random.random() < 0.5) for field in random.sample(fields, random.randint(1, 3)))


@certifies
class TestListing:
    """Filters choose, orders order, pages follow each other."""

    async def test_any_filter_finds_what_the_language_says(self, store: Store) -> None:
        random = Random(1)
        records = await populate(store, random)
        found_some = found_all = 0

        for _ in range(FILTERS_COUNT):
            said = some_filter(random, records)
            text = written(said)
            where = parse_filter(text)
            expected = [record for record in records if truth(said, record) is True]

            found = await store.list_runs(where, len(records))
            counts = await store.count_runs(where)

            newest = sorted((record.run_id for record in expected), reverse=True)
            assert [record.run_id for record in found] == newest, text
            assert dict(counts) == dict(Counter(record.status for record in expected)), text
            found_some += bool(expected)
            found_all += len(expected) == len(records)

        assert found_some > FILTERS_COUNT / 4
        assert found_all < FILTERS_COUNT / 4

    async def test_any_order_is_kept_from_page_to_page(self, store: Store) -> None:
        random = Random(2)
        records = await populate(store, random)

        for _ in range(60):
            said = some_filter(random, records)
            where = Filter(parse_filter(written(said)).where, some_order(random))
            expected = [Facts.of(record) for record in records if truth(said, record) is True]

            found: list[RunId] = []
            while page := await store.list_runs(where, 7, found[-1] if found else None):
                found += [record.run_id for record in page]

            assert found == [facts.record.run_id for facts in in_order(expected, where.order)], (written(said), where)

    async def test_those_without_the_value_come_last_in_both_directions(self, store: Store) -> None:
        def run(number: int, value: str | float | tuple[str, ...] | None, kind: AttributeKind) -> NewRun:
            return new_run(number, attributes=(Attribute("A", kind, value),))

        runs = [
            run(1, None, AttributeKind.KEYWORD),
            run(2, "a", AttributeKind.KEYWORD),
            run(3, 5, AttributeKind.INT),
            run(4, ("a",), AttributeKind.KEYWORD_LIST),
            run(5, 4.5, AttributeKind.DOUBLE),
            run(6, "a", AttributeKind.TEXT),
            run(7, "a", AttributeKind.KEYWORD),
        ]
        await store.create(runs)

        async def numbers(text: str) -> list[int]:
            return [int(found.run_id[-4:]) for found in await store.list_runs(parse_filter(text), 10)]

        assert await numbers("order by A") == [5, 3, 7, 2, 6, 4, 1]
        assert await numbers("order by A desc") == [7, 2, 3, 5, 6, 4, 1]

    async def test_a_page_begins_after_a_run_that_no_longer_fits(self, store: Store) -> None:
        runs = [new_run(number, attributes=(Attribute("A", AttributeKind.INT, number),)) for number in range(4)]
        await hire(store, ANNA)
        await store.create(runs)
        await store.commit(None, [turn(runs[1], 1, closes=RunStatus.COMPLETED, keep=False)])

        async def after(text: str, run_id: RunId) -> list[RunId]:
            return [found.run_id for found in await store.list_runs(parse_filter(text), 10, run_id)]

        running = "ExecutionStatus = 'Running'"
        assert await after(running, runs[1].run_id) == [runs[0].run_id]
        assert await after(f"{running} order by A", runs[1].run_id) == [runs[2].run_id, runs[3].run_id]
        assert await after(running, RunId("02")) == [run.run_id for run in (runs[3], runs[2], runs[0])]
        assert await after(f"{running} order by A", RunId("02")) == []

    async def test_a_list_has_each_run_once(self, store: Store) -> None:
        tags = Attribute("A", AttributeKind.KEYWORD_LIST, ("a", "b", "a"))
        await store.create([new_run(1, attributes=(tags,))])

        for text in ("A in ('a', 'b')", "A = 'a' or A = 'b'", "A > ''", "A starts_with ''", "A is not null"):
            assert len(await store.list_runs(parse_filter(text), 10)) == 1, text
            assert sum((await store.count_runs(parse_filter(text))).values()) == 1, text

    async def test_the_largest_filters_are_answered(self, store: Store) -> None:
        await store.create([new_run(1, attributes=(Attribute("A", AttributeKind.TEXT, "one two three"),))])
        values = ", ".join(f"'{number} two'" for number in range(999))
        deep = "(not " * 24 + "A = 'one'" + ")" * 24
        texts = (
            f"A in ({values}, 'three one')",
            f"not A not in ({values}, 'three one')",
            " or ".join(["A = 'x'"] * 99 + ["A = 'one'"]),
            "(" + " and ".join(["A = 'one'"] * 100) + ") order by A, B, A desc, C, StartTime",
            deep,
        )

        for text in texts:
            assert len(await store.list_runs(parse_filter(text), 10)) == 1, text[:60]
            assert len(await store.list_runs(parse_filter(text), 10, RunId("02"))) == ("order" not in text)

    async def test_prefixes_end_where_characters_end(self, store: Store) -> None:
        ends = ("", "\ud7ff", "\ue000", "\U0010ffff", "\U0010ffff\U0010ffff", "z")
        runs = [new_run(number, workflow_id=WorkflowId(f"x{end}y")) for number, end in enumerate(ends)]
        await store.create(runs)

        for end in ends:
            found = await store.list_runs(parse_filter(f"WorkflowId starts_with 'x{end}'"), 10)
            expected = {run.workflow_id for run in runs if run.workflow_id.startswith(f"x{end}")}
            assert {record.workflow_id for record in found} == expected
