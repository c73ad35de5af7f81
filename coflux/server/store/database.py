"""Opening a project's SQLite files with the settings that durability asks for (SE-9)."""

from __future__ import annotations

from pathlib import Path

from peewee import SqliteDatabase


def open_database(path: Path, *, durable: bool = True) -> SqliteDatabase:
    """The one writing connection to a file; `durable` fsyncs every commit."""
    database = SqliteDatabase(
        str(path),
        pragmas={
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
