"""Log entries, in a file of their own, round the core: they decide nothing (LO).

Belongs here: keeping entries once each and paging through them. Does not belong here: filling in
templates (`views`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from peewee import (
    BlobField,
    BooleanField,
    CompositeKey,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)

from coflux.model import LogEntry, Value
from coflux.server.store import reaching
from coflux.server.store.database import copy_database, make_shrinkable, open_database
from coflux.server.store.trimming import Trimming

_encode = msgspec.msgpack.Encoder().encode
_decode_values = msgspec.msgpack.Decoder(dict[str, Value]).decode


_INSERT = (
    "INSERT OR IGNORE INTO log"
    ' (run, step, attempt, seq, at, level, template, "values", is_partial)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


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
        # The second gives the lines of a run in order of arrival.
        indexes = ((("run", "step", "attempt", "seq"), True), (("run",), False))


class LogBlobRow(Model):
    """A blob that holds a value of a line, or the rest of a text that it names."""

    line = IntegerField()
    blob = TextField()

    class Meta:
        table_name = "log_blob"
        primary_key = CompositeKey("line", "blob")
        without_rowid = True


class StoredLine(NamedTuple):
    """An entry with its place in the order of arrival."""

    id: int
    entry: LogEntry


class LogStore:
    """The file `logs.db` in a project's directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "logs.db"
        self._database = open_database(self.path, durable=False)
        self._database.bind([LogRow, LogBlobRow])
        is_indexed = self._database.table_exists("log_blob")
        with self._database.atomic():
            self._database.create_tables([LogRow, LogBlobRow])
            if not is_indexed:
                self._index_blobs()
        make_shrinkable(self._database)
        self.trimming = Trimming(self._database)

    @property
    def database(self) -> SqliteDatabase:
        """The writing connection, for others who keep what decides nothing."""
        return self._database

    def write(self, entries: Iterable[LogEntry]) -> None:
        """Keep entries; those that are there already change nothing (LO-2)."""
        rows, holding = [], []
        for entry in entries:
            blobs = _blobs(entry.template, entry.values)
            if blobs:
                holding.append((_row(entry), blobs))
            else:
                rows.append(_row(entry))
        with self._database.atomic():
            self._database.connection().executemany(_INSERT, rows)
            for row, blobs in holding:
                made = self._database.execute_sql(_INSERT, row)
                if made.rowcount == 1:
                    self._hold(int(made.lastrowid), blobs)

    def _hold(self, line: int, blobs: set[str]) -> None:
        self._database.connection().executemany(
            "INSERT OR IGNORE INTO log_blob (line, blob) VALUES (?, ?)",
            [(line, blob) for blob in sorted(blobs)],
        )

    def _index_blobs(self) -> None:
        """Which blobs the lines of an older file hold."""
        rows = self._database.execute_sql('SELECT id, template, "values" FROM log').fetchall()
        for id, template, values in rows:
            blobs = _blobs(template, _decode_values(values) if values is not None else {})
            if blobs:
                self._hold(id, blobs)

    def page(
        self,
        id: str,
        *,
        after: int = 0,
        before: int | None = None,
        levels: Iterable[str] = (),
        text: str | None = None,
        limit: int = 1000,
    ) -> list[StoredLine]:
        """Entries of a run, step or execution, in order of arrival.

        The first `limit` that arrived after a line or, with `before`, the last ones before that
        line. `levels`: only these, if any are given. `text`: only lines in which it occurs, letter
        case aside.
        """
        where = ["id > ?"]
        values: list[str | int | bytes] = [after]
        for column, part in zip(("run", "step", "attempt"), id.split(":"), strict=False):
            where.append(f"{column} = ?")
            values.append(part if column == "run" else int(part))
        if before is not None:
            where.append("id < ?")
            values.append(before)
        wanted = list(levels)
        if wanted:
            where.append(f"level IN ({', '.join('?' * len(wanted))})")
            values += wanted
        if text:
            # Values are kept encoded; their previews are found as bytes.
            where.append("""(template LIKE ? ESCAPE '!' OR instr("values", ?))""")
            escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            values += [f"%{escaped}%", text.encode()]
        sql = (
            'SELECT id, run, step, attempt, seq, at, level, template, "values", is_partial FROM log'
            f" WHERE {' AND '.join(where)} ORDER BY id {'DESC' if before else 'ASC'} LIMIT ?"
        )
        found = [_line(row) for row in self._database.execute_sql(sql, (*values, limit))]
        return found[::-1] if before else found

    def copy_to(self, path: Path) -> None:
        """A consistent copy (DM-4)."""
        copy_database(self._database, path)

    def release_thread(self) -> None:
        """Let go of the connection that reading in this thread has opened."""
        self._database.close()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _blobs(template: str, values: dict[str, Value]) -> set[str]:
    found = {value.blob for value in values.values() if value.blob is not None}
    found.update(reaching.in_text(template))
    return found


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
