"""Log entries, in a file of their own, round the core: they decide nothing (LO).

Belongs here: keeping entries once each and paging through them. Does not belong here: filling in
templates (`views`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from peewee import BlobField, BooleanField, IntegerField, Model, TextField

from coflux.model import LogEntry, Value
from coflux.server.store.database import open_database

_encode = msgspec.msgpack.Encoder().encode
_decode_values = msgspec.msgpack.Decoder(dict[str, Value]).decode


class LogRow(Model):
    """One line; unique by (run, step, attempt, seq), numbered by arrival."""

    id = IntegerField(primary_key=True)
    run = TextField()
    step = IntegerField()
    attempt = IntegerField()
    seq = IntegerField()
    at = IntegerField()
    level = TextField()
    template = TextField()
    values = BlobField(null=True)
    is_partial = BooleanField(default=False)

    class Meta:
        table_name = "log"
        indexes = ((("run", "step", "attempt", "seq"), True),)


class StoredLine(NamedTuple):
    """An entry with its place in the order of arrival."""

    id: int
    entry: LogEntry


class LogStore:
    """The file `logs.db` in a project's directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "logs.db"
        self._database = open_database(self.path, durable=False)
        self._database.bind([LogRow])
        self._database.create_tables([LogRow])

    def write(self, entries: Iterable[LogEntry]) -> None:
        """Keep entries; those that are there already change nothing (LO-2)."""
        rows = [_row(entry) for entry in entries]
        with self._database.atomic():
            self._database.connection().executemany(
                "INSERT OR IGNORE INTO log"
                ' (run, step, attempt, seq, at, level, template, "values", is_partial)'
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def page(
        self, id: str, *, after: int = 0, level: str | None = None, limit: int = 1000
    ) -> list[StoredLine]:
        """Entries of a run, step or execution that arrived after a line, in order of arrival."""
        where = ["id > ?"]
        values: list[str | int] = [after]
        for column, part in zip(("run", "step", "attempt"), id.split(":"), strict=False):
            where.append(f"{column} = ?")
            values.append(part if column == "run" else int(part))
        if level is not None:
            where.append("level = ?")
            values.append(level)
        sql = (
            'SELECT id, run, step, attempt, seq, at, level, template, "values", is_partial FROM log'
            f" WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
        )
        return [_line(row) for row in self._database.execute_sql(sql, (*values, limit))]

    def copy_to(self, path: Path) -> None:
        """A consistent copy (DM-4)."""
        copy = sqlite3.connect(path)
        try:
            self._database.connection().backup(copy)
        finally:
            copy.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _row(entry: LogEntry) -> tuple[Any, ...]:
    run, step, attempt = entry.execution.split(":")
    values = _encode(entry.values) if entry.values else None
    return (run, int(step), int(attempt), entry.seq, entry.at, entry.level, entry.template,
            values, entry.partial)  # fmt: skip


def _line(row: tuple[Any, ...]) -> StoredLine:
    id, run, step, attempt, seq, at, level, template, values, is_partial = row
    decoded = _decode_values(values) if values is not None else {}
    return StoredLine(
        id,
        LogEntry(f"{run}:{step}:{attempt}", seq, at, level, template, decoded, bool(is_partial)),
    )
