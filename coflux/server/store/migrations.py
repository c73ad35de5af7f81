"""Schema versions: numbered, forward only, each in one transaction, with a backup first (DM-5)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from peewee import SqliteDatabase

from coflux.errors import CofluxError
from coflux.server.store import codec, reaching
from coflux.server.store.database import make_shrinkable
from coflux.server.store.schema import TABLES

Step = Callable[[SqliteDatabase], None]


class NewerStore(CofluxError):
    """The store was written by a newer version of Coflux."""


def _first(database: SqliteDatabase) -> None:
    database.create_tables(TABLES)


def _second(database: SqliteDatabase) -> None:
    """Named slots, schedules, inputs. (A new store has them from the first.)"""
    database.create_tables(TABLES)
    for column, kind in (("schedule", "TEXT"), ("scheduled_at", "INTEGER")):
        _add_column(database, "run", column, kind)


def _third(database: SqliteDatabase) -> None:
    """What assets are called, so that they are found by it, and when they were persisted."""
    database.create_tables(TABLES)
    _add_column(database, "asset_producer", "at", "INTEGER")
    if _add_column(database, "asset", "search", "TEXT"):
        rows = database.execute_sql("SELECT id, manifest FROM asset").fetchall()
        for id, manifest in rows:
            text = codec.searchable(codec.decode_manifest(manifest))
            database.execute_sql("UPDATE asset SET search = ? WHERE id = ?", (text, id))


def _fourth(database: SqliteDatabase) -> None:
    """What each run holds on to, so that it is known what nothing needs any more."""
    database.create_tables(TABLES)
    rows = database.connection().execute("SELECT run, data FROM journal WHERE run LIKE 'R%'")
    while portion := rows.fetchmany(1_000):
        found = {
            (run, target)
            for run, data in portion
            for target in reaching.of_change(codec.decode_change(data))
            if target != run
        }
        database.connection().executemany(
            "INSERT OR IGNORE INTO reach (run, target) VALUES (?, ?)", sorted(found)
        )


def _add_column(database: SqliteDatabase, table: str, column: str, kind: str) -> bool:
    """Whether the column was not there."""
    rows = database.execute_sql(f"PRAGMA table_info({table})").fetchall()
    if column in {row[1] for row in rows}:
        return False
    database.execute_sql(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    return True


#: Migration n brings a store from version n to n + 1. Never edited once released.
MIGRATIONS: tuple[Step, ...] = (_first, _second, _third, _fourth)


def migrate(database: SqliteDatabase, path: Path) -> None:
    """Bring the store to this version. Raises `NewerStore` when it is beyond it."""
    found = int(database.execute_sql("PRAGMA user_version").fetchone()[0])
    if found > len(MIGRATIONS):
        raise NewerStore(
            f"the store {path.name} has version {found}, this Coflux knows {len(MIGRATIONS)}: "
            "upgrade Coflux, or restore the backup that was taken before the upgrade"
        )
    if 0 < found < len(MIGRATIONS):
        _back_up(path, found)
    for number in range(found, len(MIGRATIONS)):
        with database.atomic():
            MIGRATIONS[number](database)
            database.execute_sql(f"PRAGMA user_version = {number + 1}")
    make_shrinkable(database)


def _back_up(path: Path, version: int) -> None:
    target = path.with_suffix(f".v{version}.backup")
    partial = target.with_suffix(".partial")
    with sqlite3.connect(path) as source, sqlite3.connect(partial) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    shutil.move(partial, target)
