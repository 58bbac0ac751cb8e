"""What was encrypted once is read for ever: recorded histories behind codecs are opened, and replayed."""

import pytest

from perdure.core import codec
from perdure.core.turn import Turn
from perdure.data.seal import Opening
from tests.histories.replay import histories, replay
from tests.histories.sealing import NAMES, SEAL, sealed_histories


def opened(turns: list[bytes]) -> list[Turn]:
    """As an app with the key reads them."""
    return [Opening(SEAL, {})(codec.turns.decode(turn)) for turn in turns]


@pytest.mark.parametrize("name", NAMES)
def test_a_history_behind_codecs_is_the_history_that_was_recorded(name: str) -> None:
    plain = histories()[name]
    stored = sealed_histories()[name]

    assert opened(stored) == list(plain.decoded())
    assert [codec.turns.decode(turn) for turn in stored] != list(plain.decoded()), "it is sealed"
    replay(plain)
