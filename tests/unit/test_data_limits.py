"""What is too much is refused where it comes in, and nothing is stored."""

import pytest

from perdure import ApplicationError, Perdure
from perdure.core.errors import PayloadTooLarge, TooManyValues
from perdure.core.failure import to_failure
from perdure.core.limits import DETAILS_BYTES_MAX, PAYLOAD_BYTES_MAX, TOGETHER_BYTES_MAX, VALUES_MAX
from perdure.core.payload import JSON, DataConverter, Payload
from perdure.data import ClaimCheck, Folder
from perdure.data.options import AppData

LARGE = "x" * (PAYLOAD_BYTES_MAX - 2)


async def test_a_start_with_too_much_is_refused_and_nothing_is_stored() -> None:
    app = Perdure("memory://")

    @app.workflow
    async def many(*texts: str) -> int:
        return len(texts)

    async with app:
        with pytest.raises(TooManyValues, match="PDR1060: argument of workflow 'many': 256 values"):
            await app.start(many, *["x"] * (VALUES_MAX + 1))
        with pytest.raises(PayloadTooLarge, match=r"each argument of workflow 'many', with all others, has \d+ bytes"):
            await app.start(many, *[LARGE] * 9)
        assert await app.list() == []
        assert await (await app.start(many, *["x"] * VALUES_MAX)).result() == VALUES_MAX
        assert await (await app.start(many, *[LARGE] * 8)).result() == 8


def test_details_that_are_too_much_are_left_out_of_a_failure_that_says_so() -> None:
    failure = to_failure(ApplicationError("card declined", LARGE, LARGE))

    assert failure.details == ()
    assert failure.message.startswith("card declined (its details are left out: PDR1010: details of Appl")
    assert len(to_failure(ApplicationError("x", LARGE)).details[0].data) == DETAILS_BYTES_MAX


def test_a_claim_check_raises_the_limits_of_values_but_not_of_details() -> None:
    data = AppData(claim_check=ClaimCheck(Folder("/nowhere"), bytes_max=3 * TOGETHER_BYTES_MAX))

    assert data.converter.to_payload("x" * 2 * TOGETHER_BYTES_MAX).data
    assert len(data.converter.to_payloads(["x" * TOGETHER_BYTES_MAX] * 2)) == 2
    assert data.turn_bytes_max == 12 * TOGETHER_BYTES_MAX
    assert to_failure(ApplicationError("x", LARGE, LARGE), data.converter).details == ()


def test_the_limits_are_exact() -> None:
    converter = DataConverter(bytes_max=10, together_bytes_max=20)

    assert converter.to_payloads(["x" * 8] * 2) == (Payload(b'"xxxxxxxx"'),) * 2
    with pytest.raises(PayloadTooLarge, match="has 30 bytes, more than the 20 allowed"):
        converter.to_payloads(["x" * 8] * 3)
    assert len(JSON.to_payloads([0] * VALUES_MAX)) == VALUES_MAX
