"""Executions that may yet be deferred, by what makes them equal (DF-1).

Belongs here: the index, and keeping it true while handles come to lead elsewhere. Does not belong
here: who replaces whom (`deferral`).
"""

from __future__ import annotations

from typing import TypeVar

from coflux.server.core.entities import Execution

K = TypeVar("K")
#: Environment, key without references, and what those of the call lead to.
DeferKey = tuple[str, bytes, tuple[str, ...]]


class Unstarted:
    """Queued executions with a defer key that have not been assigned."""

    def __init__(self) -> None:
        self._equals: dict[DeferKey, dict[str, Execution]] = {}
        self._keys: dict[str, DeferKey] = {}
        self._by_end: dict[str, dict[str, Execution]] = {}

    def add(self, execution: Execution, key: DeferKey) -> None:
        """Take one in."""
        self._keys[execution.id] = key
        self._equals.setdefault(key, {})[execution.id] = execution
        for end in key[2]:
            self._by_end.setdefault(end, {})[execution.id] = execution

    def remove(self, id: str) -> None:
        """Forget one that has started or ended."""
        key = self._keys.pop(id, None)
        if key is None:
            return
        _discard(self._equals, key, id)
        for end in key[2]:
            _discard(self._by_end, end, id)

    def equal_to(self, id: str) -> list[Execution]:
        """All with the key of this one, itself included; empty when it is not here."""
        key = self._keys.get(id)
        return list(self._equals[key].values()) if key is not None else []

    def leading_to(self, end: str) -> list[Execution]:
        """Those whose key mentions this execution."""
        return list(self._by_end.get(end, {}).values())

    def twins(self, environment: str) -> list[list[Execution]]:
        """Groups of equal ones in an environment."""
        return [
            list(found.values())
            for key, found in self._equals.items()
            if key[0] == environment and len(found) > 1
        ]


def _discard(index: dict[K, dict[str, Execution]], key: K, id: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(id, None)
        if not found:
            del index[key]
