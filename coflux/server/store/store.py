"""A project's store as the orchestrator holds it: open, read, write, copy, close."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from peewee import SqliteDatabase

from coflux.server.core.changes import Change
from coflux.server.core.state import State
from coflux.server.store.database import copy_database, open_database
from coflux.server.store.migrations import migrate
from coflux.server.store.reader import Reader
from coflux.server.store.removal import Removal
from coflux.server.store.schema import bind
from coflux.server.store.writer import Writer


class Store:
    """The file `store.db` in a project's directory."""

    def __init__(self, directory: Path, state: State) -> None:
        self.path = directory / "store.db"
        self._database = open_database(self.path)
        bind(self._database)
        try:
            migrate(self._database, self.path)
        except BaseException:
            self._database.close()
            raise
        self.reader = Reader(self._database)
        self.removal = Removal(self._database)
        self._writer = Writer(self._database, state, self.reader.newest())

    def load(self, state: State) -> int:
        """Apply what a start needs; the instant of the newest fact in ms."""
        self.reader.start(state)
        return self.reader.last_instant(self._writer.seq)

    def release_thread(self) -> None:
        """Let go of the connection that reading in this thread has opened."""
        self._database.close()

    def write(self, changes: Iterable[Change]) -> None:
        """Write a batch, durable when this returns (SE-9)."""
        self._writer.write(changes)

    @property
    def database(self) -> SqliteDatabase:
        """The writing connection."""
        return self._database

    def copy_to(self, path: Path) -> None:
        """A consistent copy (DM-4)."""
        copy_database(self._database, path)

    def close(self) -> None:
        """Fold the write-ahead log in and let go of the file."""
        self._database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
