"""The data directory: fit for a database, and one server's alone (DM-5).

Belongs here: the lock, and file systems on which SQLite cannot be trusted. Does not belong here:
what is in the directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from coflux.errors import Conflict, InvalidRequest

#: Their locks and shared memory do not do what SQLite's write-ahead log needs.
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "fuse.sshfs")
_SOCKETS_PREFIX = "coflux-"
#: Addresses of Unix sockets end at 107 bytes.
_MAX_SOCKET_FOLDER = 70


def prepare(path: Path, mounts: str | None = None) -> Path:
    """Create the directory if need be; returns its real path.

    `mounts` has the form of `/proc/self/mounts`. Raises `InvalidRequest` for a directory that
    cannot be used, saying why.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(f"The data directory {path} cannot be made: {error}.") from error
    path = path.resolve()
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise InvalidRequest(f"The data directory {path} cannot be written to.")
    kind = file_system(path, _read_mounts() if mounts is None else mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise InvalidRequest(
            f"The data directory {path} is on a network file system ({kind}), where a database is"
            " not safe; choose one on a local disk with --data-dir."
        )
    return path


def _read_mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text("utf-8", "replace")
    except OSError:
        # Not Linux: nothing is known, nothing is refused.
        return ""


def file_system(path: Path, mounts: str) -> str | None:
    """Type of the file system that holds `path`, from text like `/proc/self/mounts`."""
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].encode().decode("unicode_escape"))
        # Of two mounts on one point the later hides the earlier.
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = (len(point.parts), fields[2])
    return found[1] if found else None


class Lock:
    """The right to be the directory's only server; ends with the process at the latest."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "server.lock"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = self._read()
            self._close()
            who = f" (pid {owner['pid']}, {owner.get('url', 'starting')})" if "pid" in owner else ""
            raise Conflict(
                f"A coflux server is running on {data_dir} already{who}; use it, stop it, or choose"
                " another --data-dir."
            ) from error
        self._remove_sockets(self._read().get("sockets"))

    def write(self, **facts: Any) -> None:
        """Say who holds the lock, for those who find it held."""
        content = json.dumps({"pid": os.getpid(), **facts}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(os.pread(self._descriptor, 65536, 0))
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def _remove_sockets(self, stale: object) -> None:
        """A server that was killed could not remove its folder of sockets."""
        if isinstance(stale, str) and Path(stale).name.startswith(_SOCKETS_PREFIX):
            shutil.rmtree(stale, ignore_errors=True)

    def release(self) -> None:
        """Let another server in."""
        os.ftruncate(self._descriptor, 0)
        self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def make_socket_folder(data_dir: Path) -> Path:
    """A private folder whose path leaves room for the names of sockets.

    In the data directory where that is short enough, so that local agents find a project's socket
    at the same place after a restart.
    """
    folder = data_dir / "sockets"
    if len(os.fsencode(folder)) <= _MAX_SOCKET_FOLDER:
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _MAX_SOCKET_FOLDER:
        parent = "/tmp"
    return Path(tempfile.mkdtemp(prefix=_SOCKETS_PREFIX, dir=parent))
