"""What a blob store promises: a folder, and S3 by a client that keeps its objects in memory."""

import datetime
import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions  # pyright: ignore[reportMissingTypeStubs]
import pytest

from perdure.core.errors import InvalidOption, StoreFull, StoreReadOnly, StoreUnavailable
from perdure.data import S3, BlobStore, ClaimCheck, Folder
from perdure.data.claims import key_of

LATER_MS = 4_000_000_000_000
KEYS = [f"{number:064x}" for number in range(5)]


class Bucket:
    """What boto3's client does, of what is used of it; pages of two."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime.datetime]] = {}
        self.trouble: Exception | None = None

    def _found(self, key: str) -> tuple[bytes, datetime.datetime]:
        if self.trouble is not None:
            raise self.trouble
        if key not in self.objects:
            raise botocore.exceptions.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return self.objects[key]

    def put_object(self, **words: Any) -> None:
        """Keep it."""
        if self.trouble is not None:
            raise self.trouble
        self.objects[words["Key"]] = words["Body"], datetime.datetime.now(datetime.UTC)

    def get_object(self, **words: Any) -> Any:
        """Its bytes."""
        return {"Body": io.BytesIO(self._found(words["Key"])[0])}

    def head_object(self, **words: Any) -> Any:
        """Its age."""
        return {"LastModified": self._found(words["Key"])[1]}

    def delete_object(self, **words: Any) -> None:
        """Forget it."""
        self.objects.pop(words["Key"], None)

    def list_objects_v2(self, **words: Any) -> Any:
        """A page of two."""
        keys = sorted(key for key in self.objects if key.startswith(words["Prefix"]))
        begin = int(words.get("ContinuationToken", "0"))
        page = [{"Key": key, "LastModified": self.objects[key][1]} for key in keys[begin : begin + 2]]
        more = {"IsTruncated": True, "NextContinuationToken": str(begin + 2)} if begin + 2 < len(keys) else {}
        return {"Contents": page, **more}


def files_of(folder: Path) -> list[str]:
    """Names of all files in it."""
    return [file.name for file in folder.rglob("*") if file.is_file()]


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An empty one."""
    return Folder(tmp_path / "deep" / "blobs") if request.param == "folder" else S3("b", client=Bucket())


async def test_bytes_are_there_until_they_are_deleted(blobs: BlobStore) -> None:
    assert await blobs.get(KEYS[0]) is None
    for _ in range(2):
        await blobs.put(KEYS[0], b"\x00\xff")
    await blobs.put(KEYS[1], b"")

    assert (await blobs.get(KEYS[0]), await blobs.get(KEYS[1])) == (b"\x00\xff", b"")
    assert await blobs.delete(KEYS[0], LATER_MS)
    assert await blobs.get(KEYS[0]) is None


async def test_its_keys_are_told_by_their_age(blobs: BlobStore) -> None:
    for key in KEYS:
        await blobs.put(key, b"x")

    assert sorted([key async for key in blobs.keys(LATER_MS)]) == KEYS
    assert [key async for key in blobs.keys(1)] == []


async def test_what_is_young_is_not_deleted(blobs: BlobStore) -> None:
    await blobs.put(KEYS[0], b"x")

    assert not await blobs.delete(KEYS[0], 1)
    assert await blobs.get(KEYS[0]) == b"x"


async def test_many_are_written_and_fetched_at_once(blobs: BlobStore) -> None:
    check = ClaimCheck(blobs)
    contents = {key_of(data): data for data in (b"%d" % number for number in range(50))}
    wrong = key_of(b"wrong")
    await blobs.put(wrong, b"other")

    await check.stow(contents)
    fetched = await check.fetch({*contents, wrong, KEYS[0]})

    assert {key: fetched[key] for key in contents} == contents
    assert fetched[wrong] == f"its content {wrong} in {blobs.url} was altered"
    assert fetched[KEYS[0]] == f"its content {KEYS[0]} is missing from {blobs.url}"


async def test_other_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    (tmp_path / "00").mkdir()
    (tmp_path / "00" / ".half-written").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")

    assert [key async for key in blobs.keys(LATER_MS)] == []


TROUBLE: list[tuple[int, type[Exception]]] = [
    (errno.ENOSPC, StoreFull),
    (errno.EDQUOT, StoreFull),
    (errno.EROFS, StoreReadOnly),
    (errno.EACCES, StoreReadOnly),
    (errno.EIO, StoreUnavailable),
]


@pytest.mark.parametrize(("number", "kind"), TROUBLE)
async def test_trouble_of_a_folder_is_a_coded_error(
    number: int, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, "trouble")

    blobs = Folder(tmp_path)
    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(kind, match="the folder "):
        await blobs.put(KEYS[0], b"x")
    assert files_of(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
        lambda: botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"),
        lambda: TimeoutError("slow"),
    ],
)
async def test_trouble_of_s3_is_a_coded_error(trouble: Callable[[], Exception]) -> None:
    bucket = Bucket()
    blobs = S3("b", client=bucket)
    bucket.trouble = trouble()

    with pytest.raises(StoreUnavailable, match="s3://b/perdure/"):
        await blobs.put(KEYS[0], b"x")
    with pytest.raises(StoreUnavailable, match="s3://b/perdure/"):
        await blobs.get(KEYS[0])


@pytest.mark.parametrize(("above", "bytes_max"), [(0, 10), (-1, 10), (11, 10)])
def test_thresholds_that_are_none_are_refused(above: int, bytes_max: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="is out of bounds"):
        ClaimCheck(Folder(tmp_path), above=above, bytes_max=bytes_max)
