"""Removing what nobody needs any more, now and then and when somebody asks for it (DM-2, DM-3).

A pass looks at the store and has it decided what may go in another thread, then takes it out in
steps of a few milliseconds on the loop, with pauses. What is committed meanwhile is watched: when
somebody comes to need what was to go, the pass looks again. Belongs here: the order of it, and the
pace. Does not belong here: what may go (`core.retention`), rows (`store.removal`), files
(`blobs.sweeping`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from peewee import OperationalError

from coflux.blobs import sweeping
from coflux.server.core import retention
from coflux.server.core.retention import Family
from coflux.server.project.blob_sweep import BlobSweep
from coflux.server.project.kept_graphs import KeptGraphs
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.pacing import PORTION, Pace, breathe
from coflux.server.project.watching import Watch
from coflux.server.store.reader import Place
from coflux.server.store.removal import Proposal, Terms, give_back
from coflux.server.store.trimming import Mark

log = logging.getLogger("coflux.project")
T = TypeVar("T")

#: Seconds from the start of the process to the first pass, and between two passes.
FIRST_S, EVERY_S = 300.0, 3_600.0
#: Seconds until what the process before has left is taken up.
SOON_S = 2.0
#: Without so many bytes free, no rows are removed: that takes room before it gives any.
ROOM = 32 * 1024 * 1024
#: Runs removed in one commit, and entries of the cache in one.
RUNS, ENTRIES = 25, 2_000
#: How long, in ms, the rows of a session or launch are kept after its end.
ENDED_MS = 24 * 3_600_000
#: Instants of each schedule whose outcome is kept.
INSTANTS = 1_000
#: Lines that could have been removed in the time that it takes to look for those of a run.
LOOK = 10
#: How often a pass looks again because something changed.
TRIES = 5
#: Passes that are remembered.
REMEMBERED = 20


@dataclass
class Pass:
    """One pass: what it has removed, or would remove."""

    number: int
    is_dry: bool
    runs: int = 0
    assets: int = 0
    lines: int = 0
    blobs: int = 0
    #: Of rows and blobs.
    bytes: int = 0
    problem: str | None = None
    is_begun: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Collector:
    """A project's passes, one after the other."""

    def __init__(self, orchestrator: Orchestrator, blobs: Path, graphs: KeptGraphs) -> None:
        self._orchestrator = orchestrator
        self._blobs = blobs
        self._graphs = graphs
        self._turn = asyncio.Lock()
        self._passes: dict[int, Pass] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._is_closing = False

    def start(self) -> None:
        """Begin to make passes by the clock; the loop must be running."""
        sweeping.put_back(self._blobs)
        self._spawn(self._go_on())

    async def close(self) -> None:
        """Stop; what is not finished is finished the next time."""
        self._is_closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def get(self, number: int) -> Pass | None:
        """A pass of the last ones."""
        return self._passes.get(number)

    def begin(self, is_dry: bool = False) -> Pass:
        """A pass that begins now, or when those before it are done."""
        waiting = (p for p in self._passes.values() if not p.is_begun and p.is_dry == is_dry)
        found = next(waiting, None)
        if found is None:
            self._count += 1
            found = self._passes[self._count] = Pass(self._count, is_dry)
            self._passes.pop(self._count - REMEMBERED, None)
            self._spawn(self._make(found))
        return found

    async def _go_on(self) -> None:
        # A process that was killed may have left work half-done; nobody sees it, so there is time.
        await asyncio.sleep(SOON_S)
        with contextlib.suppress(OperationalError):
            async with self._turn:
                await self._clear()
        await asyncio.sleep(FIRST_S)
        while True:
            await self.begin().done.wait()
            await asyncio.sleep(EVERY_S)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, made: Pass) -> None:
        try:
            async with self._turn:
                made.is_begun = True
                await self._collect(made)
        except Exception as error:
            # A full disk, say: the next pass tries again.
            log.exception("removing what nobody needs failed")
            made.problem = str(error) or type(error).__name__
        finally:
            made.done.set()

    # --- a pass -----------------------------------------------------------------------------------

    async def _collect(self, made: Pass) -> None:
        watch = Watch()
        listeners = self._orchestrator.listeners
        listeners.append(watch.committed)
        try:
            if made.is_dry:
                await self._foresee(made, watch)
                return
            if shutil.disk_usage(self._blobs.parent).free >= ROOM:
                await self._remove_rows(made, watch)
            sweep = BlobSweep(self._orchestrator, self._blobs, watch)
            blobs, size = await self._aside(sweep.remove, lambda: self._is_closing)
            made.blobs += blobs
            made.bytes += size
        finally:
            listeners.remove(watch.committed)

    async def _remove_rows(self, made: Pass, watch: Watch) -> None:
        for _ in range(TRIES):
            if await self._remove_runs(made, watch):
                break
        await self._remove_assets(made)
        await self._clear()
        await self._trim(made)
        await self._drop_rows()
        for run in self._graphs.known():
            if not self._orchestrator.store.reader.is_there(run):
                self._graphs.drop(run)
        await self._give_back()

    async def _foresee(self, made: Pass, watch: Watch) -> None:
        runs = list(_runs(await self._decide()))
        made.runs = len(runs)
        made.bytes = await self._aside(self._orchestrator.store.removal.sizes, runs)
        sweep = BlobSweep(self._orchestrator, self._blobs, watch, runs)
        made.blobs, size = await self._aside(sweep.count)
        made.bytes += size

    async def _remove_runs(self, made: Pass, watch: Watch) -> bool:
        """Whether all that was to go has gone; else look again."""
        watch.noted.clear()
        groups = await self._decide()
        going = {*_runs(groups)}
        removal = self._orchestrator.store.removal
        for batch in _batches(groups):
            runs = tuple(_runs(batch))
            size = await self._aside(removal.sizes, runs)
            found = await self._aside(removal.propose, runs)
            while len(found.entries) > ENTRIES:
                # So many would take too long at once; their lookups miss a moment earlier.
                self._orchestrator.remove(Proposal((), found.entries[:ENTRIES], ()))
                found = found._replace(entries=found.entries[ENTRIES:])
                await breathe()
            if watch.concerns(going) or not self._orchestrator.remove(found):
                return False
            for run in runs:
                self._graphs.drop(run)
            made.runs += len(runs)
            made.bytes += size
            await breathe()
        return True

    async def _decide(self) -> list[list[Family]]:
        """What may go now."""
        terms = self._terms()

        def decide() -> list[list[Family]]:
            found = self._orchestrator.store.removal.survey(terms)
            every = sweeping.unneeded(self._blobs, lambda key: False, float("inf"))
            sizes = dict(every) if terms.limits else {}
            return retention.removable(
                found.families, found.links, terms.now, terms.limits, sizes
            )  # fmt: skip

        return await self._aside(decide)

    def _terms(self) -> Terms:
        state = self._orchestrator.machine.state
        limits = {e: state.setting(e, "runs_kept_bytes") for e in state.environments}
        return Terms(
            self._orchestrator.now(),
            {e: state.setting(e, "runs_kept_ms") for e in state.environments},
            {environment: limit for environment, limit in limits.items() if limit},
            state.defaults.idempotency_ms,
            frozenset(retention.needed(state)),
        )

    async def _remove_assets(self, made: Pass) -> None:
        removal = self._orchestrator.store.removal
        while found := await self._aside(removal.unreached_assets, PORTION):
            gone = tuple(asset for asset in found if not removal.is_reached(asset))
            if not gone:
                return
            self._orchestrator.remove(Proposal((), (), ()), gone)
            made.assets += len(gone)
            await breathe()

    async def _clear(self) -> None:
        """What is left of runs that were removed, also before the process was started."""
        removal, trimming = self._orchestrator.store.removal, self._orchestrator.logs.trimming
        pace = Pace()
        while runs := removal.leftovers(RUNS):
            with pace.step():
                left = pace.portion
                for run in runs:
                    left -= trimming.clear(run, left)
                    if left <= 0:
                        break
                    self._graphs.drop(run)
                if left > 0:
                    removal.clear(runs, left)
            self._orchestrator.metrics.forget()
            await breathe()

    async def _drop_rows(self) -> None:
        """Rows that would be read at every start and say nothing any more, and old instants."""
        removal = self._orchestrator.store.removal
        rows = await self._aside(removal.stale, self._orchestrator.now() - ENDED_MS)
        rows += await self._aside(removal.stale_instants, INSTANTS)
        pace = Pace()
        while rows:
            with pace.step():
                removal.drop(rows[: pace.portion])
                rows = rows[pace.portion :]
            await breathe()

    async def _trim(self, made: Pass) -> None:
        """Lines and points that have been there for too long."""
        trimming = self._orchestrator.logs.trimming
        now, state = self._orchestrator.now(), self._orchestrator.machine.state
        kept = {e: state.setting(e, "logs_kept_ms") for e in state.environments}
        periods = [ms for ms in kept.values() if ms]
        if periods:
            trimming.mark(now, min(3_600_000, min(periods) // 24))
        due = await self._aside(self._old_lines, kept, frozenset(state.pinned), now)
        pace = Pace()
        while due:
            with pace.step():
                left = pace.portion
                while due and left > 0:
                    gone = trimming.trim(*due[-1], left)
                    made.lines += gone
                    if gone < left:
                        due.pop()
                    left -= gone + LOOK
            await breathe()
        if periods:
            trimming.forget_marks(now - max(periods))

    def _old_lines(
        self, kept: Mapping[str, int], pinned: Collection[str], now: int
    ) -> list[tuple[str, Mark]]:
        """Runs that may have lines from before their time, each with how far that goes.

        Whoever pins a run means its lines as well.
        """
        trimming = self._orchestrator.logs.trimming
        marks = {ms: trimming.mark_at(now - ms) for ms in {1, *kept.values()} if ms}
        runs = trimming.runs()
        places = self._orchestrator.store.reader.places_of_runs()  # later: each is there, or gone
        whole = {places[run].root for run in pinned if run in places}
        found = []
        for run in runs:
            # Of a run that is no more: they came in late.
            place = places.get(run, Place("", "", 0))
            ms = kept.get(place.environment, 1)
            is_old = ms and place.created_at <= now - ms and place.root not in whole
            if is_old and marks[ms] != Mark(0, 0):
                found.append((run, marks[ms]))
        return found

    async def _give_back(self) -> None:
        for database in (self._orchestrator.store.database, self._orchestrator.logs.database):
            pace, left = Pace(), 1
            while left:
                with pace.step():
                    left = give_back(database, pace.portion)
                await breathe()

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do it in another thread, with a connection of its own."""
        orchestrator = self._orchestrator

        def do() -> T:
            try:
                return work(*arguments)
            finally:
                orchestrator.store.release_thread()
                orchestrator.logs.release_thread()

        return await asyncio.to_thread(do)


def _runs(groups: Iterable[list[Family]]) -> Iterator[str]:
    return (run for group in groups for family in group for run in family.runs)


def _batches(groups: list[list[Family]]) -> Iterator[list[list[Family]]]:
    """The groups in the same order, in batches with not too many runs each."""
    batch: list[list[Family]] = []
    count = 0
    for group in groups:
        size = sum(len(family.runs) for family in group)
        if batch and count + size > RUNS:
            yield batch
            batch, count = [], 0
        batch.append(group)
        count += size
    if batch:
        yield batch
