"""The agent's folder for the directories of executions, and those that dead agents left.

Belongs here: making and removing such folders. Does not belong here: what is in them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "coflux-agent-"
_LOCK = ".lock"
#: A folder that has changed within so many seconds may be one that is just being made.
_FRESH_S = 60.0


class Folder:
    """A folder that is locked as long as its agent lives."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_abandoned() -> None:
    """Remove the folders of agents of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if path.lstat().st_uid == os.getuid() and _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            # Somebody else has removed it.
            continue


def _is_abandoned(path: Path) -> bool:
    if time.time() - path.lstat().st_mtime < _FRESH_S:
        return False
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
