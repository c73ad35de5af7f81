"""Hooks and deliveries, in a file of their own, round the core: they decide nothing.

Belongs here: keeping and finding. Does not belong here: delivering (`means`), when (the project's
`hooks`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from peewee import BlobField, IntegerField, Model, TextField

from coflux.server.hooks.hook import Delivery, Ended, Hook
from coflux.server.store.database import copy_database, open_database

_encode = msgspec.msgpack.Encoder().encode
_decode_hook = msgspec.msgpack.Decoder(Hook).decode
_decode_ended = msgspec.msgpack.Decoder(Ended).decode

#: Deliveries that are over and are kept for looking at, by hook.
_KEPT = 100


class HookRow(Model):
    """A hook as it was set, by whom and when; the newest row of a place counts. Null: deleted."""

    seq = IntegerField(primary_key=True)
    environment = TextField()
    name = TextField()
    data = BlobField(null=True)
    by = TextField()
    at = IntegerField()

    class Meta:
        table_name = "hook"


class DeliveryRow(Model):
    """What a hook is owed or has got; unique by hook, run and the instant of its end."""

    id = IntegerField(primary_key=True)
    environment = TextField()
    hook = TextField()
    run = TextField()
    finished_at = IntegerField()
    ended = BlobField()
    state = TextField()
    attempts = IntegerField()
    next_at = IntegerField()
    error = TextField(null=True)

    class Meta:
        table_name = "delivery"
        indexes = (
            (("environment", "hook", "run", "finished_at"), True),
            (("state", "next_at"), False),
        )


class CursorRow(Model):
    """Up to which instant the ends of runs have been looked at."""

    id = IntegerField(primary_key=True)
    finished_at = IntegerField()

    class Meta:
        table_name = "cursor"


_COLUMNS = "id, hook, ended, state, attempts, next_at, error"


class HookStore:
    """The file `hooks.db` in a project's directory; made when there is a first hook."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "hooks.db"
        # Lost with the power, it is found again in the store: see `cursor`.
        self._database = open_database(self.path, durable=False)
        self._database.bind([HookRow, DeliveryRow, CursorRow])
        self._database.create_tables([HookRow, DeliveryRow, CursorRow])
        # Addresses of hooks may hold credentials.
        self.path.chmod(0o600)
        #: By environment and name.
        self.hooks: dict[tuple[str, str], Hook] = {}
        for environment, name, data in self._database.execute_sql(
            "SELECT environment, name, data FROM hook ORDER BY seq"
        ):
            self._take_in(environment, name, _decode_hook(data) if data is not None else None)

    def set(self, environment: str, name: str, hook: Hook | None, by: str, now: int) -> None:
        """A hook is like this from now on, or gone (None)."""
        with self._database.atomic():
            if not self.hooks:
                # Only what ends from now on is told.
                self._advance(now)
            self._database.execute_sql(
                'INSERT INTO hook (environment, name, data, "by", "at") VALUES (?, ?, ?, ?, ?)',
                (environment, name, _encode(hook) if hook is not None else None, by, now),
            )
            if hook is None:
                self._database.execute_sql(
                    "DELETE FROM delivery WHERE environment = ? AND hook = ?", (environment, name)
                )
        self._take_in(environment, name, hook)

    def _take_in(self, environment: str, name: str, hook: Hook | None) -> None:
        if hook is None:
            self.hooks.pop((environment, name), None)
        else:
            self.hooks[environment, name] = hook

    # --- deliveries -----------------------------------------------------------------------------

    @property
    def cursor(self) -> int:
        """Up to which instant ends have been looked at, in ms UTC."""
        row = self._database.execute_sql("SELECT finished_at FROM cursor").fetchone()
        return int(row[0]) if row is not None else 0

    def owe(self, ended: Iterable[Ended]) -> bool:
        """Note what hooks are to be told of these; whether there is anything.

        What has been noted before changes nothing.
        """
        rows = []
        newest = 0
        for each in ended:
            newest = max(newest, each.finished_at)
            rows += [
                (hook.environment, hook.name, each.run, each.finished_at, _encode(each))
                for hook in self.hooks.values()
                if hook.wants(each.environment, each.repository, each.target, each.status)
            ]
        if newest == 0:
            return False
        with self._database.atomic():
            self._database.connection().executemany(
                "INSERT OR IGNORE INTO delivery (environment, hook, run, finished_at, ended, state,"
                " attempts, next_at) VALUES (?, ?, ?, ?, ?, 'owed', 0, 0)",
                rows,
            )
            self._advance(newest)
        return bool(rows)

    def _advance(self, instant: int) -> None:
        self._database.execute_sql(
            "INSERT INTO cursor (id, finished_at) VALUES (1, ?)"
            " ON CONFLICT (id) DO UPDATE SET finished_at = MAX(finished_at, excluded.finished_at)",
            (instant,),
        )

    def due(self, now: int, limit: int) -> list[Delivery]:
        """What is owed and due, the longest due first."""
        sql = (
            f"SELECT {_COLUMNS} FROM delivery WHERE state = 'owed' AND next_at <= ?"
            " ORDER BY next_at, id LIMIT ?"
        )
        return [_delivery(row) for row in self._database.execute_sql(sql, (now, limit))]

    def next_at(self) -> int | None:
        """When the next is due."""
        sql = "SELECT MIN(next_at) FROM delivery WHERE state = 'owed'"
        found = self._database.execute_sql(sql).fetchone()[0]
        return int(found) if found is not None else None

    def keep(self, delivery: Delivery) -> None:
        """Write how a delivery stands, and let go of old ones."""
        environment = delivery.ended.environment
        with self._database.atomic():
            self._database.execute_sql(
                "UPDATE delivery SET state = ?, attempts = ?, next_at = ?, error = ? WHERE id = ?",
                (
                    delivery.state, delivery.attempts, delivery.next_at, delivery.error,
                    delivery.id,
                ),
            )  # fmt: skip
            if delivery.state != "owed":
                self._database.execute_sql(
                    "DELETE FROM delivery WHERE environment = ? AND hook = ? AND state != 'owed'"
                    " AND id NOT IN (SELECT id FROM delivery WHERE environment = ? AND hook = ?"
                    " AND state != 'owed' ORDER BY id DESC LIMIT ?)",
                    (environment, delivery.hook, environment, delivery.hook, _KEPT),
                )

    def of(self, environment: str, hook: str, limit: int) -> list[Delivery]:
        """Deliveries of a hook, the newest first."""
        sql = (
            f"SELECT {_COLUMNS} FROM delivery WHERE environment = ? AND hook = ?"
            " ORDER BY id DESC LIMIT ?"
        )
        return [_delivery(r) for r in self._database.execute_sql(sql, (environment, hook, limit))]

    # --- the file -------------------------------------------------------------------------------

    def copy_to(self, path: Path) -> None:
        """A consistent copy (DM-4)."""
        copy_database(self._database, path)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _delivery(row: tuple[int, str, bytes, str, int, int, str | None]) -> Delivery:
    id, hook, ended, state, attempts, next_at, error = row
    return Delivery(id, hook, _decode_ended(ended), state, attempts, next_at, error)  # type: ignore[arg-type]  # as it was written
