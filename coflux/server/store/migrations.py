"""Schema versions: numbered, forward only, each in one transaction, with a backup first (DM-5)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from peewee import SqliteDatabase

from coflux.errors import CofluxError
from coflux.server.store.schema import TABLES

Step = Callable[[SqliteDatabase], None]


class NewerStore(CofluxError):
    """The store was written by a newer version of Coflux."""


def _first(database: SqliteDatabase) -> None:
    database.create_tables(TABLES)


def _second(database: SqliteDatabase) -> None:
    """Named slots, schedules, inputs. (A new store has them from the first.)"""
    database.create_tables(TABLES)
    known = {row[1] for row in database.execute_sql("PRAGMA table_info(run)").fetchall()}
    for column, kind in (("schedule", "TEXT"), ("scheduled_at", "INTEGER")):
        if column not in known:
            database.execute_sql(f"ALTER TABLE run ADD COLUMN {column} {kind}")


#: Migration n brings a store from version n to n + 1. Never edited once released.
MIGRATIONS: tuple[Step, ...] = (_first, _second)


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


def _back_up(path: Path, version: int) -> None:
    target = path.with_suffix(f".v{version}.backup")
    partial = target.with_suffix(".partial")
    with sqlite3.connect(path) as source, sqlite3.connect(partial) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    shutil.move(partial, target)
