"""Where large payloads lie outside the store, by the hash of their bytes: a folder of files, or S3."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from perdure.core.errors import InvalidOption, StoreFull, StoreReadOnly, StoreUnavailable

_FULL = (28, 122)
_FORBIDDEN = (1, 13, 30)
_LISTED_AT_ONCE = 1_000


class BlobStore(Protocol):
    """Bytes by key. A key is 64 hex digits and stands for its bytes: written twice, they are the same ones.

    Verbs that fail raise `StoreError` and may be repeated without harm.
    """

    @property
    def url(self) -> str:
        """Names it in messages, without secrets."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Keep the bytes; durable when it returns. Counts as written now, also where they were there before."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The bytes; None if there are none of this key."""
        ...

    def keys(self, written_before_ms: int) -> AsyncIterator[str]:
        """The keys last written before the moment."""
        ...

    async def delete(self, key: str, written_before_ms: int) -> bool:
        """Forget the bytes, unless they were written again since the moment; whether they are gone by it."""
        ...


class Folder:
    """Files in a folder, one a payload, written whole and synced before they are pointed to."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Made when first needed. Every process that works on the store needs the same folder."""
        self._path = Path(path)

    @property
    def url(self) -> str:
        """See `BlobStore`."""
        return f"the folder {self._path}"

    async def put(self, key: str, data: bytes) -> None:
        """See `BlobStore`."""
        await asyncio.to_thread(self._put, key, data)

    async def get(self, key: str) -> bytes | None:
        """See `BlobStore`."""
        return await asyncio.to_thread(self._get, key)

    async def keys(self, written_before_ms: int) -> AsyncIterator[str]:
        """See `BlobStore`."""
        for key in await asyncio.to_thread(lambda: list(self._keys(written_before_ms))):
            yield key

    async def delete(self, key: str, written_before_ms: int) -> bool:
        """See `BlobStore`."""
        return await asyncio.to_thread(self._delete, key, written_before_ms)

    # In a thread

    def _file(self, key: str) -> Path:
        # Spread, so that no folder gets too many entries.
        return self._path / key[:2] / key

    def _put(self, key: str, data: bytes) -> None:
        file = self._file(key)
        with self._trouble(), self._locked(exclusively=False):
            _make(file.parent)
            passing = file.with_name(f".{uuid4().hex}")
            try:
                with passing.open("xb") as written:
                    written.write(data)
                    written.flush()
                    os.fsync(written.fileno())
                passing.replace(file)
            finally:
                passing.unlink(missing_ok=True)
            _sync(file.parent)

    def _get(self, key: str) -> bytes | None:
        with self._trouble():
            try:
                return self._file(key).read_bytes()
            except FileNotFoundError:
                return None

    def _keys(self, written_before_ms: int) -> Iterator[str]:
        with self._trouble():
            for file in self._path.glob("[0-9a-f][0-9a-f]/*"):
                if len(file.name) == 64 and _written_ms(file) < written_before_ms:
                    yield file.name

    def _delete(self, key: str, written_before_ms: int) -> bool:
        file = self._file(key)
        # No writer is between its file and its commit meanwhile without having written the file anew.
        with self._trouble(), self._locked(exclusively=True):
            if _written_ms(file) >= written_before_ms:
                return False
            file.unlink(missing_ok=True)
            return True

    @contextmanager
    def _locked(self, *, exclusively: bool) -> Generator[None]:
        _make(self._path)
        with (self._path / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH)
            yield

    @contextmanager
    def _trouble(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            kind = StoreFull if error.errno in _FULL else StoreReadOnly if error.errno in _FORBIDDEN else None
            raise (kind or StoreUnavailable)(store=self.url, reason=str(error)) from error


def _written_ms(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 0


def _make(folder: Path) -> None:
    """Make a folder so that it outlives a power cut, with those above it."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class S3:
    """Objects in a bucket of S3, or of what speaks its protocol. Needs `perdure[s3]`."""

    def __init__(self, bucket: str, *, prefix: str = "perdure/", client: Any = None) -> None:
        """`client`: one of boto3's own, where its defaults (environment, profile, role) are not enough."""
        try:
            boto3: Any = import_module("boto3")
            self._errors: Any = import_module("botocore.exceptions")
        except ImportError as error:
            fact, remedy = "needs a library that is not here", "pip install 'perdure[s3]'"
            raise InvalidOption(name="claim_check", value="S3(...)", fact=fact, remedy=remedy) from error
        self._client: Any = boto3.client("s3") if client is None else client
        self._bucket = bucket
        self._prefix = prefix

    @property
    def url(self) -> str:
        """See `BlobStore`."""
        return f"s3://{self._bucket}/{self._prefix}"

    async def put(self, key: str, data: bytes) -> None:
        """See `BlobStore`."""
        await self._asked("put_object", Key=self._prefix + key, Body=data, ContentType="application/octet-stream")

    async def get(self, key: str) -> bytes | None:
        """See `BlobStore`."""
        found = await self._asked("get_object", Key=self._prefix + key)
        if found is None:
            return None
        try:
            data: bytes = await asyncio.to_thread(found["Body"].read)
        except (self._errors.BotoCoreError, OSError) as error:
            raise StoreUnavailable(store=self.url, reason=str(error)) from error
        return data

    async def keys(self, written_before_ms: int) -> AsyncIterator[str]:
        """See `BlobStore`."""
        more: dict[str, str] = {}
        while True:
            page = await self._asked("list_objects_v2", Prefix=self._prefix, MaxKeys=_LISTED_AT_ONCE, **more)
            found: list[Any] = [] if page is None else page.get("Contents", [])
            for each in found:
                key: str = each["Key"].removeprefix(self._prefix)
                if len(key) == 64 and each["LastModified"].timestamp() * 1_000 < written_before_ms:
                    yield key
            if page is None or not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str, written_before_ms: int) -> bool:
        """See `BlobStore`. Between its look and its deletion another process may write the same bytes again."""
        found = await self._asked("head_object", Key=self._prefix + key)
        if found is not None and found["LastModified"].timestamp() * 1_000 >= written_before_ms:
            return False
        await self._asked("delete_object", Key=self._prefix + key)
        return True

    async def _asked(self, verb: str, **words: Any) -> Any:
        """The answer of S3, None where there is no such object."""
        try:
            return await asyncio.to_thread(getattr(self._client, verb), Bucket=self._bucket, **words)
        except self._errors.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "NotFound"):
                return None
            raise StoreUnavailable(store=self.url, reason=str(error)) from error
        except (self._errors.BotoCoreError, OSError) as error:
            raise StoreUnavailable(store=self.url, reason=str(error)) from error
