"""What an app was told about its data, as one."""

from collections.abc import Sequence
from typing import Any

from perdure.core.limits import CLAIMED_TURN_FACTOR, TOGETHER_BYTES_MAX, TURN_BYTES_MAX
from perdure.core.payload import JSON, Converter, DataConverter
from perdure.core.store import Store
from perdure.data.claims import ClaimCheck
from perdure.data.codecs import PayloadCodec
from perdure.data.seal import Seal
from perdure.data.store import SealedStore


class AppData:
    """How the values of one app become payloads, and how these become what a store keeps."""

    def __init__(
        self,
        converters: Sequence[Converter[Any]] = (),
        codecs: Sequence[PayloadCodec] = (),
        claim_check: ClaimCheck | None = None,
    ) -> None:
        """Raises `InvalidOption`."""
        self.turn_bytes_max = TURN_BYTES_MAX
        """Largest turn in memory, in bytes."""
        if claim_check is not None:
            self.turn_bytes_max = max(TURN_BYTES_MAX, CLAIMED_TURN_FACTOR * claim_check.bytes_max)
            self.converter = DataConverter(
                converters,
                bytes_max=claim_check.bytes_max,
                together_bytes_max=max(TOGETHER_BYTES_MAX, claim_check.bytes_max),
            )
        else:
            self.converter = DataConverter(converters) if converters else JSON
        self.claim_check = claim_check
        self._seal = Seal(codecs, claim_check) if codecs or claim_check is not None else None

    def sealed(self, store: Store) -> Store:
        """The store as the app sees it: itself, unless there is something to be done to payloads."""
        return store if self._seal is None else SealedStore(store, self._seal)
