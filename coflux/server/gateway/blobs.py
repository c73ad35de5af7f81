"""A project's blobs on disk, as the gateway writes and reads them: streamed, off the event loop.

Belongs here: files, hashes, free space (AS-5). Does not belong here: HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from coflux.blobs.local import is_in_place
from coflux.errors import InvalidRequest, NotFound, Unavailable

#: Largest blob, in bytes (section 32).
MAX_BLOB = 16 * 1024**3
#: Bytes handed to a thread at once; a hop to a thread costs about as much as hashing 64 KiB.
PIECE = 1024 * 1024
#: After so many bytes the disk is set to work, so that the sync at the end finds little to do.
SYNC_EVERY = 32 * PIECE
#: Less than this must stay free, in bytes and as a share of the disk, whichever is less.
MIN_FREE = 200 * 1000 * 1000
MIN_FREE_SHARE = 0.01

_KEY = re.compile(r"[0-9a-f]{64}")
_OURS = "gateway-"


def is_key(text: str) -> bool:
    """Whether the text can be the key of a blob."""
    return _KEY.fullmatch(text) is not None


class BlobFolder:
    """The folder of a project's blobs: `<first two digits>/<sha256>`, and `tmp/` for uploads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Files found whole, by key: what `stat` said of them then.
        self._verified: dict[str, tuple[int, int, int]] = {}

    def path(self, key: str) -> Path:
        """Where the blob with that key is, if it is there."""
        return self.folder / key[:2] / key

    def remove_leftovers(self) -> None:
        """Remove what uploads to a server that was killed have left."""
        for path in (self.folder / "tmp").glob(f"{_OURS}*"):
            path.unlink(missing_ok=True)

    async def find(self, key: str, touch: bool = False) -> tuple[Path, int]:
        """Path and size in bytes of a blob, once its content is known to match the key.

        With `touch` it counts as written now: who asks whether it is there means to rely on it,
        and the collector's grace begins anew (DM-3). Raises `NotFound` for one that is not there
        or damaged.
        """
        path = self.path(key)
        try:
            size = await asyncio.to_thread(self._verify, key, path, touch)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"There is no blob {key}.") from error
        return path, size

    def _verify(self, key: str, path: Path, touch: bool) -> int:
        with open(path, "rb", buffering=0) as file:
            seen = _stamp(file.fileno())
            if self._verified.get(key) != seen:
                if _digest(file.fileno()) != key:
                    message = f"Blob {key} is damaged on disk; store it again."
                    raise NotFound(message, field="content")
                self._verified[key] = seen
            if touch:
                os.utime(file.fileno())
                if not is_in_place(file.fileno(), path):
                    raise FileNotFoundError(path)
                self._verified[key] = _stamp(file.fileno())
        return seen[1]

    def check_space(self, wanted: int) -> None:
        """Raise `Unavailable` when `wanted` more bytes would leave too little room (SE-11)."""
        existing = self.folder
        while not existing.exists():
            existing = existing.parent
        usage = shutil.disk_usage(existing)
        if usage.free - wanted < min(MIN_FREE, usage.total * MIN_FREE_SHARE):
            raise Unavailable(
                f"The server's disk is full ({usage.free} bytes free, {wanted} wanted);"
                " free some space and send it again."
            )

    def upload(self, key: str) -> Upload:
        """Begin to store a blob."""
        return Upload(self, key)

    def adopt(self, key: str, temporary: Path, descriptor: int) -> None:
        """Give a complete, checked and synced temporary file its place."""
        path = self.path(key)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self.folder)
        os.replace(temporary, path)
        _sync_folder(path.parent)
        self._verified[key] = _stamp(descriptor)


class Upload:
    """A blob on its way in. Ends with `finish` or `abort`."""

    def __init__(self, blobs: BlobFolder, key: str) -> None:
        self._blobs = blobs
        self._key = key
        self._sha = hashlib.sha256()
        self._size = 0
        self._pieces: list[bytes] = []
        self._pending = 0
        self._writing: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._unsynced = 0
        # The client may vanish, and `abort` be called, while `finish` is under way.
        self._lock = asyncio.Lock()
        folder = blobs.folder / "tmp"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path: Path | None = folder / f"{_OURS}{secrets.token_hex(8)}"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    async def write(self, chunk: bytes) -> None:
        """Take a piece; waits only when the disk is slower than the sender."""
        self._size += len(chunk)
        self._pieces.append(chunk)
        self._pending += len(chunk)
        self._unsynced += len(chunk)
        if self._pending >= PIECE:
            await self._flush()

    async def _flush(self) -> None:
        await self._settle()
        pieces, self._pieces, self._pending = self._pieces, [], 0
        self._writing = asyncio.create_task(asyncio.to_thread(self._store, pieces))
        if self._unsynced >= SYNC_EVERY and (self._syncing is None or self._syncing.done()):
            self._unsynced = 0
            self._syncing = asyncio.create_task(asyncio.to_thread(os.fdatasync, self._descriptor))

    async def _settle(self) -> None:
        writing, self._writing = self._writing, None
        await _stored(writing)

    def _store(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._sha.update(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    async def finish(self) -> int:
        """Check the hash, make the blob durable and visible; returns its size in bytes.

        Raises `InvalidRequest` when the content does not match the key.
        """
        async with self._lock:
            return await self._finish()

    async def _finish(self) -> int:
        await self._flush()
        await self._settle()
        await _stored(self._syncing)
        if self._sha.hexdigest() != self._key:
            raise InvalidRequest(
                f"The body's SHA-256 is {self._sha.hexdigest()}, not {self._key}.", field="sha256"
            )
        self._writing = asyncio.create_task(asyncio.to_thread(self._publish))
        await self._settle()
        return self._size

    def _publish(self) -> None:
        assert self._path is not None
        os.fsync(self._descriptor)
        self._blobs.adopt(self._key, self._path, self._descriptor)
        self._path = None

    async def abort(self) -> None:
        """Leave nothing behind; does nothing after `finish`."""
        async with self._lock:
            with contextlib.suppress(Unavailable):
                await self._settle()
            with contextlib.suppress(Unavailable):
                await _stored(self._syncing)
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None


async def _stored(work: asyncio.Task[None] | None) -> None:
    try:
        if work is not None:
            await work
    except OSError as error:
        raise Unavailable(f"The server cannot store the blob: {error}.") from error


def _stamp(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _digest(descriptor: int) -> str:
    sha = hashlib.sha256()
    while piece := os.read(descriptor, PIECE):
        sha.update(piece)
    return sha.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
