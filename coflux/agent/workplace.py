"""The directories that executions work in: each its own, empty, and soon gone.

Belongs here: making and removing them. On a busy disk that takes as long as a small task, so an
empty one becomes the next one by another name. Does not belong here: the folder they are in, and
what killed executors leave (`pool`).
"""

from __future__ import annotations

import os


def path_of(folder: str, ticket: int, count: int = 1) -> str:
    """Where the count-th execution of an executor works."""
    return f"{folder}/{ticket}.{count}"


class Workplace:
    """The directory at hand in an executor, which is its working directory.

    The first one has been made already.
    """

    def __init__(self, folder: str, ticket: int) -> None:
        self._folder = folder
        self._ticket = ticket
        self._count = 1
        self.directory = path_of(folder, ticket)
        os.chdir(self.directory)

    def renew(self) -> None:
        """Leave the directory, and be in another."""
        self._count += 1
        old, new = self.directory, path_of(self._folder, self._ticket, self._count)
        if not _moved(old, new):
            os.mkdir(new)
            # Late: executors are forked with what is imported, and this brings three compressors.
            import shutil

            shutil.rmtree(old, ignore_errors=True)
        os.chdir(new)
        self.directory = new


class Spares:
    """The first directories of executors, made by their parent.

    In a fresh process everything costs more: each page of memory that it touches is copied.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._spares: list[str] = []

    def give(self, ticket: int) -> None:
        """Make the directory of an executor to come."""
        path = path_of(self._folder, ticket)
        if not self._spares or not _moved(self._spares.pop(), path):
            os.mkdir(path)

    def take_back(self, ticket: int) -> bool:
        """The executor has ended; its directory serves another, if it is as it was.

        Returns whether it is.
        """
        spare = f"{self._folder}/spare.{ticket}"
        is_moved = _moved(path_of(self._folder, ticket), spare)
        if is_moved:
            self._spares.append(spare)
        return is_moved


def _moved(old: str, new: str) -> bool:
    """Rename an empty directory whose mode is the usual one; False if it is not so."""
    try:
        if os.listdir(old) or os.stat(old).st_mode & 0o777 != _MODE:
            return False
        os.rename(old, new)
    except OSError:
        return False
    return True


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o777 & ~mask


_MODE = _usual_mode()
