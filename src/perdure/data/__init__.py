"""How values travel and where they lie: for the options of `Perdure`."""

from perdure.core.payload import Converter

__all__ = ["Converter"]
