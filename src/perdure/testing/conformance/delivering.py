"""What `deliver` promises."""

from perdure.core.ids import RunId
from perdure.core.store import Delivery, Park, RunStatus, Store
from perdure.testing.conformance.runner import certifies
from perdure.testing.conformance.samples import (
    ANNA,
    NOW,
    claim,
    hire,
    inbox_of,
    message,
    new_run,
    record_of,
    run_ids,
    turn,
)


@certifies
class TestDelivering:
    """A message is in the inbox once, or nowhere."""

    async def test_a_message_waits_in_the_inbox_of_an_open_run(self, store: Store) -> None:
        run = new_run()
        await store.create([run])

        delivered = await store.deliver([message(run, "s1", data=b"\x00\xff", visible_at_ms=NOW + 5)])

        assert list(delivered) == [True]
        _, found = (await store.read_waiting(run.run_id)).messages
        assert (found.message_id, found.visible_at_ms, found.data) == ("s1", NOW + 5, b"\x00\xff")

    async def test_a_message_for_nobody_is_refused(self, store: Store) -> None:
        closed = new_run()
        await store.create([closed])
        await store.commit(None, [turn(closed, 1, closes=RunStatus.COMPLETED)])

        delivered = await store.deliver([message(closed), Delivery(RunId("unknown"), "m", b"", NOW)])

        assert list(delivered) == [False, False]
        assert await inbox_of(store, closed) == []

    async def test_a_message_that_waits_already_is_dropped(self, store: Store) -> None:
        run = new_run()
        await store.create([run])
        await store.deliver([message(run, "s1", data=b"first", visible_at_ms=NOW + 100)])

        again = message(run, "s1", data=b"second")
        delivered = await store.deliver([again, again])

        assert list(delivered) == [True, True]
        _, kept = (await store.read_waiting(run.run_id)).messages
        assert (kept.data, kept.visible_at_ms) == (b"first", NOW + 100)

    async def test_a_message_twice_in_one_batch_is_kept_once(self, store: Store) -> None:
        run = new_run()
        await store.create([run])

        delivered = await store.deliver([message(run, "s1"), message(run, "s2"), message(run, "s1", data=b"late")])

        assert list(delivered) == [True, True, True]
        assert await inbox_of(store, run) == ["start", "s1", "s2"]

    async def test_equal_ids_in_two_inboxes_are_strangers(self, store: Store) -> None:
        one, other = new_run(1), new_run(2)
        await store.create([one, other])

        await store.deliver([message(one, "s1"), message(other, "s1")])

        assert await inbox_of(store, one) == ["start", "s1"]
        assert await inbox_of(store, other) == ["start", "s1"]

    async def test_messages_are_handed_out_by_moment_then_by_arrival(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "late", visible_at_ms=NOW + 2), message(run, "z"), message(run, "b")])
        await store.deliver([message(run, "a"), message(run, "early", visible_at_ms=NOW - 1)])

        claimed = await claim(store, ANNA, now_ms=NOW + 2)

        assert claimed.runs[0].messages == (b"early", b"start", b"z", b"b", b"a", b"late")

    async def test_an_invisible_message_is_not_handed_out(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "later", visible_at_ms=NOW + 1)])

        claimed = await claim(store, ANNA)

        assert claimed.runs[0].messages == (b"start",)
        assert claimed.next_due_at_ms == NOW + 1

    async def test_a_message_can_unpark_its_run(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await claim(store, ANNA)
        await store.park(ANNA, [Park(run.run_id, 0, b"why")])

        await store.deliver([message(run, "r1", unparks=True)])

        assert (await record_of(store, run)).parked is None
        assert run_ids(await claim(store, ANNA)) == [run.run_id]

    async def test_an_unparking_message_that_waits_already_does_nothing_again(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])
        await store.deliver([message(run, "r1", unparks=True)])
        await claim(store, ANNA)
        await store.park(ANNA, [Park(run.run_id, 0, b"why", seen=("r1",))])

        await store.deliver([message(run, "r1", unparks=True)])

        assert (await record_of(store, run)).parked == b"why"

    async def test_thousands_of_messages_for_one_run(self, store: Store) -> None:
        run = new_run()
        await hire(store, ANNA)
        await store.create([run])

        delivered = await store.deliver([message(run, f"s{number}") for number in range(3_000)])

        assert all(delivered)
        claimed = await claim(store, ANNA)
        assert claimed.runs[0].messages == (b"start", *(b"s%d" % number for number in range(3_000)))

    async def test_a_large_message_comes_back_whole(self, store: Store) -> None:
        run, data = new_run(), bytes(range(256)) * 8_192
        await hire(store, ANNA)
        await store.create([run])

        await store.deliver([message(run, f"s{number}", data=data) for number in range(20)])

        claimed = await claim(store, ANNA)
        assert claimed.runs[0].messages[1:] == (data,) * 20
