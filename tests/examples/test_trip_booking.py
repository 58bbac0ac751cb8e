"""Trip booking: all three bookings, or none that is left."""

import asyncio
from datetime import timedelta

import pytest

from examples.trip_booking import Trip, app, book_trip, bookings
from perdure import Handle, WorkflowCancelled, WorkflowFailed
from tests.examples import scripts

CANCELLED = {"trip/car": "cancelled", "trip/hotel": "cancelled", "trip/flight": "cancelled"}


async def scheduled(handle: Handle[list[str]]) -> list[str]:
    """The activities that a run asked for, in order."""
    events = await handle.history()
    return [event.attributes["activity"] for event in events if event.type == "ActivityTaskScheduled"]


async def test_a_trip_is_booked() -> None:
    async with app:
        handle = await app.start(book_trip, Trip("Lisbon"), id="trip")

        assert await handle.result() == ["trip/car", "trip/hotel", "trip/flight"]

    assert set(bookings().values()) == {"booked"}


async def test_where_one_booking_fails_the_others_are_cancelled_in_reverse() -> None:
    async with app:
        handle = await app.start(book_trip, Trip("Atlantis"), id="trip")

        with pytest.raises(WorkflowFailed, match="no flight goes to Atlantis"):
            await handle.result()

        assert (await scheduled(handle))[3:] == ["cancel_flight", "cancel_hotel", "cancel_car"]

    assert bookings() == CANCELLED


async def test_where_the_time_is_over_everything_is_cancelled() -> None:
    async with app:
        handle = await app.start(book_trip, Trip("Shangri-La", patience=timedelta(seconds=1)), id="trip")

        with pytest.raises(WorkflowFailed, match="TimeoutError"):
            await handle.result()

    assert bookings() == CANCELLED


async def test_a_traveller_who_cancels_gets_everything_cancelled() -> None:
    async with app:
        handle = await app.start(book_trip, Trip("Shangri-La"), id="trip")
        while "book_flight" not in await scheduled(handle):  # the run is elsewhere
            await asyncio.sleep(0.01)

        await handle.cancel("the traveller fell ill")

        with pytest.raises(WorkflowCancelled, match="the traveller fell ill"):
            await handle.result()

    assert bookings() == CANCELLED


def test_a_trip_whose_program_was_killed_is_still_cancelled_in_time() -> None:
    scripts.kill_at("booked the hotel", "trip_booking.py", "Shangri-La")
    assert set(bookings().values()) == {"booked"}

    printed = scripts.run("trip_booking.py", "Shangri-La")

    assert "not booked" in printed
    assert "booked the car" not in printed
    assert set(bookings().values()) == {"cancelled"}
