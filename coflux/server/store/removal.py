"""Finding in the store what may go, and taking its rows out in steps so small that nobody waits.

A run is gone in one transaction, when its row in `run` is (`Writer`): all reading starts there.
What is left of it (`removed` says of whom) takes no part in anything and goes bit by bit, whoever
is killed in between. Belongs here: queries and deletions. Does not belong here: which runs go
(`core.retention`), when, and other files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from peewee import SqliteDatabase

from coflux.model import OWN_KEY
from coflux.server.core.changes import (
    Change,
    IncarnationSet,
    LaunchEnded,
    LaunchRetired,
    LaunchWanted,
    SessionEnded,
    SessionOpened,
)
from coflux.server.core.retention import Family
from coflux.server.store import codec, reaching

#: Free pages that a file keeps for what comes next.
SPARE_PAGES = 256
#: Tables with rows of a run, and what tells the rows of one apart.
_LEFT = (
    ("journal", "seq"),
    ("input", "rowid"),
    ("asset_producer", "rowid"),
    ("reach", "target"),
)
_OF_RUNS = "target >= 'R' AND target < 'S'"
_OF_ASSETS = "target >= 'A' AND target < 'B'"
_OF_SCHEDULES = "run >= 'D' AND run < 'E'"
#: Not of a run that was removed. (As an exclusion: else SQLite looks up every run there is.)
_THERE = "run NOT IN (SELECT run FROM removed)"


class Terms(NamedTuple):
    """What the settings say, by environment id; instants in ms UTC, periods in ms."""

    now: int
    #: 0 = for ever.
    runs_kept: Mapping[str, int]
    #: Bytes; only of environments that have a limit.
    limits: Mapping[str, int]
    #: How long an idempotency key is remembered.
    keys_kept: int
    #: Runs that stay whatever their age.
    needed: Collection[str]


class Survey(NamedTuple):
    """All families, and which run reaches which."""

    families: list[Family]
    links: list[tuple[str, str]]


class Proposal(NamedTuple):
    """What memory has of runs that are to go."""

    runs: tuple[str, ...]
    entries: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]


class _Seen(msgspec.Struct):
    """A family while its runs are gone through."""

    runs: list[str]
    environment: str = ""
    ended_at: int | None = 0
    kept_until: int | None = 0
    size: int = 0
    blobs: set[str] = msgspec.field(default_factory=set)


class Removal:
    """Takes rows out of a project's store."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    # --- looking: in any thread, as it is at one moment -------------------------------------------

    def survey(self, terms: Terms) -> Survey:
        """What there is, for `core.retention` to decide on."""
        with self._database.atomic():
            found = self._families(terms)
            links = self._rows(f"SELECT run, target FROM reach WHERE {_OF_RUNS} AND {_THERE}")
            if terms.limits:
                self._measure(found)
        families = [
            Family(
                root, tuple(seen.runs), seen.ended_at, seen.kept_until, seen.environment,
                seen.size, frozenset(seen.blobs),
            )
            for root, seen in found.items()
        ]  # fmt: skip
        return Survey(families, links)

    def _families(self, terms: Terms) -> dict[str, _Seen]:
        asked = {run for (run,) in self._rows("SELECT run FROM input WHERE state = 'open'")}
        found: dict[str, _Seen] = {}
        for run, root, environment, status, created_at, finished_at, key in self._each(
            "SELECT id, root, environment, status, created_at, finished_at,"
            f" idempotency_key NOT LIKE '{OWN_KEY}%' FROM run"
        ):
            seen = found.get(root)
            if seen is None:
                seen = found[root] = _Seen([])
            seen.runs.append(run)
            if run == root or not seen.environment:
                seen.environment = environment
            is_remembered = key and created_at + terms.keys_kept > terms.now
            is_over = status is not None and finished_at is not None and run not in asked
            if not is_over or is_remembered or run in terms.needed:
                seen.ended_at = None
            elif seen.ended_at is not None:
                seen.ended_at = max(seen.ended_at, finished_at)
            kept = terms.runs_kept.get(environment, 0)
            if not kept:
                seen.kept_until = None
            elif seen.kept_until is not None:
                seen.kept_until = max(seen.kept_until, (finished_at or 0) + kept)
        return found

    def _measure(self, found: Mapping[str, _Seen]) -> None:
        """What the families take: bytes of their rows, and blobs."""
        roots = {run: root for root, seen in found.items() for run in seen.runs}
        sizes = "SELECT run, SUM(LENGTH(data)) FROM journal GROUP BY run"
        for run, size in self._each(sizes):
            if run in roots:
                found[roots[run]].size += size
        files = self._asset_files()
        for run, target in self._each(f"SELECT run, target FROM reach WHERE NOT ({_OF_RUNS})"):
            if run in roots:
                found[roots[run]].blobs.update(files.get(target, (target,)))

    def _asset_files(self) -> dict[str, tuple[str, ...]]:
        return {
            id: tuple(reaching.of_manifest(codec.decode_manifest(manifest)))
            for id, manifest in self._each("SELECT id, manifest FROM asset")
        }

    def sizes(self, runs: Collection[str]) -> int:
        """Bytes of the rows of these runs."""
        sql = "SELECT COALESCE(SUM(LENGTH(data)), 0) FROM journal WHERE run = ?"
        return sum(self._rows(sql, run)[0][0] for run in runs)

    def blobs(self, since: int, without: Collection[str] = ()) -> set[str]:
        """Every blob that something holds on to, but for these runs."""
        with self._database.atomic():
            gone = {*without}
            found: set[str] = set()
            assets: set[str] = set()
            for run, target in self._each(
                f"SELECT run, target FROM reach WHERE NOT ({_OF_RUNS}) AND {_THERE}"
            ):
                if run not in gone:
                    (assets if target.startswith("A") else found).add(target)
            for id, manifest in self._each("SELECT id, manifest FROM asset"):
                if id in assets:
                    found.update(reaching.of_manifest(codec.decode_manifest(manifest)))
            return found | reaching.of_configuration(self._configuration(), since)

    def _configuration(self) -> Iterator[Change]:
        for (data,) in self._each("SELECT data FROM journal WHERE run IS NULL ORDER BY seq"):
            yield codec.decode_change(data)

    def unreached_assets(self, most: int) -> list[str]:
        """Assets that no run reaches."""
        sql = (
            "SELECT id FROM asset WHERE id NOT IN"
            f" (SELECT target FROM reach WHERE {_OF_ASSETS} AND {_THERE}) LIMIT ?"
        )
        return [id for (id,) in self._rows(sql, most)]

    def stale(self, before: int) -> list[list[int]]:
        """Rows that say nothing any more: of sessions and launches that ended before an instant.

        Those of one go together. Of each pool the launches stay by which it tells how its last ones
        went, and so does the newest row of all, whose number and instant outlive it.
        """
        rows: dict[str, list[int]] = {}
        ended: dict[str, int] = {}
        telling: dict[tuple[str, bool], str] = {}
        sql = "SELECT seq, data FROM journal WHERE run IS NULL ORDER BY seq"
        for seq, data in self._each(sql):
            change = codec.decode_change(data)
            if isinstance(change, SessionOpened | IncarnationSet | SessionEnded):
                rows.setdefault(change.session, []).append(seq)
            elif isinstance(change, LaunchWanted | LaunchRetired | LaunchEnded):
                rows.setdefault(change.launch, []).append(seq)
            if isinstance(change, SessionEnded):
                ended[change.session] = change.at
            elif isinstance(change, LaunchEnded):
                ended[change.launch] = change.at
                telling[change.pool, change.error is None and change.failures > 0] = change.launch
        kept = set(telling.values())
        last = int(self._rows("SELECT COALESCE(MAX(seq), 0) FROM journal")[0][0])
        gone = [id for id, at in ended.items() if at < before and id not in kept]
        return [rows[id] for id in gone if last not in rows[id]]

    def stale_instants(self, kept: int) -> list[list[int]]:
        """Rows of what instants of schedules came to, but for the newest of each."""
        found: list[list[int]] = []
        for (schedule,) in self._rows(f"SELECT DISTINCT run FROM journal WHERE {_OF_SCHEDULES}"):
            sql = "SELECT seq FROM journal WHERE run = ? ORDER BY seq DESC LIMIT -1 OFFSET ?"
            found += [[seq] for (seq,) in self._each(sql, schedule, kept)]
        return found

    # --- removing ---------------------------------------------------------------------------------

    def drop(self, groups: list[list[int]]) -> None:
        """Take these rows of the journal out, all or none."""
        with self._database.atomic():
            self._database.connection().executemany(
                "DELETE FROM journal WHERE seq = ?", [(seq,) for rows in groups for seq in rows]
            )

    def is_reached(self, asset: str) -> bool:
        """Whether a run reaches the asset."""
        return bool(self._rows(f"SELECT 1 FROM reach WHERE target = ? AND {_THERE} LIMIT 1", asset))

    def propose(self, runs: tuple[str, ...]) -> Proposal:
        """What memory has of these runs, to be taken out of it with them."""
        entries: list[str] = []
        keys: list[tuple[str, str]] = []
        for run in runs:
            # A colon comes before a semicolon: all executions of the run.
            sql = "SELECT execution FROM cache WHERE execution > ? AND execution < ?"
            entries += [id for (id,) in self._rows(sql, f"{run}:", f"{run};")]
            sql = "SELECT environment, idempotency_key FROM run WHERE id = ?"
            keys += [(place, key) for place, key in self._rows(sql, run) if key is not None]
        return Proposal(runs, tuple(entries), tuple(keys))

    def leftovers(self, most: int) -> list[str]:
        """Runs that were removed and of which something may be left."""
        return [run for (run,) in self._rows("SELECT run FROM removed LIMIT ?", most)]

    def clear(self, runs: list[str], most: int) -> list[str]:
        """Take up to `most` rows of removed runs out; gives the runs of which nothing is left."""
        done: list[str] = []
        with self._database.atomic():
            for run in runs:
                most -= self._clear(run, most)
                if most <= 0:
                    break
                self._database.execute_sql("DELETE FROM removed WHERE run = ?", (run,))
                done.append(run)
        return done

    def _clear(self, run: str, most: int) -> int:
        gone = 0
        for table, key in _LEFT:
            gone += self._database.execute_sql(
                f"DELETE FROM {table} WHERE run = ? AND {key} IN"
                f" (SELECT {key} FROM {table} WHERE run = ? LIMIT ?)",
                (run, run, max(0, most - gone)),
            ).rowcount
        return gone

    def _each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        yield from self._database.execute_sql(sql, values)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return list(self._database.execute_sql(sql, values).fetchall())


def give_back(database: SqliteDatabase, pages: int) -> int:
    """Give up to so many free pages of a file back to the disk; how many are left to give.

    The file gets shorter with the next checkpoint of its write-ahead log.
    """
    free = int(database.execute_sql("PRAGMA freelist_count").fetchone()[0]) - SPARE_PAGES
    is_possible = int(database.execute_sql("PRAGMA auto_vacuum").fetchone()[0]) == 2
    if free <= 0 or not is_possible:
        return 0
    # As a script: `execute` takes one step of this statement, which is one page.
    database.connection().executescript(f"PRAGMA incremental_vacuum({min(free, pages)})")
    return max(0, free - pages)
