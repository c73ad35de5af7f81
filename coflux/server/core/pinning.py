"""Runs that somebody wants kept for ever (DM-2).

Belongs here: setting and taking away the mark. Does not belong here: whether the run exists and who
may (the edge knows, also of runs that are only in the store), and what removes runs.
"""

from __future__ import annotations

from coflux.server.core.changes import RunPinned
from coflux.server.core.effects import Confirm
from coflux.server.core.events import PinRequested
from coflux.server.core.turn import Turn


def requested(turn: Turn, event: PinRequested) -> None:
    """Somebody pins or unpins a run; one that is so already keeps the mark of who was first."""
    if event.is_pinned != (event.run in turn.state.pinned):
        turn.record(RunPinned(event.run, event.is_pinned, event.to.by, turn.now))
    turn.send(Confirm(event.to, {"run": event.run}))
