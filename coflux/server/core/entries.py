"""The index of executions that may serve lookups in the cache (CA-6, CA-12, CA-13).

Belongs here: what facts change in it. Does not belong here: keys and lookups (`caching`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coflux.model import Returned
from coflux.server.core import changes as c
from coflux.server.core.entities import CacheEntry, CacheNote, Execution

if TYPE_CHECKING:
    from coflux.server.core.state import State

#: Newest entries of a namespace that a miss is compared with (CA-12).
NEAREST = 100
#: Values with one key and environment that are kept as candidates.
CANDIDATES = 32


def forget(state: State, x: c.CacheForgotten) -> None:
    """They serve no lookup from now on."""
    for execution in x.executions:
        state.forgotten[execution] = None
        drop(state, execution)


def check(state: State, x: c.CacheChecked) -> None:
    """An execution has looked, and may be found itself if it runs."""
    execution = state.executions[x.execution]
    if execution.cache is not None:  # its key has changed with what handles in it lead to
        drop(state, execution.id)
    note = execution.cache = CacheNote(x.key, x.namespace, x.parts)
    note.outcome, note.source, note.detail = x.outcome, x.source, x.detail
    if x.key is not None and x.source is None and x.execution not in state.forgotten:
        add(state, execution.id, execution.environment, note, execution.order)


def add(state: State, execution: str, environment: str, note: CacheNote, order: int) -> CacheEntry:
    """Index an execution that may serve lookups of its key."""
    assert note.key is not None
    entries = state.cache.setdefault((environment, note.key), {})
    if execution in entries:  # a finished run read again: its entry was there all the time
        state.entries[execution] = entries[execution]
        return entries[execution]
    entry = CacheEntry(execution, environment, note.key, note.namespace, order)
    entry.parts = note.parts
    entries[execution] = state.entries[execution] = entry
    if len(entries) > 2 * CANDIDATES:
        _thin_out(state, entries)
    newest = state.namespaces.setdefault(note.namespace, {})
    newest[execution] = entry
    while len(newest) > NEAREST:
        del newest[next(iter(newest))]
    return entry


def _thin_out(state: State, entries: dict[str, CacheEntry]) -> None:
    """Only the newest values can serve; so a lookup's cost does not grow with history."""
    valued = [entry for entry in entries.values() if entry.value_at is not None]
    for entry in sorted(valued, key=lambda e: e.order)[:-CANDIDATES]:
        drop(state, entry.execution)


def drop(state: State, id: str) -> None:
    """Take an execution out, if it is in."""
    entry = state.entries.pop(id, None)
    if entry is None:
        return
    entries = state.cache[entry.environment, entry.key]
    del entries[id]
    if not entries:
        del state.cache[entry.environment, entry.key]


def settle(state: State, execution: Execution, at: int) -> None:
    """An execution has a result: a value serves later lookups, nothing else does (CA-10)."""
    entry = state.entries.get(execution.id)
    if entry is None:
        return
    if isinstance(execution.result, Returned):
        entry.value_at, entry.code = at, execution.code
    else:
        drop(state, execution.id)
