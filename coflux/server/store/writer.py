"""Writing a batch of changes in one transaction.

Belongs here: which rows a change becomes. Does not belong here: when to write, reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from peewee import SqliteDatabase

from coflux.model import Returned, run_of
from coflux.server.core import changes as c
from coflux.server.core.state import State
from coflux.server.store import codec, reaching

_INSERT = "INSERT INTO journal (seq, run, data) VALUES (?, ?, ?)"
_REACH = "INSERT OR IGNORE INTO reach (run, target) VALUES (?, ?)"
#: Whose journal rows the removals are: no run's, and not read at a start.
REMOVALS = "removals"
#: These make a finished run live again.
_REOPENING = ("rerun", "manual", "relink")


class Writer:
    """The hand that writes. `seq` is the number of the newest row."""

    def __init__(self, database: SqliteDatabase, state: State, seq: int) -> None:
        self._database = database
        #: Only to look up what a result's cache entry is called.
        self._state = state
        self.seq = seq

    def write(self, changes: Iterable[c.Change]) -> None:
        """All of the changes that are kept, or none."""
        rows: list[tuple[int, str | None, bytes]] = []
        reached: list[tuple[str | None, str]] = []
        indexed: list[tuple[Callable[..., None], c.Change, int]] = []
        for change in changes:
            if not change.DURABLE:
                continue
            self.seq += 1
            rows.append((self.seq, _run(change), codec.encode_change(change)))
            index = _INDEXES.get(type(change))
            if index is not None:
                indexed.append((index, change, self.seq))
            run = rows[-1][1]
            reached += [(run, target) for target in reaching.of_change(change) if target != run]
        if not rows:
            return
        with self._database.atomic():
            self._database.connection().executemany(_INSERT, rows)
            if reached:
                self._database.connection().executemany(_REACH, reached)
            for index, change, seq in indexed:
                index(self, change, seq)

    def _execute(self, sql: str, *values: Any) -> None:
        self._database.execute_sql(sql, values)

    def _run(self, x: c.RunCreated, seq: int) -> None:
        self._execute(
            "INSERT INTO run (id, seq, environment, repository, target, parent, root, created_by,"
            " created_at, status, idempotency_key, fingerprint, schedule, scheduled_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)",
            x.run, seq, x.environment, x.repository, x.target, x.parent, x.root or x.run, x.by,
            x.at, x.idempotency_key, x.fingerprint, x.schedule, x.scheduled_at,
        )  # fmt: skip

    def _finished(self, x: c.RunFinished, seq: int) -> None:
        self._execute(
            "UPDATE run SET status = ?, finished_at = ? WHERE id = ?", x.status, x.at, x.run
        )

    def _execution(self, x: c.ExecutionCreated, seq: int) -> None:
        if x.origin in _REOPENING:
            self._execute("UPDATE run SET status = NULL WHERE id = ?", run_of(x.execution))

    def _assigned(self, x: c.Assigned, seq: int) -> None:
        execution = self._state.executions.get(x.execution)
        for name in (execution.step.submission.options.slots or ()) if execution else ():
            self._execute(
                "INSERT INTO slot_use (name, environment, at) VALUES (?, ?, ?)",
                name, execution.environment if execution else "", x.at,
            )  # fmt: skip

    def _result(self, x: c.ResultRecorded, seq: int) -> None:
        if not isinstance(x.result, Returned):
            return
        execution = self._state.executions.get(x.execution)
        note = execution.cache if execution is not None else None
        if execution is None or note is None or note.key is None or note.source is not None:
            return
        self._execute(
            "INSERT OR IGNORE INTO cache (execution, seq, environment, key, namespace, parts,"
            " value_at, code) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            x.execution, seq, execution.environment, note.key, note.namespace,
            codec.encode_parts(note.parts), x.at, execution.code,
        )  # fmt: skip

    def _removed(self, x: c.RunsRemoved, seq: int) -> None:
        """Nobody sees the runs from now on; what is left of them goes in small steps later."""
        many = self._database.connection().executemany
        many("DELETE FROM run WHERE id = ?", [(run,) for run in x.runs])
        many("INSERT OR IGNORE INTO identifier (id) VALUES (?)", [(run,) for run in x.runs])
        many("INSERT OR IGNORE INTO removed (run) VALUES (?)", [(run,) for run in x.runs])
        many("DELETE FROM cache WHERE execution = ?", [(entry,) for entry in x.entries])
        many("DELETE FROM asset WHERE id = ?", [(asset,) for asset in x.assets])
        # The newest row stays, for the sake of its number and instant; one of these is enough.
        self._execute("DELETE FROM journal WHERE run = ? AND seq < ?", REMOVALS, seq)

    def _forgotten(self, x: c.CacheForgotten, seq: int) -> None:
        self._database.connection().executemany(
            "DELETE FROM cache WHERE execution = ?", [(e,) for e in x.executions]
        )

    def _asset(self, x: c.AssetRecorded, seq: int) -> None:
        self._execute(
            "INSERT OR IGNORE INTO asset (id, digest, execution, manifest, search)"
            " VALUES (?, ?, ?, ?, ?)",
            x.asset, x.digest, x.execution, codec.encode_manifest(x.manifest),
            codec.searchable(x.manifest),
        )  # fmt: skip
        self._execute(
            "INSERT INTO asset_producer (run, asset, execution, at) VALUES (?, ?, ?, ?)",
            run_of(x.execution), x.asset, x.execution, x.at,
        )  # fmt: skip
        self._identifier(x.asset)

    def _input(self, x: c.InputCreated, seq: int) -> None:
        self._execute(
            "INSERT INTO input (id, seq, run, environment, state, data)"
            " VALUES (?, ?, ?, ?, 'open', ?)",
            x.input, seq, x.run, x.environment, codec.encode_change(x),
        )  # fmt: skip

    def _input_ended(self, x: c.InputEnded, seq: int) -> None:
        self._execute("UPDATE input SET state = ? WHERE id = ?", x.state, x.input)

    def _environment(self, x: c.EnvironmentSet, seq: int) -> None:
        self._identifier(x.environment)

    def _session(self, x: c.SessionOpened, seq: int) -> None:
        self._identifier(x.session)

    def _pool(self, x: c.PoolSet, seq: int) -> None:
        self._identifier(x.pool)

    def _launch(self, x: c.LaunchWanted, seq: int) -> None:
        self._identifier(x.launch)

    def _schedule(self, x: c.ScheduleSet, seq: int) -> None:
        self._identifier(x.schedule)
        if x.spec is None:
            self._execute("DELETE FROM schedule WHERE id = ?", x.schedule)

    def _scheduled(self, x: c.ScheduleAdvanced, seq: int) -> None:
        self._execute(
            "INSERT INTO schedule (id, instant, run) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET instant = excluded.instant, run = COALESCE(excluded.run, run)",
            x.schedule, x.instant, x.started,
        )  # fmt: skip

    def _identifier(self, id: str) -> None:
        self._execute("INSERT OR IGNORE INTO identifier (id) VALUES (?)", id)


def _run(change: c.Change) -> str | None:
    if isinstance(change, c.ScheduleAdvanced):
        # History of a schedule is found by its id, and not read at a start.
        return change.schedule
    if isinstance(change, c.RunPinned):
        return None  # is read at every start
    if isinstance(change, c.RunsRemoved):
        return REMOVALS
    run = getattr(change, "run", None)
    if run is not None:
        return str(run)
    id = getattr(change, "execution", None) or getattr(change, "parent", None)
    return run_of(id) if id is not None else None


_INDEXES: dict[type[c.Change], Callable[..., None]] = {
    c.RunCreated: Writer._run,
    c.RunFinished: Writer._finished,
    c.ExecutionCreated: Writer._execution,
    c.Assigned: Writer._assigned,
    c.ResultRecorded: Writer._result,
    c.CacheForgotten: Writer._forgotten,
    c.RunsRemoved: Writer._removed,
    c.AssetRecorded: Writer._asset,
    c.InputCreated: Writer._input,
    c.InputEnded: Writer._input_ended,
    c.ScheduleSet: Writer._schedule,
    c.ScheduleAdvanced: Writer._scheduled,
    c.EnvironmentSet: Writer._environment,
    c.SessionOpened: Writer._session,
    c.PoolSet: Writer._pool,
    c.LaunchWanted: Writer._launch,
}
