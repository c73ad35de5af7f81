"""Log entries on their way to the server: in memory, and in a file when there are many.

Belongs here: keeping encoded entries in order. Does not belong here: making and sending them.
"""

from __future__ import annotations

import struct
import tempfile
from collections import deque
from typing import IO

_LENGTH = struct.Struct("<I")

#: Bytes of entries kept in memory.
_MEMORY = 4 * 1024 * 1024


class LogBuffer:
    """A queue of encoded entries, without a limit other than the disk's."""

    def __init__(self, memory: int = _MEMORY) -> None:
        self._limit = memory
        self._memory: deque[bytes] = deque()
        self._memory_size = 0
        #: Older than all in memory.
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._written_to = 0

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._memory_size + self._written_to - self._read_at

    def add(self, entry: bytes) -> None:
        """Put an entry at the end."""
        self._memory.append(entry)
        self._memory_size += len(entry)
        if self._memory_size > self._limit:
            self._move_to_file()

    def take(self, limit: int) -> list[bytes]:
        """Take entries from the front, up to `limit` bytes (but at least one, if there is one)."""
        taken: list[bytes] = []
        while limit > 0:
            entry = self._next()
            if entry is None:
                break
            limit -= len(entry)
            taken.append(entry)
        return taken

    def close(self) -> None:
        """Forget all."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> bytes | None:
        if self._file is not None:
            self._file.seek(self._read_at)
            (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
            entry = self._file.read(length)
            self._read_at += _LENGTH.size + length
            if self._read_at == self._written_to:
                self._file.close()
                self._file = None
                self._read_at = self._written_to = 0
            return entry
        if self._memory:
            entry = self._memory.popleft()
            self._memory_size -= len(entry)
            return entry
        return None

    def _move_to_file(self) -> None:
        if self._file is None:
            # Without a name: it is gone with the process, however that ends.
            self._file = tempfile.TemporaryFile(prefix="coflux-logs-")  # noqa: SIM115 - stays open
        data = b"".join(_LENGTH.pack(len(entry)) + entry for entry in self._memory)
        self._file.seek(self._written_to)
        self._file.write(data)
        self._file.flush()
        self._written_to += len(data)
        self._memory.clear()
        self._memory_size = 0
