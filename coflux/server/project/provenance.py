"""Whether what an agent tells of an execution is for it to tell (LI-1, ST-6).

Belongs here: the check of log entries and points of metrics, which go round the core. Does not
belong here: everything else that agents say, which the core checks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

from coflux.model import LogEntry, Measurement
from coflux.server.core.ids import parse
from coflux.server.project.orchestrator import Orchestrator

#: Executions of which the answer is remembered: they have many lines.
_REMEMBERED = 4_096
#: Larger numbers have no place in the store, nor in JSON as browsers read it.
_MOST = 2**53

T = TypeVar("T", LogEntry, Measurement)


class Provenance:
    """What one session may tell of."""

    def __init__(self, orchestrator: Orchestrator, session: str) -> None:
        self._orchestrator = orchestrator
        self._session = session
        self._own: OrderedDict[str, None] = OrderedDict()

    def sift(self, entries: Iterable[T]) -> list[T]:
        """Those of executions that the session has or had, with numbers that can be kept."""
        return [x for x in entries if _is_sane(x) and self._is_own(x.execution)]

    def _is_own(self, execution: str) -> bool:
        if execution in self._own:
            return True
        if not self._was_given(execution):
            return False
        self._own[execution] = None
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)
        return True

    def _was_given(self, execution: str) -> bool:
        parts = parse(execution)
        if parts is None or parts.attempt is None:
            return False
        live = self._orchestrator.machine.state
        found = live.executions.get(execution)
        if found is None:
            # Told late, of a run that has been moved aside (DM-1).
            archived = self._orchestrator.state_with(parts.run)
            found = archived.executions.get(execution) if archived is not None else None
        if found is None or found.assigned_to is None:
            return False
        if found.assigned_to == self._session:
            return True
        # What a lost session has left behind, its successor may deliver.
        own = live.sessions.get(self._session)
        is_lost = found.assigned_to not in live.sessions
        return own is not None and is_lost and found.environment == own.environment


def _is_sane(entry: LogEntry | Measurement) -> bool:
    if isinstance(entry, LogEntry):
        return 0 < entry.seq < _MOST and abs(entry.at) < _MOST
    return True
