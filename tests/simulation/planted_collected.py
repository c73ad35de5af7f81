"""Faults planted into the removal of what is past its time: as in `planted`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coflux.server.core import changes as c
from coflux.server.core import retention
from coflux.server.core.state import _APPLY, State
from coflux.server.project.watching import Watch
from coflux.server.store import reaching
from tests.simulation.planted import Fault, replaced


def what_kept_runs_reach_is_removed() -> Any:
    """DM-2."""
    return replaced(retention, "_reached", lambda reaching, doomed: set())


def what_is_reached_goes_first() -> Any:
    """DM-2: what is there has not all that it reaches for a while."""
    return replaced(retention, "components", lambda things, before: [[each] for each in things])


def links_do_not_count() -> Any:
    """DM-2: values and assets are kept, sources of cached and deferred executions are not."""
    kinds = (c.ResultRecorded, c.CacheChecked, c.Depended)
    kept = {kind: find for kind, find in reaching._OF.items() if kind not in kinds}
    return replaced(reaching, "_OF", kept)


def nobody_looks_again() -> Any:
    """DM-2: what comes to be needed while it is decided goes nevertheless."""
    return replaced(Watch, "concerns", lambda self, runs: False)


@contextmanager
def nothing_is_checked_at_last() -> Iterator[None]:
    """DM-2: runs that go on or that something in memory leads to; nobody has looked again."""
    with (
        replaced(Watch, "concerns", lambda self, runs: False),
        replaced(retention, "_is_in_use", lambda state, id, event: False),
    ):
        yield


def pins_do_not_count() -> Any:
    """DM-2."""
    return replaced(retention, "needed", lambda state: set())


def caches_are_not_told() -> Any:
    """DM-2: what was removed goes on serving lookups."""

    def removed(state: State, change: c.RunsRemoved) -> None:
        old(state, c.RunsRemoved(change.runs, change.at, (), change.keys, change.assets))

    old = _APPLY[c.RunsRemoved]
    return replaced(_APPLY, c.RunsRemoved, removed)


def removals_are_not_kept() -> Any:
    """SE-10: after a restart everything is there again."""
    return replaced(c.RunsRemoved, "DURABLE", False)


FAULTS_OF_COLLECTION: tuple[Fault, ...] = (
    what_kept_runs_reach_is_removed,
    what_is_reached_goes_first,
    links_do_not_count,
    nobody_looks_again,
    nothing_is_checked_at_last,
    pins_do_not_count,
    caches_are_not_told,
    removals_are_not_kept,
)
