"""Following a run over plain HTTP: which of its steps changed since a cursor.

Belongs here: numbering changes of the runs that somebody follows. Does not belong here: how a step
is shown (`views`), live views over a WebSocket (`topics`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import OrderedDict

from coflux.model import LINKS, run_of
from coflux.server.core import changes as c
from coflux.server.core.entities import Run
from coflux.server.core.state import State

#: Runs followed at once; a forgotten one is told whole again.
FOLLOWED = 256


class Track:
    """When each step of a run changed last, in counts of this track."""

    def __init__(self) -> None:
        self.seq = 0
        self.steps: dict[int, int] = {}
        #: Steps that led to something unresolved when they were last looked at.
        self.open: set[int] = set()
        self.changed = asyncio.Event()

    def touch(self, number: int | None) -> None:
        """A step changed, or only the run itself."""
        self.seq += 1
        if number is not None:
            self.steps[number] = self.seq
        self.changed.set()
        self.changed = asyncio.Event()


class Following:
    """The runs that are followed."""

    def __init__(self) -> None:
        self._tracks: OrderedDict[str, Track] = OrderedDict()
        #: Cursors of an earlier process mean nothing here.
        self._epoch = secrets.token_hex(4)

    def track(self, run: str) -> Track:
        """The track of a run, begun now if need be."""
        track = self._tracks.setdefault(run, Track())
        self._tracks.move_to_end(run)
        while len(self._tracks) > FOLLOWED:
            self._tracks.popitem(last=False)
        return track

    def committed(self, changes: list[c.Change]) -> None:
        """Take note of what changed in runs that are followed."""
        if not self._tracks:
            return
        for change in changes:
            id = getattr(change, "execution", None) or getattr(change, "parent", None)
            run = getattr(change, "run", None) or (run_of(id) if id else None)
            track = self._tracks.get(run) if run is not None else None
            if track is not None:
                track.touch(_step(change, id))

    def cursor(self, track: Track) -> str:
        """What a client sends to hear what changes from now on."""
        return f"{self._epoch}.{track.seq}"

    def read_cursor(self, track: Track, text: str | None) -> int | None:
        """The count that a cursor stands for; None when all has to be told."""
        epoch, _, seq = (text or "").partition(".")
        if epoch != self._epoch or not seq.isdigit() or int(seq) > track.seq:
            return None
        return int(seq)

    async def wait(self, track: Track, seq: int, seconds: float) -> None:
        """Until something changes after `seq`, or the time is up."""
        if track.seq > seq or seconds <= 0:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(track.changed.wait(), seconds)

    def steps_since(self, track: Track, state: State, run: Run, seq: int | None) -> list[int]:
        """Numbers of the steps that look different since then (None: all), in order."""
        if seq is None:
            numbers = set(run.steps)
        else:
            changed = {n for n, at in track.steps.items() if at > seq and n in run.steps}
            numbers = changed | track.open
        track.open = {n for n in numbers if _is_open(state, run, n)}
        return sorted(numbers)


def _step(change: c.Change, id: str | None) -> int | None:
    if isinstance(change, c.StepCreated):
        return change.step
    return int(id.split(":")[1]) if id is not None and ":" in id else None


def _is_open(state: State, run: Run, number: int) -> bool:
    latest = run.steps[number].executions[-1]
    return isinstance(latest.result, LINKS) and not state.is_resolved(latest.id)
