"""Blobs in a folder of this machine: `<first 2 digits>/<key>`, and `tmp/` for files in the making.

Belongs here: files, durability. Does not belong here: what the server does beside (space, ranges,
uploads on its event loop: `coflux.server.gateway.blobs`, which shares the layout).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from coflux.blobs.store import CHUNK, Reader, check_key, is_key, missing, save, write_all
from coflux.errors import CofluxError

#: Bytes of a large file after which the disk is set to work.
_SYNC_EVERY = 32 * CHUNK


class LocalBlobs:
    """Blobs in a folder: `<first 2 digits>/<key>`, with files being written in `tmp/`.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._folder = str(folder)

    def path(self, sha: str) -> Path:
        """Where the blob is or would be. `NotFound` for what is not a key."""
        return Path(self._path(sha))

    def size(self, sha: str) -> int:
        """Bytes of the blob.

        Raises:
            NotFound: it is not there.
        """
        try:
            return os.stat(self._path(sha)).st_size
        except FileNotFoundError:
            raise missing(sha) from None

    def exists(self, sha: str) -> bool:
        """Whether the blob is there; its bytes are not verified."""
        return is_key(sha) and os.path.exists(self._path(sha))

    def renew(self, sha: str) -> None:
        """A blob that is there counts as written now: somebody means to rely on it (DM-3)."""
        if is_key(sha):
            with suppress(FileNotFoundError):
                os.utime(self._path(sha))

    def put_bytes(self, data: bytes) -> str:
        """Store the bytes and return their key."""
        sha = hashlib.sha256(data).hexdigest()
        if self._has(sha, len(data)):
            return sha
        with self._temporary() as (file, path):
            write_all(file, data)
            self._keep(file, path, sha, len(data))
        return sha

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's bytes, streamed; return key and size in bytes."""
        sha, size = hashlib.sha256(), 0
        buffer = memoryview(bytearray(CHUNK))
        with FileIO(path) as source, self._temporary() as (file, temporary):
            with _early_sync(file) as sync:
                while count := source.readinto(buffer):
                    sha.update(buffer[:count])
                    write_all(file, buffer[:count])
                    size += count
                    if size % _SYNC_EVERY < count:
                        sync()
            self._keep(file, temporary, sha.hexdigest(), size)
        return sha.hexdigest(), size

    def open(self, sha: str) -> Reader:
        """A reader of the blob. `NotFound` when it is not there."""
        try:
            file = FileIO(self._path(sha))
        except FileNotFoundError:
            raise missing(sha) from None
        return Reader(sha, file, os.fstat(file.fileno()).st_size)

    def read(self, sha: str) -> bytes:
        """All bytes, verified."""
        with self.open(sha) as reader:
            return reader.read()

    def fetch_to(self, sha: str, path: Path) -> None:
        """Write the verified bytes to a file, which appears whole or not at all."""
        with self.open(sha) as reader:
            save(reader, path)

    def _path(self, sha: str) -> str:
        check_key(sha)
        return f"{self._folder}/{sha[:2]}/{sha}"

    def _has(self, sha: str, size: int) -> bool:
        """Whether the blob is there whole. It then counts as written now, for the collector.

        Its bytes are read, so that storing a blob again mends a damaged one. They are made durable
        too, since whoever put it there may not have come so far.
        """
        try:
            with FileIO(self._path(sha)) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return False
                os.utime(file.fileno())
                if not is_in_place(file.fileno(), self._path(sha)):
                    return False
                for _ in Reader(sha, file):
                    pass
                os.fsync(file.fileno())
        except (FileNotFoundError, CofluxError):
            return False
        sync_directory(os.path.dirname(self._path(sha)))
        return True

    @contextmanager
    def _temporary(self) -> Iterator[tuple[FileIO, str]]:
        # Late: executors are forked with what is imported, and this brings compressors and more.
        import tempfile

        tmp = f"{self._folder}/tmp"
        try:
            descriptor, path = tempfile.mkstemp(dir=tmp)
        except FileNotFoundError:
            os.makedirs(tmp, mode=0o700, exist_ok=True)
            descriptor, path = tempfile.mkstemp(dir=tmp)
        try:
            with FileIO(descriptor, "wb") as file:
                yield file, path
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _keep(self, file: FileIO, path: str, sha: str, size: int) -> None:
        """Put a written temporary file in its place, durably."""
        if self._has(sha, size):
            return
        os.fsync(file.fileno())
        final = self._path(sha)
        directory = os.path.dirname(final)
        try:
            os.rename(path, final)
        except FileNotFoundError:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            sync_directory(self._folder)
            os.rename(path, final)
        sync_directory(directory)


def is_in_place(descriptor: int, path: str | Path) -> bool:
    """Whether an open file still has that name: the collector may have moved it aside (DM-3)."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def _early_sync(file: FileIO) -> Iterator[Callable[[], None]]:
    """Gives a function that starts writing to disk what was written so far, without waiting.

    So the disk works while the rest is read and hashed, and the sync at the end finds little left.
    """
    # Late, as above.
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(1, "coflux-sync") as pool:
        running: list[Future[None]] = []

        def sync() -> None:
            if not running or running[-1].done():
                running.append(pool.submit(os.fdatasync, file.fileno()))

        yield sync
        # The system reports a failed write only once; it must not get lost here.
        for each in running:
            each.result()


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
