"""What a store promises of search attributes: they are kept exactly, and change with the turns that change them."""

from perdure.core.attributes import Attribute, AttributeKind
from perdure.core.ids import RunId
from perdure.core.rows import RunStatus
from perdure.core.store import Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    birth,
    child,
    claim,
    hire,
    new_run,
    record_of,
    turn,
)

ALL_KINDS = (
    Attribute("a", AttributeKind.KEYWORD, "it's"),
    Attribute("b", AttributeKind.TEXT, "Two words, TWO words"),
    Attribute("c", AttributeKind.TEXT, "!?"),
    Attribute("d", AttributeKind.INT, 2**63 - 1),
    Attribute("e", AttributeKind.INT, -(2**63)),
    Attribute("f", AttributeKind.DOUBLE, 0.1 + 0.2),
    Attribute("g", AttributeKind.DOUBLE, 5.0),
    Attribute("h", AttributeKind.BOOL, True),
    Attribute("i", AttributeKind.BOOL, False),
    Attribute("j", AttributeKind.DATETIME, 1_700_000_000_123_456_789),
    Attribute("k", AttributeKind.KEYWORD_LIST, ("b", "a", "b")),
    Attribute("l", AttributeKind.KEYWORD, ""),
    Attribute("ü `l'", AttributeKind.KEYWORD, "\U0001f600"),
)
KEYWORD = AttributeKind.KEYWORD


@certifies
class TestAttributes:
    """Search attributes are kept exactly, in the order of their names."""

    async def test_a_run_is_created_with_attributes_of_every_kind(self, store: Store) -> None:
        waiting = new_run(1, attributes=ALL_KINDS[::-1])
        at_once = new_run(2, attributes=ALL_KINDS)
        plain = new_run(3)
        await hire(store, ANNA)

        await store.create([waiting, plain])
        await store.commit(ANNA, [birth(at_once)])

        for run in (waiting, at_once):
            assert (await record_of(store, run)).attributes == ALL_KINDS
            types = [type(each.value) for each in (await record_of(store, run)).attributes]
            assert types == [type(each.value) for each in ALL_KINDS]
        assert (await record_of(store, plain)).attributes == ()

    async def test_a_claimed_run_has_its_attributes(self, store: Store) -> None:
        await hire(store, ANNA)
        await store.create([new_run(1, attributes=ALL_KINDS), new_run(2)])

        claimed = await claim(store, ANNA)

        assert [found.run.attributes for found in claimed.runs] == [ALL_KINDS, ()]

    async def test_a_turn_adds_replaces_and_takes_away(self, store: Store) -> None:
        run = new_run(1, attributes=(Attribute("a", KEYWORD, "1"), Attribute("b", KEYWORD, "1")))
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        changes = (
            Attribute("b", KEYWORD, None),
            Attribute("a", AttributeKind.KEYWORD_LIST, ("2", "3")),
            Attribute("c", KEYWORD, "gone at once"),
            Attribute("c", KEYWORD, None),
            Attribute("d", KEYWORD, "first"),
            Attribute("d", AttributeKind.INT, 4),
            Attribute("unknown", KEYWORD, None),
        )
        await store.commit(ANNA, [turn(run, 2, attributes=changes)])

        expected = (Attribute("a", AttributeKind.KEYWORD_LIST, ("2", "3")), Attribute("d", AttributeKind.INT, 4))
        assert (await record_of(store, run)).attributes == expected

    async def test_the_first_and_the_last_turn_change_attributes_too(self, store: Store) -> None:
        run = new_run(1, attributes=(Attribute("a", KEYWORD, "1"),))
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, attributes=(Attribute("a", KEYWORD, "2"),))])
        first = (await record_of(store, run)).attributes
        last = (Attribute("a", KEYWORD, "3"),)
        await store.commit(ANNA, [turn(run, 2, closes=RunStatus.COMPLETED, keep=False, attributes=last)])

        assert first == (Attribute("a", KEYWORD, "2"),)
        assert (await record_of(store, run)).attributes == last

    async def test_a_refused_commit_changes_none(self, store: Store) -> None:
        run = new_run(1, attributes=(Attribute("a", KEYWORD, "1"),))
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run)])

        refused = await store.commit(ANNA, [turn(run, 3, attributes=(Attribute("a", KEYWORD, "2"),))])
        again = await store.create([new_run(1, run_id=RunId("other"), attributes=(Attribute("a", KEYWORD, "3"),))])

        assert refused == {run.run_id}
        assert not again[0].fresh
        assert (await record_of(store, run)).attributes == (Attribute("a", KEYWORD, "1"),)

    async def test_children_and_successors_have_their_own(self, store: Store) -> None:
        run = new_run(1, attributes=(Attribute("a", KEYWORD, "parent"),))
        born = new_run(2, attributes=(Attribute("a", KEYWORD, "child"),))
        after = new_run(3, workflow_id=run.workflow_id, attributes=(Attribute("a", KEYWORD, "next"),))
        await hire(store, ANNA)

        await store.commit(ANNA, [birth(run, children=(child(run, born),))])
        await store.commit(ANNA, [turn(run, 2, closes=RunStatus.CONTINUED_AS_NEW, keep=False, next=after)])

        found = [(await record_of(store, each)).attributes[0].value for each in (run, born, after)]
        assert found == ["parent", "child", "next"]

    async def test_what_was_deleted_leaves_none_to_a_run_that_comes_after(self, store: Store) -> None:
        run = new_run(1, attributes=ALL_KINDS)
        await hire(store, ANNA)
        await store.commit(ANNA, [birth(run, closes=RunStatus.COMPLETED, keep=False)])

        assert await store.delete([run.run_id]) == 1
        await store.create([new_run(1)])

        assert (await record_of(store, run)).attributes == ()
