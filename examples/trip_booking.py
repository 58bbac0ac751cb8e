"""Book a car, a hotel and a flight; if one cannot be had in time, cancel those that were booked, last one first.

    python trip_booking.py Lisbon
    python trip_booking.py Atlantis      no flight goes there
    python trip_booking.py Shangri-La    the airline does not answer

This is a saga: there is no transaction over three companies, so each booking has a compensation that undoes it.
"""

import asyncio
import sqlite3
import sys
import time
from dataclasses import dataclass
from datetime import timedelta

from perdure import Perdure, RetryPolicy, WorkflowFailed, activity, workflow

app = Perdure("sqlite:///trips.db")


# The companies: other systems, with a database of their own


class SoldOut(Exception):
    """There is none to be had."""


def companies() -> sqlite3.Connection:
    """Their books: a row for each booking, also for one that was cancelled before it was ever made."""
    connection = sqlite3.connect("companies.db", timeout=10)
    connection.execute("create table if not exists bookings (reference text primary key, state text)")
    return connection


def book(kind: str, reference: str) -> str:
    """Book once, however often it is asked for; never after it was cancelled."""
    with companies() as books:
        books.execute("insert or ignore into bookings values (?, 'booked')", [f"{reference}/{kind}"])
        (state,) = books.execute("select state from bookings where reference = ?", [f"{reference}/{kind}"]).fetchone()
    if state != "booked":
        raise SoldOut(f"the {kind} was cancelled")
    print(f"booked the {kind}", flush=True)
    return f"{reference}/{kind}"


def cancel(kind: str, reference: str) -> None:
    """Cancel; what was never booked is marked, so that a booking that is still under way finds it cancelled."""
    with companies() as books:
        books.execute("insert or replace into bookings values (?, 'cancelled')", [f"{reference}/{kind}"])
    print(f"cancelled the {kind}", flush=True)


def bookings() -> dict[str, str]:
    """The state of every booking by its reference."""
    with companies() as books:
        return dict(books.execute("select reference, state from bookings"))


# What the workflow calls

tried_thrice = RetryPolicy(initial_interval="100ms", maximum_attempts=3, non_retryable=[SoldOut])


@app.activity(retry=tried_thrice)
def book_car(reference: str, destination: str) -> str:
    """Gives the number of the booking."""
    return book("car", reference)


@app.activity(retry=tried_thrice)
def book_hotel(reference: str, destination: str) -> str:
    """Gives the number of the booking."""
    return book("hotel", reference)


@app.activity(retry=tried_thrice, heartbeat="5s")
def book_flight(reference: str, destination: str) -> str:
    """Gives the number of the booking. The heartbeat is also how it hears that nobody waits any more."""
    if destination == "Atlantis":
        raise SoldOut(f"no flight goes to {destination}")
    while destination == "Shangri-La":
        activity.heartbeat()
        time.sleep(0.05)
    return book("flight", reference)


@app.activity
def cancel_car(reference: str) -> None:
    """Undo `book_car`. Tried until it succeeds, as every compensation should be."""
    cancel("car", reference)


@app.activity
def cancel_hotel(reference: str) -> None:
    """Undo `book_hotel`."""
    cancel("hotel", reference)


@app.activity
def cancel_flight(reference: str) -> None:
    """Undo `book_flight`."""
    cancel("flight", reference)


# The workflow

STEPS = ((book_car, cancel_car), (book_hotel, cancel_hotel), (book_flight, cancel_flight))


@dataclass(frozen=True)
class Trip:
    """Where to, and how long the traveller waits for the answer."""

    destination: str
    patience: timedelta = timedelta(minutes=10)


@app.workflow
async def book_trip(trip: Trip) -> list[str]:
    """The numbers of the bookings: all of them, or an error and none."""
    reference = workflow.info().workflow_id
    numbers: list[str] = []
    # Where the block fails, runs out of time or is cancelled, what was added is called, the last one first.
    async with workflow.Saga() as saga, asyncio.timeout(trip.patience.total_seconds()):
        for make, unmake in STEPS:
            # Before the booking is tried: one that failed or was cut short may have been made.
            saga.add(unmake, reference)
            numbers.append(await make(reference, trip.destination))
    return numbers


def main(destination: str) -> None:
    """Book one trip, or go on with it."""
    try:
        trip = Trip(destination, patience=timedelta(seconds=3))
        print("booked:", ", ".join(app.run(book_trip, trip, id=f"trip-to-{destination}")))
    except WorkflowFailed as error:
        print(f"not booked: {error}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["Lisbon"]))
