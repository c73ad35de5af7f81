"""The schema of `server.db`, as numbered steps forward (DM-5).

Belongs here: the steps and taking them safely. A step that was released is never changed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from peewee import SqliteDatabase

from coflux.errors import Conflict

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE projects (name TEXT PRIMARY KEY, directory TEXT NOT NULL UNIQUE,"
        " created_at INTEGER NOT NULL)",
        "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
        " created_at INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at INTEGER,"
        " revoked_at INTEGER, revoked_by TEXT)",
        "CREATE TABLE grants (token TEXT NOT NULL REFERENCES tokens (id), project TEXT NOT NULL,"
        " environment TEXT NOT NULL, right TEXT NOT NULL)",
        "CREATE INDEX grants_token ON grants (token)",
    ),
    # JSON: {key: [values]}.
    ("ALTER TABLE tokens ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'",),
)


def migrate(database: SqliteDatabase, path: Path) -> None:
    """Bring an open database to the newest version, each step in a transaction.

    A copy of an older database is left beside it first. Raises `Conflict` for a newer one.
    """
    (version,) = database.execute_sql("PRAGMA user_version").fetchone()
    if version > len(STEPS):
        raise Conflict(
            f"{path} has schema version {version}, this coflux knows versions up to {len(STEPS)};"
            " use a newer coflux for this data directory."
        )
    if 0 < version < len(STEPS):
        _copy(path, path.with_name(f"{path.name}.v{version}.backup"))
    for number in range(version, len(STEPS)):
        with database.atomic():
            for statement in STEPS[number]:
                database.execute_sql(statement)
            database.execute_sql(f"PRAGMA user_version = {number + 1}")


def _copy(source: Path, target: Path) -> None:
    old, new = sqlite3.connect(source), sqlite3.connect(target)
    try:
        old.backup(new)
    finally:
        old.close()
        new.close()
