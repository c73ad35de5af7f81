"""The tables of a project's store.

The journal holds every change as it was decided, in order, and is the only truth: a run is what its
rows say. The other tables are indexes over it, written in the same transaction, for what must be
found without knowing the run: lists of runs, live runs at a start, cache entries, assets, ids.
"""

from __future__ import annotations

from peewee import (
    BlobField,
    CompositeKey,
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
    #: The schedule that started it, and for which instant (SD-2).
    schedule = TextField(null=True)
    scheduled_at = IntegerField(null=True)

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
    #: What a search by name looks through.
    search = TextField(null=True)

    class Meta:
        table_name = "asset"


class AssetProducerRow(Model):
    """Which run persisted which asset."""

    run = TextField(index=True)
    asset = TextField(index=True)
    execution = TextField()
    #: Absent in rows that were written before there was this column.
    at = IntegerField(null=True)

    class Meta:
        table_name = "asset_producer"


class SlotUseRow(Model):
    """An assignment that named a slot (SC-8); old ones are removed."""

    name = TextField()
    environment = TextField()
    at = IntegerField(index=True)

    class Meta:
        table_name = "slot_use"
        primary_key = False


class ScheduleRow(Model):
    """How far a schedule is: its newest decided instant and the newest run (SD-2, SD-5)."""

    id = TextField(primary_key=True)
    instant = IntegerField()
    run = TextField(null=True)

    class Meta:
        table_name = "schedule"


class InputRow(Model):
    """An input; `data` is the encoded change that made it."""

    id = TextField(primary_key=True)
    seq = IntegerField(index=True)
    run = TextField(index=True)
    environment = TextField()
    state = TextField(index=True)
    data = BlobField()

    class Meta:
        table_name = "input"


class ReachRow(Model):
    """What a run holds on to: a run, an asset or a blob (`reaching`), so that it stays (DM-2)."""

    run = TextField()
    target = TextField(index=True)

    class Meta:
        table_name = "reach"
        primary_key = CompositeKey("run", "target")
        without_rowid = True


class RemovedRow(Model):
    """A run that was removed, and of which rows or files may be left."""

    run = TextField(primary_key=True)

    class Meta:
        table_name = "removed"


class IdentifierRow(Model):
    """Ids that are or were taken by something other than a run that is there (ID-1)."""

    id = TextField(primary_key=True)

    class Meta:
        table_name = "identifier"


TABLES: tuple[type[Model], ...] = (
    JournalRow, RunRow, CacheRow, AssetRow, AssetProducerRow, SlotUseRow, ScheduleRow, InputRow,
    IdentifierRow, ReachRow, RemovedRow,
)  # fmt: skip


def bind(database: SqliteDatabase) -> None:
    """Use this database for the tables; a process has one store."""
    database.bind(TABLES)
