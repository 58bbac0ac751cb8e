"""The persisted form: what was written once is read for ever, and damage is a coded error."""

from pathlib import Path
from typing import Any

import pytest

from perdure.core import codec
from perdure.core.command import Command
from perdure.core.errors import UndecodablePayload
from perdure.core.failure import Failure
from perdure.core.message import Message, Outcome, TerminateRequested
from perdure.core.turn import Turn
from tests.unit.core_samples import CHILD_RUN_ID, COMMANDS, FAILURE, HEARTBEAT, MESSAGES, kinds_of, turn_of
from tests.unit.golden.write import FOLDER, golden, write_missing

# The numbers are in stores out there: a class keeps its own for ever, and a new class takes a new one.
MESSAGE_NUMBERS = {
    "Started": 1,
    "ActivityClosed": 2,
    "TimerFired": 3,
    "Signaled": 4,
    "CancelRequested": 5,
    "TerminateRequested": 6,
    "ChildStarted": 7,
    "ChildClosed": 8,
    "Resumed": 9,
    "UpdateRequested": 10,
    "DeadlinePassed": 11,
    "PauseRequested": 12,
    "Moved": 20,
    "Forked": 13,
}
OUTCOME_NUMBERS = {"Completed": 1, "Failed": 2, "Cancelled": 3, "Terminated": 4, "Continued": 5}
COMMAND_NUMBERS = {
    "RunActivity": 1,
    "CancelActivity": 2,
    "StartTimer": 3,
    "CancelTimer": 4,
    "StartChild": 5,
    "CancelChild": 6,
    "RecordSideEffect": 7,
    "CompleteRun": 8,
    "FailRun": 9,
    "CancelRun": 10,
    "TerminateRun": 11,
    "ContinueRun": 12,
    "TimeOutRun": 13,
    "AcceptUpdate": 14,
    "RejectUpdate": 15,
    "CompleteUpdate": 16,
    "RecordVersion": 17,
    "RecordLocalActivity": 18,
    "UpsertMemo": 19,
    "UpsertAttributes": 20,
    "SetProgress": 21,
    "SetStatus": 22,
    "TerminateChild": 23,
    "SkipMessage": 24,
    "EditMessage": 25,
    "ResetRun": 26,
}


@pytest.mark.parametrize("name", golden())
def test_a_golden_file_is_read_exactly(name: str) -> None:
    value, encode, decode = golden()[name]

    read = decode((FOLDER / name).read_bytes())

    assert read == value
    assert type(read) is type(value)
    assert decode(encode(read)) == value


def test_every_golden_file_belongs_to_a_sample() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.bin")) == sorted(golden())


def test_every_kind_has_a_sample() -> None:
    assert {type(each) for each in MESSAGES.values()} == kinds_of(Message)
    assert {type(each) for each in COMMANDS.values()} == kinds_of(Command)


def test_the_writer_leaves_what_exists_alone(tmp_path: Path) -> None:
    (tmp_path / "failure.bin").write_bytes(b"what a store holds")

    first = write_missing(tmp_path)
    second = write_missing(tmp_path)

    assert (tmp_path / "failure.bin").read_bytes() == b"what a store holds"
    assert sorted([*first, "failure.bin"]) == sorted(golden())
    assert second == []


@pytest.mark.parametrize(
    ("union", "numbers"), [(Message, MESSAGE_NUMBERS), (Outcome, OUTCOME_NUMBERS), (Command, COMMAND_NUMBERS)]
)
def test_the_numbers_of_the_classes_are_pinned(union: object, numbers: dict[str, int]) -> None:
    kinds: set[Any] = kinds_of(union)

    assert {kind.__name__: kind.__struct_config__.tag for kind in kinds} == numbers


@pytest.mark.parametrize("kind", sorted(kinds_of(Message) | kinds_of(Command) | kinds_of(Outcome), key=str))
def test_the_persisted_classes_are_frozen_arrays(kind: Any) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.array_like


DAMAGED: dict[str, bytes] = {
    "nothing at all": b"",
    "another version": b"\x02" + codec.turns.encode(turn_of(COMMANDS["cancel_timer"]))[1:],
    "version zero": b"\x00",
    "only a version": b"\x01",
    "cut short": codec.turns.encode(turn_of(COMMANDS["run_activity"]))[:-3],
    "something after the end": codec.turns.encode(turn_of(COMMANDS["cancel_timer"])) + b"\x00",
    "another type": b"\x01\xa3abc",
    "an unknown number of a class": b"\x01\x94\x02\x01\x90\x91\x92\x63\x01",
    "text that is not UTF-8": codec.turns.encode(turn_of(COMMANDS["terminate_run"]))[:-1] + b"\xff",
    "nested too deep": b"\x01" + b"\x91" * 100_000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_bytes_are_a_coded_error(data: bytes) -> None:
    with pytest.raises(UndecodablePayload, match=r"PDR3002: a recorded turn cannot be decoded as format 1: "):
        codec.turns.decode(data)


def test_the_error_names_the_version_that_was_found() -> None:
    with pytest.raises(UndecodablePayload, match="found 7"):
        codec.messages.decode(b"\x07whatever")
    with pytest.raises(UndecodablePayload, match="found nothing"):
        codec.failures.decode(b"")


def test_a_field_that_a_later_version_appended_is_skipped() -> None:
    data = bytearray(codec.messages.encode(MESSAGES["timer_fired"]))
    assert data[1] == 0x92, "an array of two"
    data[1] = 0x93
    data += b"\xc3"

    assert codec.messages.decode(bytes(data)) == MESSAGES["timer_fired"]


def test_fields_with_defaults_may_be_missing() -> None:
    assert codec.failures.decode(b"\x01\x92\xa1T\xa1m") == Failure("T", "m")


def test_failures_and_heartbeats_come_back() -> None:
    assert codec.failures.decode(codec.failures.encode(FAILURE)) == FAILURE
    assert codec.heartbeats.decode(codec.heartbeats.encode(HEARTBEAT)) == HEARTBEAT


def test_a_turn_comes_back_with_all_kinds_in_order() -> None:
    turn = Turn(3, 5, tuple(MESSAGES.values()), tuple(COMMANDS.values()))

    assert codec.turns.decode(codec.turns.encode(turn)) == turn


@pytest.mark.parametrize("name", MESSAGES)
def test_a_termination_is_known_without_decoding(name: str) -> None:
    data = codec.messages.encode(MESSAGES[name])

    assert codec.is_termination(data) is isinstance(MESSAGES[name], TerminateRequested)


def test_nothing_but_a_termination_is_taken_for_one() -> None:
    assert not codec.is_termination(b"")
    assert not codec.is_termination(b"\x02" + codec.messages.encode(TerminateRequested("x"))[1:])


def test_the_ids_of_messages_are_deterministic() -> None:
    assert {name: message.id for name, message in MESSAGES.items()} == {
        "started": "start",
        "started_least": "start",
        "activity_closed": "a2",
        "activity_closed_least": "a1",
        "activity_cancelled": "a1",
        "timer_fired": "t70000",
        "signaled": "s/req-1",
        "cancel_requested": "xreq-2",
        "terminate_requested": "terminate",
        "child_started": "b5",
        "child_started_least": "b5",
        "child_closed": "c5",
        "child_completed": "c5",
        "resumed": "rreq-3",
        "started_options": "start",
        "started_rank": "start",
        "started_children": "start",
        "signaled_headers": "s/req-4",
        "update_requested": "uupd-1",
        "activity_failed_encoded": "a2",
        "deadline_passed": "deadline/execution",
        "pause_requested": "preq-5",
        "moved": "mreq-7",
        "forked": f"fork/{CHILD_RUN_ID}",
    }
