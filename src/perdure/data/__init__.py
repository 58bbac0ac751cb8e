"""How values travel and where they lie: for the options of `Perdure`."""

from perdure.core.payload import Converter
from perdure.data.blobs import S3, BlobStore, Folder
from perdure.data.claims import ClaimCheck
from perdure.data.codecs import Encryption, PayloadCodec, Zstd

__all__ = ["BlobStore", "ClaimCheck", "Converter", "Encryption", "Folder", "PayloadCodec", "S3", "Zstd"]
