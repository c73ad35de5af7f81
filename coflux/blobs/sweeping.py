"""Removing blobs of a folder that nothing needs, while others store and read blobs there (DM-3).

A blob that is stored again, or asked for by somebody who means to rely on it, counts as written now
(its file's time is set). Between looking at that time and removing the file it may happen: so the
file is first moved aside, looked at again there, and put back if it is wanted. Whoever has set the
time looks whether the file is still in its place, and otherwise stores the blob anew.

Belongs here: files. Does not belong here: what is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from coflux.blobs.store import is_key

#: Names of files that are moved aside, in the folder for files in the making.
_ASIDE = "removed-"


def unneeded(
    folder: Path, is_needed: Callable[[str], bool], before: float
) -> Iterator[tuple[str, int]]:
    """Key and size of every blob that is not needed and was last written before (seconds UTC)."""
    for part in _entries(folder):
        if len(part.name) == 2:
            for entry in _entries(Path(part.path)):
                with suppress(FileNotFoundError):
                    found = entry.stat()
                    if is_key(entry.name) and not is_needed(entry.name) and found.st_mtime < before:
                        yield entry.name, found.st_size


def sizes(folder: Path) -> Iterator[int]:
    """Bytes of each blob."""
    return (size for _, size in unneeded(folder, lambda key: False, float("inf")))


def remove(folder: Path, key: str, is_needed: Callable[[str], bool], before: float) -> bool:
    """Remove a blob, unless it has come to be needed or was written since."""
    place = folder / key[:2] / key
    aside = folder / "tmp" / f"{_ASIDE}{key}"
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        os.rename(place, aside)
    except FileNotFoundError:
        return False
    is_wanted = is_needed(key) or aside.stat().st_mtime >= before
    if is_wanted:
        with suppress(FileExistsError):  # stored anew in the meantime
            os.link(aside, place)
    aside.unlink()
    return not is_wanted


def put_back(folder: Path) -> None:
    """Give those that were moved aside by a process that was killed then their place again."""
    for entry in _entries(folder / "tmp"):
        key = entry.name.removeprefix(_ASIDE)
        if entry.name.startswith(_ASIDE) and is_key(key):
            with suppress(FileExistsError):
                os.link(entry.path, folder / key[:2] / key)
            os.unlink(entry.path)


def remove_unfinished(folder: Path, before: float) -> int:
    """Remove what was left in the making by writers that died; how many files.

    One that is still written to has been written to since.
    """
    count = 0
    for entry in _entries(folder / "tmp"):
        with suppress(FileNotFoundError):
            if entry.stat().st_mtime < before and not entry.name.startswith(_ASIDE):
                os.unlink(entry.path)
                count += 1
    return count


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
