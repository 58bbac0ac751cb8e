"""Codecs alone: what goes in comes out, and what was altered does not."""

import base64
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Perdure
from perdure.core.errors import InvalidOption
from perdure.data import Encryption, PayloadCodec, Zstd, codecs

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
FACTS = {"codecs": "aes-256-gcm"}


def encrypted(data: bytes, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """Under key k1."""
    facts = {**FACTS, **changes}
    sealed = Encryption(keys={"k1": KEY}, current="k1").encode(data, facts)
    assert sealed is not None
    return sealed, facts


@given(st.binary(max_size=10_000))
def test_what_was_encrypted_is_decrypted_by_whoever_has_the_key(data: bytes) -> None:
    sealed, facts = encrypted(data)

    later = Encryption(keys={"k2": OTHER_KEY, "k1": base64.b64encode(KEY).decode()}, current="k2")

    assert later.decode(sealed, facts) == data
    assert facts["key"] == "k1"
    assert len(data) < 8 or data not in sealed


@given(st.data())
def test_no_byte_of_it_can_be_altered(data: st.DataObject) -> None:
    sealed, facts = encrypted(b"4200 cents to tok_1")
    index = data.draw(st.integers(0, len(sealed) - 1))
    altered = bytearray(sealed)
    altered[index] ^= data.draw(st.integers(1, 255))

    with pytest.raises(ValueError, match="it was altered, or key 'k1' is another one"):
        Encryption(keys={"k1": KEY}, current="k1").decode(bytes(altered), facts)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 28, 40])
def test_what_is_cut_short_is_refused(size: int) -> None:
    sealed, facts = encrypted(b"")

    with pytest.raises(ValueError, match="it was altered"):
        Encryption(keys={"k1": KEY}, current="k1").decode(sealed[:size], facts)


@pytest.mark.parametrize(
    "said", [{"encoding": "perdure/failure"}, {"codecs": "zstd aes-256-gcm"}, {"key": "k2"}], ids=str
)
def test_what_it_says_of_itself_cannot_be_altered_either(said: dict[str, str]) -> None:
    sealed, facts = encrypted(b"4200")

    with pytest.raises(ValueError, match="it was altered"):
        Encryption(keys={"k1": KEY, "k2": OTHER_KEY}, current="k2").decode(sealed, {**facts, **said})


def test_without_its_key_it_is_refused_by_the_name_of_the_key() -> None:
    sealed, facts = encrypted(b"4200")

    with pytest.raises(ValueError, match="its key 'k1' is not among the keys of this app"):
        Encryption(keys={"k2": OTHER_KEY}, current="k2").decode(sealed, facts)


def test_no_two_payloads_look_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "SUBKEY_USES_MAX", 2)
    encryption = Encryption(keys={"k1": KEY}, current="k1")

    sealed = [encryption.encode(b"4200", dict(FACTS)) for _ in range(5)]

    assert len(set(sealed)) == 5
    assert len({each[:16] for each in sealed if each is not None}) == 3, "a new derived key after two payloads"
    assert all(each and encryption.decode(each, {**FACTS, "key": "k1"}) == b"4200" for each in sealed)


@pytest.mark.parametrize(
    ("keys", "current", "fact"),
    [
        ({}, "k1", "current='k1' is not among the keys"),
        ({"k1": KEY}, "k2", "current='k2' is not among the keys"),
        ({"k1": b"short"}, "k1", "keys='k1' has no 32 bytes"),
        ({"k1": "no base64!"}, "k1", "keys='k1' has no 32 bytes"),
    ],
)
def test_keys_that_are_none_are_refused(keys: dict[str, bytes | str], current: str, fact: str) -> None:
    with pytest.raises(InvalidOption, match=fact):
        Encryption(keys=keys, current=current)


def test_the_keys_are_never_shown() -> None:
    shown = repr(Encryption(keys={"k1": b"\x01" * 16 + b"secretsecret1234"}, current="k1"))

    assert shown == "Encryption(keys=['k1'], current='k1')"


@given(st.binary(max_size=2_000), st.integers(1, 50))
def test_what_was_compressed_is_decompressed(data: bytes, times: int) -> None:
    zstd = Zstd(bytes_min=0)

    packed = zstd.encode(data * times, {})

    assert packed is None or (len(packed) < len(data) * times and zstd.decode(packed, {}) == data * times)


def test_what_gains_nothing_is_left_as_it_is() -> None:
    assert Zstd().encode(b"a" * 255, {}) is None
    assert Zstd(bytes_min=1).encode(b"a", {}) is None
    assert Zstd().encode(b"a" * 256, {}) is not None


def test_what_is_no_zstd_is_refused() -> None:
    packed = Zstd().encode(b"a" * 1_000, {})
    assert packed is not None

    for damaged in (b"", b"a" * 100, packed[:-1], packed + b"x", packed[:4] + b"\xff" + packed[5:]):
        with pytest.raises(ValueError, match=r"it cannot be decompressed|it is cut short"):
            Zstd().decode(damaged, {})


def test_a_small_payload_cannot_become_a_huge_one(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Zstd().encode(b"a" * 10_001, {})
    assert packed is not None
    monkeypatch.setattr(codecs, "DECOMPRESSED_BYTES_MAX", 10_000)

    with pytest.raises(ValueError, match="it is cut short, or has more than 10000 bytes"):
        Zstd().decode(packed, {})


@pytest.mark.parametrize("level", [1_000, -10_000_000])
def test_a_level_that_is_none_is_refused(level: int) -> None:
    with pytest.raises(InvalidOption, match="is no level of zstd"):
        Zstd(level=level)


def test_two_codecs_of_one_name_are_refused() -> None:
    both: list[PayloadCodec] = [Zstd(), Zstd(level=1)]

    with pytest.raises(InvalidOption, match="codecs='zstd' is taken"):
        Perdure("memory://", codecs=both)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "cryptography.hazmat.primitives.ciphers.aead"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InvalidOption, match=r"pip install 'perdure\[zstd\]'"):
        Zstd()
    with pytest.raises(InvalidOption, match=r"pip install 'perdure\[encryption\]'"):
        Encryption(keys={"k": KEY}, current="k")
