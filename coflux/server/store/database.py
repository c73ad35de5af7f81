"""A project's SQLite files: opened so that they are durable (SE-9), copied while open (DM-4)."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from peewee import OperationalError, SqliteDatabase

#: Bytes of a file up to which it is written anew while somebody waits for the start.
WRITTEN_ANEW = 2 * 10**9


def open_database(path: Path, *, durable: bool = True) -> SqliteDatabase:
    """The one writing connection to a file; `durable` fsyncs every commit."""
    database = SqliteDatabase(
        str(path),
        pragmas={
            # First, because it holds for a new file only: what is removed can be given back.
            "auto_vacuum": "incremental",
            "journal_mode": "wal",
            "synchronous": "full" if durable else "normal",
            "foreign_keys": 0,
            "temp_store": "memory",
            "cache_size": -32_000,
        },
        timeout=30,
    )
    database.connect()
    return database


def make_shrinkable(database: SqliteDatabase) -> None:
    """Write a file of an older version anew, once, so that what is removed can be given back.

    One that is very big, or without room for that, stays as it is: then what is removed makes room
    for what comes.
    """

    def ask(pragma: str) -> int:
        return int(database.execute_sql(f"PRAGMA {pragma}").fetchone()[0])

    if ask("auto_vacuum") == 2 or ask("page_count") * ask("page_size") > WRITTEN_ANEW:
        return
    database.execute_sql("PRAGMA auto_vacuum = incremental")
    with suppress(OperationalError):
        database.execute_sql("VACUUM")


def copy_database(database: SqliteDatabase, path: Path) -> None:
    """A consistent copy of an open file (DM-4)."""
    copy = sqlite3.connect(path)
    try:
        database.connection().backup(copy)
    finally:
        copy.close()
