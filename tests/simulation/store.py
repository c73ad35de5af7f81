"""What survives a crash of the server: a list, or the real store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol

from coflux.model import run_of
from coflux.server.core.changes import Change, RunCreated, RunFinished, RunPinned, RunsRemoved
from coflux.server.core.retention import Family
from coflux.server.core.state import State
from coflux.server.store import reaching
from coflux.server.store.removal import Proposal, Survey, Terms
from coflux.server.store.store import Store as DatabaseStore


class Disk(Protocol):
    """Where changes are kept."""

    def open(self, state: State) -> None:
        """Apply what a start of the server needs."""

    def write(self, changes: list[Change]) -> None:
        """Keep a batch, all of it or nothing."""

    def family(self, run: str) -> list[Change]:
        """The changes of a run and its family."""

    def survey(self, terms: Terms) -> Survey:
        """All families, and which run reaches which."""

    def propose(self, runs: tuple[str, ...], state: State) -> Proposal:
        """What memory has of runs that are to go."""

    def close(self) -> None:
        """The server has died."""

    def remove(self) -> None:
        """The history is over."""


class ListDisk:
    """Changes in a list."""

    def __init__(self) -> None:
        self.journal: list[Change] = []
        self.roots: dict[str, str] = {}

    def open(self, state: State) -> None:
        """Everything: indexes of what is finished come with it."""
        state.load(self.journal)

    def write(self, changes: list[Change]) -> None:
        for change in changes:
            if change.DURABLE:
                self.journal.append(change)
                if isinstance(change, RunCreated):
                    self.roots[change.run] = change.root or change.run
                elif isinstance(change, RunsRemoved):
                    for run in change.runs:
                        self.roots.pop(run, None)

    def family(self, run: str) -> list[Change]:
        root = self.roots.get(run)
        return [c for c in self.journal if root is not None and self.roots.get(_run(c)) == root]

    def survey(self, terms: Terms) -> Survey:
        """As the real one, from the whole journal."""
        state = State()
        state.load(self.journal)
        links = [
            (_run(change), target)
            for change in self.journal
            for target in reaching.of_change(change)
            if _run(change) in self.roots and target in self.roots
        ]
        ends = {x.run: x.at for x in self.journal if isinstance(x, RunFinished)}
        return Survey([_family(state, root, ends, terms) for root in state.families], links)

    def propose(self, runs: tuple[str, ...], state: State) -> Proposal:
        entries = tuple(id for id in state.entries if run_of(id) in runs)
        keys = tuple(key for key, known in state.idempotency.items() if known[0] in runs)
        return Proposal(runs, entries, keys)

    def close(self) -> None:
        """Nothing to let go of."""

    def remove(self) -> None:
        """Nothing to remove."""


class DatabaseDisk:
    """The real SQLite store in a directory of its own."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir=_memory())
        self._store: DatabaseStore | None = None
        self.journal: list[Change] = []

    def open(self, state: State) -> None:
        self._store = DatabaseStore(Path(self._directory.name), state)
        self._store.load(state)

    def write(self, changes: list[Change]) -> None:
        assert self._store is not None
        self._store.write(changes)
        self.journal += [change for change in changes if change.DURABLE]

    def family(self, run: str) -> list[Change]:
        assert self._store is not None
        return self._store.reader.family(run)

    def survey(self, terms: Terms) -> Survey:
        assert self._store is not None
        return self._store.removal.survey(terms)

    def propose(self, runs: tuple[str, ...], state: State) -> Proposal:
        assert self._store is not None
        return self._store.removal.propose(runs)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def remove(self) -> None:
        self.close()
        self._directory.cleanup()


def _run(change: Change) -> str:
    if isinstance(change, RunPinned):
        return ""  # read at every start
    run = getattr(change, "run", None)
    if run is not None:
        return str(run)
    id = getattr(change, "execution", None) or getattr(change, "parent", None)
    return run_of(id) if id is not None else ""


def _family(state: State, root: str, ends: dict[str, int], terms: Terms) -> Family:
    runs = [state.runs[run] for run in state.families[root]]
    must_stay = any(
        run.status is None or run.id in terms.needed
        or (run.idempotency_key and run.created_at + terms.keys_kept > terms.now)
        or any(asked.is_open for asked in run.inputs.values())
        for run in runs
    )  # fmt: skip
    ended_at = max(ends.get(run.id, 0) for run in runs)
    until = max(ends.get(run.id, 0) + terms.runs_kept[run.environment] for run in runs)
    return Family(root, tuple(run.id for run in runs), None if must_stay else ended_at, until)


def _memory() -> str | None:
    """A directory that is in memory, where there is one: safety of the disk is not the subject."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None
