"""The agent's disk: which session it has, and outcomes that the server has not acknowledged.

Belongs here: private files that let outcomes, and the session, outlive the agent process (SE-2,
SE-4). Does not belong here: when something is written, and talking to the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from pathlib import Path

import msgspec
import platformdirs

from coflux.model import Record


class Ticket(Record):
    """What the server gave for a session."""

    session: str
    token: str
    #: Path of the project's socket, where it is on this machine.
    socket: str | None = None
    #: Folder of the project's blobs, where it is on this machine.
    blobs: str | None = None
    project: str = ""
    environment: str = ""


#: How long the file of a dead agent is kept, in seconds: longer than any reconnection window.
_KEPT_S = 24 * 3600

_LENGTH = struct.Struct("<I")


class Spool:
    """The file of one session: its ticket, then outcomes as they are added.

    Its lock says that the agent which has it is alive.
    """

    def __init__(self, path: Path, descriptor: int, ticket: Ticket, outcomes: list[bytes]) -> None:
        self._path = path
        self._descriptor = descriptor
        self.ticket = ticket
        #: Encoded `wire.Ended` messages that the dead owner of the file left.
        self.outcomes = outcomes
        self._has_outcomes = bool(outcomes)

    @classmethod
    def create(cls, folder: Path, ticket: Ticket) -> Spool:
        """Begin a file for a new session."""
        _tidy(folder.parent)
        path = folder / f"{ticket.session}.session"
        try:
            descriptor = _create(path)
        except FileNotFoundError:
            # Another agent found the folder empty, and removed it, in between.
            descriptor = _create(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool = cls(path, descriptor, ticket, [])
        spool.reset()
        return spool

    @classmethod
    def take_over(cls, folder: Path) -> Spool | None:
        """The file of a session whose agent has died, if there is one; the newest."""
        if not folder.is_dir():
            return None
        for path in sorted(folder.glob("*.session"), key=_changed_at, reverse=True):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink:
                    ticket, outcomes = _read(descriptor)
                    return cls(path, descriptor, ticket, outcomes)
                os.close(descriptor)
            except BlockingIOError:
                os.close(descriptor)
            except (msgspec.DecodeError, IndexError):
                # Not even the ticket was written, by a machine that lost its power.
                path.unlink(missing_ok=True)
                os.close(descriptor)
        return None

    def add(self, outcomes: list[bytes]) -> None:
        """Keep encoded `wire.Ended` messages; they are on the disk when this returns."""
        os.write(self._descriptor, b"".join(_framed(outcome) for outcome in outcomes))
        os.fsync(self._descriptor)
        self._has_outcomes = True

    def clear(self) -> None:
        """All outcomes have been acknowledged."""
        if self._has_outcomes:
            self.reset()

    def reset(self) -> None:
        """Write the file anew, with the ticket alone."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, _framed(msgspec.msgpack.encode(self.ticket)))
        os.fsync(self._descriptor)
        self._has_outcomes = False

    def remove(self) -> None:
        """The session is over."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        _remove_empty(self._path.parent)


def folder_for(host: str, project: str, environment: str) -> Path:
    """Where the sessions with this server, project and environment are kept."""
    name = hashlib.sha256(f"{host}\n{project}\n{environment}".encode()).hexdigest()[:32]
    return Path(platformdirs.user_state_dir("coflux")) / "agents" / name


def _create(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _tidy(folder: Path) -> None:
    """Remove what agents left behind whose sessions are lost by now."""
    if not folder.is_dir():
        return
    for path in folder.glob("*/*.session"):
        if time.time() - _changed_at(path) < _KEPT_S:
            continue
        try:
            with path.open("rb") as file:
                # Held by whoever is alive, however old the file is.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:
            continue
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # Another agent's file is in it.
        return


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _read(descriptor: int) -> tuple[Ticket, list[bytes]]:
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.lseek(descriptor, 0, os.SEEK_END)
    records: list[bytes] = []
    position = 0
    while position + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size + length
        if position > len(data):
            # The last one was cut off when its writer died: it had not been promised.
            break
        records.append(data[position - length : position])
    return msgspec.msgpack.decode(records[0], type=Ticket), records[1:]
