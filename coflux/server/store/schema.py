"""The tables of a project's store.

The journal holds every change as it was decided, in order, and is the only truth: a run is what its
rows say. The other tables are indexes over it, written in the same transaction, for what must be
found without knowing the run: lists of runs, live runs at a start, cache entries, assets, ids.
"""

from __future__ import annotations

from peewee import (
    BlobField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)


class JournalRow(Model):
    """One change; `run` is null for configuration and sessions."""

    seq = IntegerField(primary_key=True)
    run = TextField(null=True, index=True)
    data = BlobField()

    class Meta:
        table_name = "journal"


class RunRow(Model):
    """A run; `status` is null while it is live."""

    id = TextField(primary_key=True)
    seq = IntegerField(index=True)
    environment = TextField(index=True)
    repository = TextField()
    target = TextField()
    parent = TextField(null=True)
    root = TextField(index=True)
    created_by = TextField()
    created_at = IntegerField()
    status = TextField(null=True, index=True)
    finished_at = IntegerField(null=True)
    idempotency_key = TextField(null=True)
    fingerprint = BlobField(null=True)

    class Meta:
        table_name = "run"


class CacheRow(Model):
    """A value that serves lookups of its key (CA)."""

    execution = TextField(primary_key=True)
    seq = IntegerField()
    environment = TextField()
    key = BlobField()
    namespace = TextField(index=True)
    parts = BlobField()
    value_at = IntegerField()
    code = TextField(null=True)

    class Meta:
        table_name = "cache"


class AssetRow(Model):
    """An asset; `manifest` is the encoded `model.AssetManifest`."""

    id = TextField(primary_key=True)
    digest = TextField(unique=True)
    execution = TextField()
    manifest = BlobField()

    class Meta:
        table_name = "asset"


class AssetProducerRow(Model):
    """Which run persisted which asset."""

    run = TextField(index=True)
    asset = TextField(index=True)
    execution = TextField()

    class Meta:
        table_name = "asset_producer"


class IdentifierRow(Model):
    """Ids that are or were taken by something other than a run (ID-1)."""

    id = TextField(primary_key=True)

    class Meta:
        table_name = "identifier"


TABLES: tuple[type[Model], ...] = (
    JournalRow, RunRow, CacheRow, AssetRow, AssetProducerRow, IdentifierRow,
)  # fmt: skip


def bind(database: SqliteDatabase) -> None:
    """Use this database for the tables; a process has one store."""
    database.bind(TABLES)
