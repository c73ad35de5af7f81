"""The file by which programs of the same user find this server.

Belongs here: writing it, removing it, and clearing away what killed servers left. Reading it is
`coflux.config`'s part.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

from coflux.config import runtime_directory
from coflux.errors import InvalidRequest

#: Files of servers in this process; one with our pid that is not among them is a dead process's.
_ours: set[Path] = set()


def write(url: str, token: str | None, data_dir: Path, directory: Path | None = None) -> Path:
    """Write the runtime file, readable by its user only; returns its path.

    `directory` replaces the user's runtime directory. Raises `InvalidRequest` for one that
    belongs to somebody else.
    """
    if directory is None:
        directory = runtime_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise InvalidRequest(f"{directory} belongs to another user; set XDG_RUNTIME_DIR.")
    _clear(directory)
    content = {"url": url, "token": token, "pid": os.getpid(), "data_dir": str(data_dir)}
    temporary = directory / f".server-{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    path = next(path for path in _names(directory) if path not in _ours)
    temporary.replace(path)
    _ours.add(path)
    return path


def remove(path: Path) -> None:
    """Remove a file that `write` made."""
    path.unlink(missing_ok=True)
    _ours.discard(path)


def _names(directory: Path) -> itertools.chain[Path]:
    pid = os.getpid()
    more = (directory / f"server-{pid}-{number}.json" for number in itertools.count(2))
    return itertools.chain([directory / f"server-{pid}.json"], more)


def _clear(directory: Path) -> None:
    for path in directory.glob("server-*.json"):
        pid = path.stem.split("-")[1]
        if path not in _ours and pid.isdigit() and not _is_other_alive(int(pid)):
            path.unlink(missing_ok=True)


def _is_other_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
