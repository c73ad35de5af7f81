"""What every store of blobs can do, and what is true of blobs wherever they are.

Belongs here: keys, errors, the reader that checks a blob's hash, the way from a reader to a file.
Does not belong here: where the bytes are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Protocol

from coflux.errors import CofluxError, NotFound

#: Bytes read and written at a time.
CHUNK = 1024 * 1024

_HEX = frozenset("0123456789abcdef")


def is_key(text: str) -> bool:
    """Whether the text is a blob's key."""
    return len(text) == 64 and _HEX.issuperset(text)


def check_key(sha: str) -> str:
    """The key itself.

    Raises:
        NotFound: it is not a key, so there is no such blob.
    """
    if not is_key(sha):
        raise NotFound(
            f"no blob {sha[:80]!r}: a blob is named by 64 lower-case hex digits", blob=sha
        )
    return sha


def missing(sha: str) -> NotFound:
    """The error for a blob that a store does not have."""
    return NotFound(f"blob {sha} is missing", blob=sha)


def damaged(sha: str) -> CofluxError:
    """The error for a blob whose bytes do not have its hash."""
    return CofluxError(f"blob {sha} is damaged: its bytes have another hash", blob=sha)


class Source(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Give back what it holds."""


class Blobs(Protocol):
    """A place for blobs. All methods may be called from several threads."""

    def put_bytes(self, data: bytes) -> str:
        """Store the bytes and return their key; storing again changes nothing."""

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's bytes, streamed; return key and size in bytes."""

    def open(self, sha: str) -> Reader:
        """A reader of the blob. `NotFound` when it is not there."""

    def read(self, sha: str) -> bytes:
        """All bytes, verified. `NotFound`, or `CofluxError` when they are damaged."""

    def exists(self, sha: str) -> bool:
        """Whether the blob is there; its bytes are not verified."""

    def fetch_to(self, sha: str, path: Path) -> None:
        """Write the verified bytes to a file, which appears whole or not at all."""


class Reader:
    """Reads a blob and refuses it at the end when its bytes do not have its hash."""

    def __init__(self, sha: str, source: Source, size: int | None = None) -> None:
        self.sha = sha
        #: In bytes, where the store knows it.
        self.size = size
        self._source = source
        self._hash = hashlib.sha256()
        self._verified = False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all, when negative); none at the end.

        Raises:
            CofluxError: the end is reached, and the blob is damaged.
        """
        data = self._source.read(size)
        self._hash.update(data)
        if not data or size < 0:
            self._verify()
        return data

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK):
            yield chunk

    def close(self) -> None:
        """Give back what it holds; reading on is not possible."""
        self._source.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _verify(self) -> None:
        if not self._verified and self._hash.hexdigest() != self.sha:
            raise damaged(self.sha)
        self._verified = True


def save(reader: Reader, path: Path) -> None:
    """Write a blob to a file through a temporary one beside it, so that it appears whole."""
    # Late: executors are forked with what is imported, and this brings compressors and more.
    import tempfile

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".coflux-")
    try:
        with FileIO(descriptor, "wb") as file:
            copy(reader, file)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


class Sink(Protocol):
    """Anything that bytes can be written to; it may take fewer than given."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write bytes and return how many."""


def copy(reader: Reader, file: Sink) -> None:
    """Copy a blob into an open file; raises at its end when it is damaged."""
    for chunk in reader:
        write_all(file, chunk)


def write_all(file: Sink, data: bytes | memoryview) -> None:
    """Write all bytes; a raw file may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]
