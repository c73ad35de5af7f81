"""Reading facts back: what a start needs, and single runs of the past.

Belongs here: queries. Does not belong here: writing, and what the facts mean.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from peewee import SqliteDatabase

from coflux.server.core import entries
from coflux.server.core.changes import Change, InputCreated, ScheduleAdvanced
from coflux.server.core.entities import AssetRecord, CacheNote
from coflux.server.core.state import State
from coflux.server.store import codec

#: No rate of a slot has a longer period.
RATE_PERIOD_MS = 24 * 3600 * 1000
#: Families with something unfinished, or with an input that can still be answered.
_LIVE = (
    "SELECT root FROM run WHERE status IS NULL UNION"
    " SELECT root FROM run WHERE id IN (SELECT run FROM input WHERE state = 'open')"
)
_ROOT = "SELECT root FROM run WHERE id = ?"
_FAMILY = (
    "SELECT data FROM journal WHERE run IN (SELECT id FROM run WHERE root IN ({roots}))"
    " ORDER BY seq"
)

_THERE = "(SELECT value FROM json_each(?))"
#: Joined in this order, so that the newest are looked at first.
_NEWEST_ASSETS = (
    "SELECT a.id, a.digest, a.manifest, p.execution, COALESCE(p.at, r.created_at), r.environment,"
    " r.repository, r.target FROM asset_producer p CROSS JOIN run r ON r.id = p.run"
    f" CROSS JOIN asset a ON a.id = p.asset WHERE r.environment IN {_THERE}{{where}}"
    " ORDER BY p.rowid DESC"
)
_LAST_MADE = (
    "SELECT MAX(p.rowid) FROM asset_producer p CROSS JOIN run r ON r.id = p.run"
    f" WHERE p.asset = ? AND r.environment IN {_THERE}"
)
#: Where an asset is needed whose makers have been removed, with the first of them.
_NEEDED_IN = (
    "SELECT DISTINCT s.environment, a.execution FROM reach q CROSS JOIN run s ON s.id = q.run"
    " CROSS JOIN asset a ON a.id = q.target WHERE q.target = ?"
)


class AssetMade(NamedTuple):
    """An asset with the run that persisted it; `at` in ms UTC."""

    asset: AssetRecord
    at: int
    environment: str
    repository: str
    target: str


class Place(NamedTuple):
    """Where a run belongs; `created_at` in ms UTC."""

    environment: str
    root: str
    created_at: int


class Reader:
    """Reads the store of one project."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def newest(self) -> int:
        """The number of the newest row."""
        return int(self._one("SELECT COALESCE(MAX(seq), 0) FROM journal")[0])

    def last_instant(self, seq: int) -> int:
        """The instant of the newest row (EN-7: the clock never goes back)."""
        row = self._one("SELECT data FROM journal WHERE seq = ?", seq)
        return int(getattr(codec.decode_change(row[0]), "at", 0)) if row else 0

    def start(self, state: State) -> None:
        """Apply configuration, cache entries, recent idempotency keys and live runs."""
        state.load(self._changes("SELECT data FROM journal WHERE run IS NULL ORDER BY seq"))
        for id, instant, run in self._rows("SELECT id, instant, run FROM schedule"):
            if id in state.schedules:
                state.schedules[id].advance(instant, run)
        self._load_cache(state)
        state.order = self.newest()
        self._load_idempotency(state)
        state.load(self._changes(_FAMILY.format(roots=_LIVE)))
        self._load_slot_uses(state)

    def family(self, run: str) -> list[Change]:
        """The changes of a run and of all runs of its family; empty when there is none."""
        return list(self.each_of_family(run))

    def each_of_family(self, run: str) -> Iterator[Change]:
        """The same, one by one: those of a big run take much memory together."""
        return self._changes(_FAMILY.format(roots=_ROOT), run)

    def has_many(self, run: str, most: int) -> bool:
        """Whether a run and its family have more changes than that."""
        found = _FAMILY.replace("SELECT data", "SELECT 1").replace(" ORDER BY seq", "")
        sql = f"SELECT COUNT(*) FROM ({found.format(roots=_ROOT)} LIMIT ?)"
        return int(self._one(sql, run, most + 1)[0]) > most

    def instants(self, schedule: str, limit: int) -> list[ScheduleAdvanced]:
        """What the instants of a schedule have come to, newest first."""
        sql = "SELECT data FROM journal WHERE run = ? ORDER BY seq DESC LIMIT ?"
        found = [codec.decode_change(data) for (data,) in self._rows(sql, schedule, limit)]
        return [change for change in found if isinstance(change, ScheduleAdvanced)]

    def is_taken(self, id: str) -> bool:
        """Whether something has or had that id (ID-1)."""
        found = self._one("SELECT 1 FROM identifier WHERE id = ?", id)
        return found is not None or self.is_there(id)

    def is_there(self, run: str) -> bool:
        """Whether there is a run of that id."""
        return self._one("SELECT 1 FROM run WHERE id = ?", run) is not None

    def asset(self, *, id: str | None = None, digest: str | None = None) -> AssetRecord | None:
        """An asset by id or by content."""
        column, value = ("id", id) if id is not None else ("digest", digest)
        row = self._one(
            f"SELECT id, digest, manifest, execution FROM asset WHERE {column} = ?", value
        )
        return AssetRecord(row[0], row[1], codec.decode_manifest(row[2]), row[3]) if row else None

    def assets_of(self, run: str) -> list[tuple[str, str]]:
        """(asset, execution that persisted it) of a run, in order."""
        sql = "SELECT DISTINCT asset, execution FROM asset_producer WHERE run = ? ORDER BY rowid"
        return [(row[0], row[1]) for row in self._database.execute_sql(sql, (run,))]

    def asset_places(self, asset: str) -> dict[str, str]:
        """Environments whose runs persisted an asset, each with the execution that did so first.

        When those runs have been removed: environments of the runs that still need it.
        """
        sql = (
            "SELECT s.environment, q.execution, MIN(q.rowid) FROM asset_producer q"
            " CROSS JOIN run s ON s.id = q.run WHERE q.asset = ? GROUP BY s.environment ORDER BY 3"
        )
        found = {environment: execution for environment, execution, _ in self._rows(sql, asset)}
        return found or dict(self._rows(_NEEDED_IN, asset))

    def newest_assets(
        self, environments: Collection[str], text: str, limit: int, before: str | None
    ) -> list[AssetMade]:
        """Assets that runs of these environments persisted, newest first, each where it last was.

        `text`: only those whose names have it; `before`: only those older than this one. Goes
        from the newest back until there are enough: which may take long, so not on the loop.
        """
        wanted = json.dumps(list(environments))
        where = ""
        values: list[Any] = [wanted]
        if text:
            where += " AND instr(a.search, ?) > 0"
            values.append(text.casefold())
        if before is not None:
            where += " AND p.rowid < ?"
            values.append(self._last_made(before, wanted))
        found: dict[str, AssetMade] = {}
        later: set[str] = set()
        for id, digest, manifest, execution, *rest in self._database.execute_sql(
            _NEWEST_ASSETS.format(where=where), values
        ):
            if id in found or id in later:
                continue
            if before is not None and self._last_made(id, wanted) >= values[-1]:
                later.add(id)  # it was persisted again later, and is on the page of then
                continue
            asset = AssetRecord(id, digest, codec.decode_manifest(manifest), execution)
            found[id] = AssetMade(asset, *rest)
            if len(found) == limit:
                break
        return list(found.values())

    def _last_made(self, asset: str, environments: str) -> int:
        """The place of the newest row that says that an asset was persisted there; 0 for none."""
        return int(self._one(_LAST_MADE, asset, environments)[0] or 0)

    def environment_of(self, run: str) -> str | None:
        """The environment of a run, by id; nothing else of the run is read."""
        row = self._one("SELECT environment FROM run WHERE id = ?", run)
        return str(row[0]) if row else None

    def places_of_runs(self) -> dict[str, Place]:
        """Where every run belongs, by id."""
        rows = self._database.execute_sql("SELECT id, environment, root, created_at FROM run")
        return {id: Place(environment, root, at) for id, environment, root, at in rows}

    def runs(
        self, environment: str | None, target: tuple[str, str] | None, limit: int,
        before: str | None, only: Collection[str] | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Runs, newest first, of `only` these ids. `status` is None for those that are live."""
        where, values = ["1 = 1"], []
        if only is not None:
            where.append("id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(only)))
        if environment is not None:
            where.append("environment = ?")
            values.append(environment)
        if target is not None:
            where.append("repository = ? AND target = ?")
            values += target
        if before is not None:
            where.append("seq < (SELECT seq FROM run WHERE id = ?)")
            values.append(before)
        sql = (
            "SELECT id, repository, target, environment, status, created_at, parent, created_by,"
            " finished_at FROM run"
            f" WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        )
        names = ("run", "repository", "target", "environment", "status", "created_at", "parent",
                 "by", "finished_at")  # fmt: skip
        rows = self._database.execute_sql(sql, (*values, limit))
        return [dict(zip(names, row, strict=True)) for row in rows]

    def inputs(
        self, environments: tuple[str, ...], run: str | None, limit: int
    ) -> list[tuple[InputCreated, str]]:
        """What was asked there, newest first, each with its state."""
        where, values = [f"environment IN ({','.join('?' * len(environments))})"], [*environments]
        where.append("run NOT IN (SELECT run FROM removed)")
        if run is not None:
            where.append("run = ?")
            values.append(run)
        sql = f"SELECT data, state FROM input WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        rows = [(codec.decode_change(row[0]), row[1]) for row in self._rows(sql, *values, limit)]
        return [(made, state) for made, state in rows if isinstance(made, InputCreated)]

    def finished_since(self, instant: int) -> list[tuple[Any, ...]]:
        """Runs that nothing spawned and that finished then or later.

        Each as (run, environment, repository, target, status, created_at, finished_at).
        """
        sql = (
            "SELECT id, environment, repository, target, status, created_at, finished_at FROM run"
            " WHERE finished_at >= ? AND status IS NOT NULL AND parent IS NULL ORDER BY finished_at"
        )
        return list(self._database.execute_sql(sql, (instant,)))

    def _load_cache(self, state: State) -> None:
        sql = (
            "SELECT execution, seq, environment, key, namespace, parts, value_at, code FROM cache"
            " WHERE substr(execution, 1, instr(execution, ':') - 1)"
            " NOT IN (SELECT run FROM removed)"
            " ORDER BY seq"
        )
        for (
            execution,
            seq,
            environment,
            key,
            namespace,
            parts,
            value_at,
            code,
        ) in self._database.execute_sql(sql):
            note = CacheNote(bytes(key), namespace, codec.decode_parts(parts))
            entry = entries.add(state, execution, environment, note, seq)
            entry.value_at, entry.code = value_at, code

    def _load_idempotency(self, state: State) -> None:
        """Keys that may still be asked for (SU-4)."""
        since = self.last_instant(self.newest()) - state.defaults.idempotency_ms
        sql = (
            "SELECT environment, idempotency_key, id, fingerprint, created_at FROM run"
            " WHERE idempotency_key IS NOT NULL AND created_at >= ? ORDER BY seq"
        )
        for environment, key, run, fingerprint, created_at in self._rows(sql, since):
            state.idempotency[environment, key] = (run, bytes(fingerprint or b""), created_at)

    def _load_slot_uses(self, state: State) -> None:
        """Assignments that a rate may still count (SC-8); those it cannot are removed."""
        since = self.last_instant(self.newest()) - RATE_PERIOD_MS
        self._database.execute_sql("DELETE FROM slot_use WHERE at < ?", (since,))
        state.uses.clear()  # has only those of live runs
        sql = "SELECT name, at, environment FROM slot_use ORDER BY at, rowid"
        for name, at, environment in self._database.execute_sql(sql):
            state.note_use(name, at, environment)

    def _changes(self, sql: str, *values: Any) -> Iterator[Change]:
        for (data,) in self._database.execute_sql(sql, values):
            yield codec.decode_change(data)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return list(self._database.execute_sql(sql, values).fetchall())

    def _one(self, sql: str, *values: Any) -> Any:
        return self._database.execute_sql(sql, values).fetchone()
