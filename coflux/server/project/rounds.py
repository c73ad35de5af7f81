"""Looking again at many things that may look different, a portion at a time.

Why an execution is queued may change with any assignment; finding the reasons of a hundred thousand
at once would hold everything up. Belongs here: whose turn it is. Does not belong here: looking.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Things looked at again in one go.
PORTION = 200


class Rounds(Generic[K]):
    """Keys of what may have changed. Whoever has waited longest for a look is next."""

    def __init__(self) -> None:
        self._keys: dict[K, None] = {}
        self._due: dict[K, None] = {}

    @property
    def is_due(self) -> bool:
        """Whether something has not been looked at since `restart`."""
        return bool(self._due)

    def __len__(self) -> int:
        return len(self._keys)

    def set(self, key: K, may_change: bool) -> None:
        """It was just looked at; from now on it may change by itself, or not."""
        self._due.pop(key, None)
        if may_change:
            self._keys[key] = None
        else:
            self._keys.pop(key, None)

    def restart(self) -> None:
        """Something happened: all may look different."""
        for key in self._keys:
            self._due.setdefault(key)

    def take(self, most: int = PORTION) -> list[K]:
        """The next to be looked at."""
        found = list(zip(range(most), self._due, strict=False))
        for _, key in found:
            del self._due[key]
        return [key for _, key in found]
