"""The store keeps every change, all of a batch or none, and gives it back as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from coflux.model import (
    AssetManifest,
    CachePolicy,
    Definition,
    Entry,
    LogEntry,
    Options,
    Overrides,
    Parameter,
    PoolSpec,
    Question,
    Reference,
    Returned,
    Submission,
    Value,
)
from coflux.server.core import changes as c
from coflux.server.core.events import Repository, SessionConnected
from coflux.server.core.specs import ScheduleSpec, SlotLimit
from coflux.server.core.state import State
from coflux.server.store import codec
from coflux.server.store.logs import LogStore
from coflux.server.store.migrations import MIGRATIONS, NewerStore
from coflux.server.store.store import Store

VALUE = Value(data=b"\x01", size=1, key=b"k" * 32, type="int", preview="1")
QUESTION = Question(
    "Ship {x}?", "Ship 1?", '{"type": "boolean"}', "Shipping", ("Yes", "No"), {"role": ("boss",)},
    {"x": VALUE}, "true", "ship",
)  # fmt: skip
CALL = Submission(
    "shop", "order", "workflow", {"x": VALUE}, Options(cache=CachePolicy(max_age_ms=5)),
)  # fmt: skip

SAMPLES: list[c.Change] = [
    c.EnvironmentSet("E1", "default", None, "active", "me", 1),
    c.ManifestSet("E1", "shop", (Definition("order", "workflow", (Parameter("x"),)),), "me", 2),
    c.SettingSet("E1", "depth", 5, "me", 2),
    c.ScheduleSet(
        "D1",
        "E1",
        ScheduleSpec(
            "daily",
            "shop",
            "order",
            "0 0 * * *",
            arguments={"x": VALUE},
            options=Overrides(requires={}),
        ),
        False,
        b"digest",
        "me",
        2,
    ),
    c.ScheduleAdvanced("D1", 5, "R1", "", 6),
    c.SlotSet(None, "gpu", SlotLimit(2, 10, 60_000), "me", 2),
    c.CacheForgotten(("R1:1:1",), "me", 3),
    c.RunPinned("R1", True, "me", 3),
    c.RunsRemoved(("R9",), 3, ("R9:1:1",), (("E1", "key"),), ("A9",)),
    c.PoolSet(
        "P1",
        "E1",
        "gpu",
        PoolSpec(("shop",), settings={"image": "x"}, secrets=("KEY",)),
        "active",
        1,
        "me",
        3,
    ),
    c.LaunchWanted("L1", "P1", "process", 3),
    c.LaunchRetired("L1", "idle", 3),
    c.LaunchEnded("L1", "P1", "boom", ("last words",), 1, 13, 3),
    c.SessionOpened("S1", "E1", b"hash", "me", 4),
    c.IncarnationSet("S1", "one", 5),
    c.SessionEnded("S1", "lost", 6),
    c.Connected("S1", SessionConnected("S1", 1, "one"), None),
    c.Announced("S1", (Repository("shop"),)),
    c.TargetPickled("E1", "shop", "order", Definition("order", pickle="ab"), "3.11.7", "S1", 3),
    c.Drained("S1"),
    c.Acknowledged("S1", "R1:1:1"),
    c.RunCreated("R1", "E1", "shop", "order", "me", 7, requires={"gpu": True, "os": ("x",)}),
    c.StepCreated("R1", 1, CALL, "E1", 8, 8, request=(1, 0)),
    c.ChildJoined("R1:1:1", "R1:2:1", 0, (1, 1), 9),
    c.GroupNamed("R1:1:1", 0, "days"),
    c.ExecutionCreated("R1:1:2", "E1", "retry", 10, 9, predecessor="R1:1:1", retries_used=1),
    c.CacheChecked("R1:1:1", b"k", "shop:order", {"parameter x": b"h"}, "miss", None, "", 9),
    c.Assigned("R1:1:1", "S1", 10),
    c.Started("R1:1:1", 11),
    c.CodeRecorded("R1:1:1", "abc"),
    c.Blocked("R1:1:1", 12),
    c.Unblocked("R1:1:1", 13),
    c.Depended("R1:1:1", ("R1:2:1", "A1"), 14),
    c.ResultRecorded("R1:1:1", Returned(VALUE), 15, process="gone"),
    c.LinkSucceeded("R1:1:1", "R1:1:2", 16),
    c.ProcessEnded("R1:1:1", 17),
    c.AssetRecorded("A1", "d", AssetManifest((Entry("a/b", "0" * 64, 3),)), "R1:1:1", 18),
    c.CheckpointSaved("R1:1:1", {"x": VALUE}, 19),
    c.InputCreated("R1", "R1/i1", "R1:1:1", "E1", "shop/order", QUESTION, b"k" * 32, 19),
    c.InputEnded("R1", "R1/i1", "answered", 20, VALUE, "me"),
    c.RunHeld("R1", "run_steps", 100_001, 20),
    c.RunFinished("R1", "succeeded", 20),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path, State())
    yield store
    store.close()


def a_run(run: str = "R1") -> list[c.Change]:
    return [
        c.EnvironmentSet("E1", "default", None, "active", "me", 1),
        c.RunCreated(run, "E1", "shop", "order", "me", 2, idempotency_key="k", fingerprint=b"f"),
        c.StepCreated(run, 1, CALL, "E1", 3, 3),
    ]


def test_the_samples_cover_every_kind_of_change() -> None:
    assert {type(s) for s in SAMPLES} == set(c.AnyChange.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", SAMPLES, ids=lambda change: type(change).__name__)
def test_every_change_comes_back_from_bytes_as_it_was(change: c.Change) -> None:
    assert codec.decode_change(codec.encode_change(change)) == change


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """SE-10: a restart applies the rows of live work."""
    first = Store(tmp_path, State())
    first.write(a_run())
    first.close()
    state = State()
    second = Store(tmp_path, state)
    assert second.load(state) == 3
    assert list(state.executions) == ["R1:1:1"]
    assert state.idempotency[("E1", "k")] == ("R1", b"f", 2)
    second.close()


def test_a_failure_inside_a_batch_leaves_none_of_it(store: Store) -> None:
    """SE-9: all of a commit or none."""
    store.write(a_run())
    again = c.RunCreated("R1", "E1", "shop", "order", "me", 4)
    with pytest.raises(Exception, match="UNIQUE"):
        store.write([c.GroupNamed("R1:1:1", 0, "lost"), again])
    assert not any(isinstance(x, c.GroupNamed) for x in store.reader.family("R1"))


def test_finished_runs_are_not_loaded_at_start_but_found_by_id(tmp_path: Path) -> None:
    """DM-1: one logical store for all ids."""
    store = Store(tmp_path, State())
    ended = c.ResultRecorded("R1:1:1", Returned(VALUE), 5, process="none")
    store.write([*a_run(), ended, c.RunFinished("R1", "succeeded", 5)])
    state = State()
    store.load(state)
    assert not state.runs
    state.load(store.reader.family("R1"))
    assert state.runs["R1"].status == "succeeded"
    store.close()


def test_a_family_is_loaded_as_long_as_one_of_its_runs_is_live(store: Store) -> None:
    child = c.RunCreated("R2", "E1", "shop", "pay", "me", 4, parent="R1:1:1", root="R1")
    store.write([*a_run(), c.RunFinished("R1", "succeeded", 5), child])
    state = State()
    store.load(state)
    assert set(state.runs) == {"R1", "R2"}


def test_a_finished_run_is_loaded_while_an_input_of_it_is_open(store: Store) -> None:
    """IN-6: whoever holds the handle waits for the answer."""
    asked = c.InputCreated("R1", "R1/i1", "R1:1:1", "E1", "shop/order", QUESTION, b"k", 4)
    store.write([*a_run(), asked, c.RunFinished("R1", "succeeded", 5)])
    state = State()
    store.load(state)
    assert list(state.open_inputs) == ["R1/i1"]
    assert store.reader.inputs(("E1",), None, 9) == [(asked, "open")]
    store.write([c.InputEnded("R1", "R1/i1", "dismissed", 6)])
    later = State()
    store.load(later)
    assert not later.runs
    assert store.reader.inputs(("E1",), "R1", 9) == [(asked, "dismissed")]
    assert store.reader.inputs(("E2",), None, 9) == store.reader.inputs(("E1",), "R2", 9) == []


def test_a_rerun_makes_a_finished_run_live_again(store: Store) -> None:
    again = c.ExecutionCreated("R1:1:2", "E1", "rerun", 6, 6)
    store.write([*a_run(), c.RunFinished("R1", "failed", 5), again])
    state = State()
    store.load(state)
    assert set(state.runs) == {"R1"}


def test_values_of_finished_runs_serve_cache_lookups_after_a_restart(tmp_path: Path) -> None:
    """CA-10: entries do not age by themselves."""
    state = State()
    store = Store(tmp_path, state)
    facts = [
        *a_run(),
        c.CacheChecked("R1:1:1", b"k" * 32, "shop:order", {"parameter x": b"h"}, "miss", at=4),
        c.ResultRecorded("R1:1:1", Returned(VALUE), 5, process="none"),
        c.RunFinished("R1", "succeeded", 5),
    ]
    state.load(facts)
    store.write(facts)
    fresh = State()
    store.load(fresh)
    (entry,) = fresh.cached("E1", b"k" * 32)
    assert (entry.execution, entry.value_at, entry.parts) == ("R1:1:1", 5, {"parameter x": b"h"})
    store.close()


def test_ids_that_were_used_stay_taken(store: Store) -> None:
    """ID-1."""
    store.write([*a_run(), c.SessionOpened("S1", "E1", b"h", "me", 4)])
    assert [store.reader.is_taken(id) for id in ("R1", "E1", "S1", "R2", "S2")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_runs_are_listed_newest_first_and_paged(store: Store) -> None:
    facts = a_run()
    for n in range(2, 6):
        facts.append(c.RunCreated(f"R{n}", "E1", "shop", "pay", "me", n))
    store.write(facts)
    first = store.reader.runs(None, None, 2, None)
    assert [row["run"] for row in first] == ["R5", "R4"]
    assert [r["run"] for r in store.reader.runs(None, None, 9, "R4")] == ["R3", "R2", "R1"]
    assert [r["run"] for r in store.reader.runs("E1", ("shop", "order"), 9, None)] == ["R1"]


def test_pinned_runs_are_listed_and_known_after_a_start_without_being_read(store: Store) -> None:
    """DM-2."""
    facts = a_run()
    for n in range(2, 6):
        facts.append(c.RunCreated(f"R{n}", "E1", "shop", "pay", "me", n))
    for n in range(1, 6):
        facts.append(c.RunFinished(f"R{n}", "succeeded", 9))
    pins = [c.RunPinned(f"R{n}", True, "ann", 10 + n) for n in (2, 4, 5)]
    store.write([*facts, *pins, c.RunPinned("R4", False, "bob", 20)])
    state = State()
    store.load(state)
    assert state.pinned == {"R2": ("ann", 12), "R5": ("ann", 15)}
    assert not {"R2", "R5"} & state.runs.keys()
    assert [r["run"] for r in store.reader.runs(None, None, 9, None, state.pinned)] == ["R5", "R2"]
    assert [r["run"] for r in store.reader.runs(None, None, 9, "R5", state.pinned)] == ["R2"]
    assert store.reader.runs(None, None, 9, None, ()) == []
    assert [store.reader.environment_of(run) for run in ("R5", "R6")] == ["E1", None]


def test_an_asset_is_found_by_id_and_by_content(store: Store) -> None:
    """AS-4."""
    manifest = AssetManifest((Entry("a", "0" * 64, 1),), name="report")
    store.write([*a_run(), c.AssetRecorded("A1", "digest", manifest, "R1:1:1", 4)])
    by_id, by_digest = store.reader.asset(id="A1"), store.reader.asset(digest="digest")
    assert by_id is not None
    assert by_digest is not None
    assert (by_id.manifest, by_digest.id) == (manifest, "A1")
    assert store.reader.assets_of("R1") == [("A1", "R1:1:1")]


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    """DM-5."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(NewerStore, match="upgrade Coflux"):
        Store(tmp_path, State())


def test_a_copy_taken_while_open_can_be_opened(store: Store, tmp_path: Path) -> None:
    """DM-4."""
    store.write(a_run())
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    store.copy_to(elsewhere / "store.db")
    state = State()
    copy = Store(elsewhere, state)
    copy.load(state)
    assert set(state.runs) == {"R1"}
    copy.close()


def entry(seq: int, text: str, execution: str = "R1:1:1") -> LogEntry:
    return LogEntry(execution, seq, 1000 + seq, "stdout", text)


def test_log_lines_are_kept_once_and_paged_without_gaps(tmp_path: Path) -> None:
    """LO-2, LO-4."""
    logs = LogStore(tmp_path)
    logs.write([entry(1, "one"), entry(2, "two")])
    logs.write([entry(2, "two"), entry(3, "three"), entry(1, "other", "R1:2:1")])
    first = logs.page("R1", limit=2)
    rest = logs.page("R1", after=first[-1].id)
    assert [line.entry.template for line in first + rest] == ["one", "two", "three", "other"]
    assert [line.entry.template for line in logs.page("R1:2")] == ["other"]
    assert [line.entry.template for line in logs.page("R1:1:1", levels=("stderr",))] == []
    logs.close()


def test_log_values_come_back_typed(tmp_path: Path) -> None:
    """LO-3."""
    logs = LogStore(tmp_path)
    value = Value(data=b"x", references=(Reference("asset", "A1"),), type="Asset", preview="A1")
    written = LogEntry("R1:1:1", 1, 5, "info", "made {it}", {"it": value})
    logs.write([written])
    assert [line.entry for line in logs.page("R1:1:1")] == [written]
    logs.close()


def test_the_uses_of_slots_outlive_their_runs(tmp_path: Path) -> None:
    """SC-8: a rate counts assignments of finished runs as well, and each once."""
    state = State()
    store = Store(tmp_path, state)
    call = msgspec.structs.replace(CALL, options=Options(slots={"api": 1}))
    day = 24 * 3600 * 1000
    changes: list[c.Change] = [
        c.EnvironmentSet("E1", "default", None, "active", "me", 1),
        c.SessionOpened("S1", "E1", b"hash", "me", 4),
    ]
    for run, at in (("R1", 5), ("R2", 10 + day), ("R3", 20 + day)):
        changes += [
            c.RunCreated(run, "E1", "shop", "order", "me", at),
            c.StepCreated(run, 1, call, "E1", at, at),
            c.Assigned(f"{run}:1:1", "S1", at),
        ]
    changes += [
        c.ResultRecorded("R2:1:1", Returned(VALUE), 15 + day), c.RunFinished("R2", "x", 15 + day),
    ]  # fmt: skip
    state.load(changes)
    store.write(changes)
    store.close()
    again = Store(tmp_path, fresh := State())
    again.load(fresh)
    assert list(fresh.uses["api"]) == [(10 + day, "E1"), (20 + day, "E1")]
    fresh.load(again.reader.family("R2"))
    assert len(fresh.uses["api"]) == 2
    again.close()


def produced(store: Store) -> None:
    """Three assets of two environments; the first persisted twice."""
    note = AssetManifest((Entry("note.txt", "0" * 64, 1),), name="Größe")
    tree = AssetManifest((Entry("a/leaf.csv", "1" * 64, 1), Entry("b", "2" * 64, 2)), path="tree")
    facts: list[c.Change] = [
        c.RunCreated(f"R{n}", environment, "shop", "order", "me", n)
        for n, environment in enumerate(("E1", "E1", "E2"), 1)
    ]
    facts += [
        c.AssetRecorded("A1", "one", note, "R1:1:1", 11),
        c.AssetRecorded("A2", "two", tree, "R1:2:1", 12),
        c.AssetRecorded("A1", "one", note, "R2:1:1", 13),
        c.AssetRecorded("A1", "one", note, "R3:1:1", 14),
        c.AssetRecorded("A3", "three", AssetManifest(), "R3:1:1", 15),
    ]
    store.write(facts)


def test_the_newest_assets_are_listed_where_they_last_were(store: Store) -> None:
    """AS-4: equal content is one asset."""
    produced(store)

    def found(*environments: str, text: str = "", limit: int = 9, before: str | None = None):  # type: ignore[no-untyped-def]
        made = store.reader.newest_assets(environments, text, limit, before)
        return [(each.asset.id, each.asset.execution) for each in made]

    assert found("E1") == [("A1", "R2:1:1"), ("A2", "R1:2:1")]
    assert found("E1", "E2") == [("A3", "R3:1:1"), ("A1", "R3:1:1"), ("A2", "R1:2:1")]
    assert found("E1", "E2", limit=1) == [("A3", "R3:1:1")]
    assert found("E1", "E2", before="A1") == [("A2", "R1:2:1")]
    assert found("E1", before="A9") == []
    assert found("E1", text="GRÖSSE") == found("E1", text="größe") == [("A1", "R2:1:1")]
    assert found("E1", text="leaf") == found("E1", text="tree") == [("A2", "R1:2:1")]
    assert found() == found("E1", text="%") == []
    (made,) = store.reader.newest_assets(["E1"], "leaf", 9, None)
    assert made[1:] == (12, "E1", "shop", "order")
    assert store.reader.asset_places("A1") == {"E1": "R1:1:1", "E2": "R3:1:1"}


def test_assets_of_a_store_of_the_second_version_are_found_by_name(tmp_path: Path) -> None:
    """DM-5."""
    store = Store(tmp_path, State())
    produced(store)
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("ALTER TABLE asset DROP COLUMN search")
        connection.execute("ALTER TABLE asset_producer DROP COLUMN at")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    store = Store(tmp_path, State())
    (made,) = store.reader.newest_assets(["E1"], "leaf", 9, None)
    assert made.asset.id == "A2"
    assert made.at == 1  # when its run was created
    store.close()


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """DM-5: with a backup first."""
    Store(tmp_path, State()).close()
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        for table in ("slot_use", "schedule", "input"):
            connection.execute(f"DROP TABLE {table}")
        for column in ("schedule", "scheduled_at"):
            connection.execute(f"ALTER TABLE run DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    store = Store(tmp_path, State())
    store.write(a_run())
    store.close()
    assert (tmp_path / "store.v1.backup").exists()


def test_a_schedule_goes_on_from_its_newest_instant(tmp_path: Path) -> None:
    """SD-2: also when the runs it started are finished; its history is read on demand."""
    spec = ScheduleSpec("daily", "shop", "order", "0 0 * * *")
    state = State()
    store = Store(tmp_path, state)
    changes: list[c.Change] = [
        c.EnvironmentSet("E1", "default", None, "active", "me", 1),
        c.ScheduleSet("D1", "E1", spec, False, None, "me", 2),
        c.RunCreated("R1", "E1", "shop", "order", "schedule", 10, schedule="D1", scheduled_at=10),
        c.StepCreated("R1", 1, CALL, "E1", 10, 10),
        c.ScheduleAdvanced("D1", 10, "R1", "", 10),
        c.ScheduleAdvanced("D1", 20, None, "overlap: R1 is not finished", 20),
        c.ResultRecorded("R1:1:1", Returned(VALUE), 25),
        c.RunFinished("R1", "succeeded", 25),
    ]
    state.load(changes)
    store.write(changes)
    store.close()
    again = Store(tmp_path, fresh := State())
    again.load(fresh)
    schedule = fresh.schedules["D1"]
    assert (schedule.cursor, schedule.run, schedule.runs) == (20, "R1", {})
    assert [x.instant for x in again.reader.instants("D1", 10)] == [20, 10]
    again.close()
