"""Kill a durable workflow twice and see that it goes on where it was: `./dev demo`.

The parent runs this file again as a child process, which works on the order below, and ends it with SIGKILL: once in
the middle of a step, once while the workflow sleeps. It exits with 1 if a step was repeated that need not be, or if the
result is wrong.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from perdure import Perdure

STEPS = (
    "reserve the goods",
    "charge the card",
    "print the label",
    "pack the parcel",
    "call the carrier",
    "mail the customer",
)
KILLED_IN_STEP = 3
SLEEPS_AFTER_STEP = 4
SLEEP_S = 4
WATCHDOG_S = 60

EFFECTS = Path("effects.txt")
"""What the steps did to the world: a line for each time that one began."""

app = Perdure("sqlite:///demo.db")


# The workflow, as the child process runs it


@app.activity
def perform(number: int) -> int:
    """One step of the order; gives its cost in cents."""
    with EFFECTS.open("a") as file:
        file.write(f"{number}\n")
    print(f"step {number} of {len(STEPS)}: {STEPS[number - 1]} ...", flush=True)
    time.sleep(0.5)
    print(f"step {number} of {len(STEPS)}: done", flush=True)
    return 10**number


@app.workflow
async def process_order() -> int:
    """Every step of an order, with a rest in between; gives the cost of all steps."""
    cost = 0
    for number in range(1, len(STEPS) + 1):
        cost += await perform(number)
        if number == SLEEPS_AFTER_STEP:
            await asyncio.sleep(SLEEP_S)
    return cost


# The parent process


def life(what: str) -> "subprocess.Popen[str]":
    """Start the child process. It is told nothing of earlier lives: all it knows is in the file."""
    child = subprocess.Popen([sys.executable, __file__, "work"], stdout=subprocess.PIPE, text=True)
    say(f"{what} process {child.pid}")
    return child


def lines(child: "subprocess.Popen[str]") -> Iterator[str]:
    """What the child prints, shown as it comes."""
    assert child.stdout is not None
    for line in child.stdout:
        print(f"   {child.pid} | {line.rstrip()}", flush=True)
        yield line


def follow(child: "subprocess.Popen[str]", text: str) -> None:
    """Let the child work until it prints `text`."""
    if not any(text in line for line in lines(child)):
        sys.exit(f"the child ended by itself with code {child.wait()}")


def kill(child: "subprocess.Popen[str]") -> None:
    """End the child without any warning."""
    child.send_signal(signal.SIGKILL)
    child.wait()
    say(f"killed process {child.pid} (SIGKILL)")


async def until_asleep() -> datetime:
    """Look into the store from this process, too, until the workflow has a timer there; give when it is due."""
    async with app.client():
        handle = app.handle("order-1", process_order)
        while not (timers := (await handle.describe()).timers):  # noqa: ASYNC110 # another process changes it
            await asyncio.sleep(0.02)
    return timers[0].due_at


def say(text: str) -> None:
    """One line of the parent's."""
    print(f"\n== {text}", flush=True)


def verdict(result: str, *, early: bool) -> list[str]:
    """What is wrong; nothing, if Perdure kept its promise."""
    begun = Counter(int(line) for line in EFFECTS.read_text().split())
    wrong = [
        f"step {number} ran {begun[number]} times"
        for number in range(1, len(STEPS) + 1)
        if begun[number] != (2 if number == KILLED_IN_STEP else 1)
    ]
    expected = sum(10**number for number in range(1, len(STEPS) + 1))
    if result != f"cost {expected}":
        wrong.append(f"the result is {result!r}, not 'cost {expected}'")
    if early:
        wrong.append("the workflow woke up too early")
    return wrong


def demonstrate() -> list[str]:
    """Three lives of one workflow; gives what went wrong."""
    say(f"a workflow of {len(STEPS)} steps, which lives in {Path.cwd() / 'demo.db'}")
    first = life("first life:")
    follow(first, f"step {KILLED_IN_STEP} of")
    kill(first)

    second = life("second life, which goes on with the step that was cut short:")
    follow(second, f"step {SLEEPS_AFTER_STEP} of {len(STEPS)}: done")
    due_at = asyncio.run(until_asleep())
    say(f"the workflow sleeps until {due_at:%H:%M:%S} UTC, whether or not a process lives")
    kill(second)

    third = life("third life, which sleeps for the rest of the time:")
    follow(third, f"step {SLEEPS_AFTER_STEP + 1} of")
    early = datetime.now(UTC) < due_at
    printed = ["", *lines(third)]
    wrong = verdict(printed[-1].strip(), early=early)
    if third.wait() != 0:
        wrong.append(f"the last life ended with code {third.returncode}")
    return wrong


def main() -> None:
    """Demonstrate in an empty folder; exit with 1 if the promise is broken."""
    signal.alarm(WATCHDOG_S)
    with tempfile.TemporaryDirectory(prefix="perdure-demo-") as folder:
        os.chdir(folder)
        wrong = demonstrate()
    if wrong:
        sys.exit("\nThe promise is broken: " + "; ".join(wrong))
    say("Kept: each step that had completed ran once, the one that was cut short ran again, and the result is right.")


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        print("cost", app.run(process_order, id="order-1"))
    else:
        main()
