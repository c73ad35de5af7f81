"""Rows of removed runs go bit by bit, whoever is killed in between; what is reached is known."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coflux.model import (
    OWN_KEY,
    AssetManifest,
    Cached,
    Definition,
    Entry,
    Error,
    LogEntry,
    Measurement,
    Parameter,
    PoolSpec,
    Question,
    Raised,
    Reference,
    Returned,
    Submission,
    Value,
)
from coflux.server.core import changes as c
from coflux.server.core.specs import ScheduleSpec
from coflux.server.core.state import State
from coflux.server.store import database, reaching
from coflux.server.store.logs import LogStore
from coflux.server.store.metrics import MetricStore
from coflux.server.store.migrations import MIGRATIONS
from coflux.server.store.removal import SPARE_PAGES, Proposal, Terms, give_back
from coflux.server.store.store import Store
from coflux.server.store.trimming import Mark

#: Keys of blobs, by a digit.
BLOB = {digit: digit * 64 for digit in "0123456789abcdef"}
DAY = 24 * 3_600_000


def held(*references: tuple[str, str], blob: str | None = None) -> Value:
    """A value that refers to these (kind, id) and is kept in a blob."""
    found = tuple(Reference(kind, id) for kind, id in references)  # type: ignore[arg-type]
    return Value(blob=BLOB[blob] if blob else None, references=found)


def run_of_one(
    run: str, *more: c.Change, at: int = 1, argument: Value | None = None, **fields: object
) -> list[c.Change]:
    """A finished run of one step."""
    call = Submission("shop", "order", "workflow", {"x": argument or Value(data=b"1")})
    return [
        c.RunCreated(run, "E1", "shop", "order", "me", at, **fields),  # type: ignore[arg-type]
        c.StepCreated(run, 1, call, "E1", at, at),
        *more,
        c.RunFinished(run, "succeeded", at),
    ]


def terms(now: int = 100 * DAY, *needed: str, kept: int = 90 * DAY, limit: int = 0) -> Terms:
    return Terms(now, {"E1": kept}, {"E1": limit} if limit else {}, DAY, needed)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path, State())
    store.write([c.EnvironmentSet("E1", "default", None, "active", "me", 1)])
    yield store
    store.close()


def remove(store: Store, *runs: str, assets: tuple[str, ...] = ()) -> None:
    found = store.removal.propose(runs)
    store.write([c.RunsRemoved(runs, 2, found.entries, found.keys, assets)])


def count(store: Store, table: str, run: str | None = None) -> int:
    where = f" WHERE run = '{run}'" if run else ""
    return int(
        store.database.execute_sql(f"SELECT COUNT(*) FROM {table}{where}").fetchone()[0]
    )  # fmt: skip


# --- what is reached ----------------------------------------------------------------------------

LONG = Error("E", "… (20,000 bytes in blob " + BLOB["9"] + ")")
#: Every fact that holds on to something, with what that is.
HOLDING: list[tuple[c.Change, set[str]]] = [
    (
        c.StepCreated("R1", 1, Submission("s", "t", "task", {
            "a": held(("execution", "R2:1:1"), ("input", "R3/i1"), ("asset", "A1"), blob="1"),
        }), "E1", 1, 1),
        {"R2", "R3", "A1", BLOB["1"]},
    ),
    (c.ChildJoined("R1:1:1", "R1:2:1", None, None, 1), {"R1"}),
    (c.ExecutionCreated("R1:1:2", "E1", "resume", 1, 1, gate=("R2:1:1", "R3/i1")), {"R2", "R3"}),
    (c.CacheChecked("R1:1:1", b"k", "n", {}, "hit", "R2:1:1"), {"R2"}),
    (c.CacheChecked("R1:1:1", b"k", "n", {}, "miss"), set()),
    (c.Depended("R1:1:1", ("R2:1:1", "A1", "R3/i2"), 1), {"R2", "A1", "R3"}),
    (c.ResultRecorded("R1:1:1", Returned(held(("asset", "A2"), blob="2")), 1), {"A2", BLOB["2"]}),
    (c.ResultRecorded("R1:1:1", Cached("R2:1:1"), 1), {"R2"}),
    (c.ResultRecorded("R1:1:1", Raised(Error("E", "m", cause=LONG)), 1), {BLOB["9"]}),
    (c.LinkSucceeded("R1:1:1", "R1:1:2", 1), {"R1"}),
    (c.AssetRecorded("A1", "d", AssetManifest(), "R1:1:1", 1), {"A1"}),
    (c.CheckpointSaved("R1:1:1", {"x": held(blob="3")}, 1), {BLOB["3"]}),
    (
        c.InputCreated("R1", "R1/i1", "R1:1:1", "E1", "t",
                       Question("t", "m", placeholders={"x": held(blob="4")}), b"k", 1),
        {BLOB["4"]},
    ),
    (c.InputEnded("R1", "R1/i1", "answered", 1, held(blob="5")), {BLOB["5"]}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "wanted"), HOLDING, ids=lambda each: type(each).__name__)
def test_each_fact_says_what_it_holds_on_to_DM_2(change: c.Change, wanted: set[str]) -> None:
    assert set(reaching.of_change(change)) == wanted


def test_every_fact_of_a_run_was_thought_of() -> None:
    """A new kind of change, or a new field, may hold on to something: add it above, or here."""
    nothing = {
        c.RunCreated, c.GroupNamed, c.Assigned, c.Started, c.CodeRecorded, c.Blocked, c.Unblocked,
        c.ProcessEnded, c.RunHeld, c.RunFinished,
        # Configuration and sessions: see `of_configuration`.
        c.EnvironmentSet, c.ManifestSet, c.SettingSet, c.SlotSet, c.ScheduleSet, c.ScheduleAdvanced,
        c.RunPinned, c.RunsRemoved, c.CacheForgotten, c.SessionOpened, c.IncarnationSet,
        c.SessionEnded, c.PoolSet, c.LaunchWanted, c.LaunchRetired, c.LaunchEnded, c.Connected,
        c.Announced, c.TargetPickled, c.Drained, c.Acknowledged,
    }  # fmt: skip
    known = {type(change) for change, _ in HOLDING} | nothing
    assert known == set(c.AnyChange.__args__)  # type: ignore[attr-defined]


def test_code_defaults_and_arguments_of_schedules_are_held_while_they_count_DM_3() -> None:
    old, new = (Definition("t", pickle=BLOB[digit]) for digit in "12")
    with_default = Definition("w", parameters=(Parameter("x", default=held(blob="3")),))
    spec = ScheduleSpec("d", "s", "t", "* * * * *", arguments={"x": held(blob="4")})
    facts = [
        c.TargetPickled("E1", "s", "t", old, "3.11", "S1", 1),
        c.TargetPickled("E1", "s", "t", new, "3.11", "S1", 50),
        c.ManifestSet("E1", "s", (with_default,), "me", 1),
        c.ScheduleSet("D1", "E1", spec, False, None, "me", 1),
    ]
    held_on_to = {BLOB[digit] for digit in "234"}
    assert reaching.of_configuration(facts, since=51) == held_on_to
    # Replaced a moment ago, it may be on its way to an executor.
    assert reaching.of_configuration(facts, since=50) == held_on_to | {BLOB["1"]}
    ended = [*facts, c.ScheduleSet("D1", "E1", None, False, None, "me", 2)]
    assert reaching.of_configuration(ended, since=51) == {BLOB[digit] for digit in "23"}


# --- looking ------------------------------------------------------------------------------------


def test_a_survey_tells_families_with_their_ends_and_links_DM_2(store: Store) -> None:
    store.write(run_of_one("R1", at=5, argument=held(("execution", "R4:1:1"))))
    store.write(run_of_one("R2", at=9, parent="R1:1:1", root="R1"))
    store.write(run_of_one("R4", at=3))
    store.write(run_of_one("R5", at=3)[:-1])
    store.write(run_of_one("R6", at=3))
    found = store.removal.survey(terms(10, "R6", kept=100))
    told = {each.root: (each.runs, each.ended_at, each.kept_until) for each in found.families}
    assert told == {
        "R1": (("R1", "R2"), 9, 109),
        "R4": (("R4",), 3, 103),
        "R5": (("R5",), None, 100),
        "R6": (("R6",), None, 103),
    }
    assert found.links == [("R1", "R4")]


def test_a_run_that_asks_or_whose_key_is_remembered_stays_SU_4(store: Store) -> None:
    asked = c.InputCreated("R1", "R1/i1", "R1:1:1", "E1", "t", Question("t", "m"), b"k", 1)
    store.write(run_of_one("R1", asked))
    store.write(run_of_one("R2", at=5, idempotency_key="once"))
    store.write(run_of_one("R3", at=5, idempotency_key=OWN_KEY + "1f"))
    ends = {
        each.root: each.ended_at for each in store.removal.survey(terms(5 + DAY - 1)).families
    }  # fmt: skip
    assert ends == {"R1": None, "R2": None, "R3": 5}
    later = {each.root: each.ended_at for each in store.removal.survey(terms(5 + DAY)).families}
    assert later == {"R1": None, "R2": 5, "R3": 5}


def test_a_survey_with_a_limit_measures_rows_and_blobs(store: Store) -> None:
    files = AssetManifest((Entry("a", BLOB["a"], 3), Entry("b", BLOB["b"], 3)))
    made = c.AssetRecorded("A1", "d", files, "R1:1:1", 1)
    store.write(run_of_one("R1", made, argument=held(blob="1")))
    (family,) = store.removal.survey(terms(limit=10)).families
    assert family.blobs == {BLOB["1"], BLOB["a"], BLOB["b"]}
    assert family.size == store.removal.sizes(["R1"]) > 0


def test_blobs_are_those_of_runs_assets_and_code_DM_3(store: Store) -> None:
    files = AssetManifest((Entry("a", BLOB["a"], 3),))
    store.write(run_of_one("R1", c.AssetRecorded("A1", "d", files, "R1:1:1", 1)))
    store.write(run_of_one("R2", argument=held(blob="1")))
    store.write([c.TargetPickled("E1", "s", "t", Definition("t", pickle=BLOB["2"]), "3", "S1", 3)])
    every = {BLOB["a"], BLOB["1"], BLOB["2"]}
    assert store.removal.blobs(5) == every
    assert store.removal.blobs(5, without=["R1"]) == every - {BLOB["a"]}
    remove(store, "R2")
    assert store.removal.blobs(5) == every - {BLOB["1"]}


def test_an_asset_stays_as_long_as_a_run_reaches_it_AS_4(store: Store) -> None:
    made = c.AssetRecorded("A1", "d", AssetManifest(), "R1:1:1", 1)
    store.write(run_of_one("R1", made))
    store.write(run_of_one("R2", argument=held(("asset", "A1"))))
    remove(store, "R1")
    assert store.removal.unreached_assets(10) == []
    assert store.reader.asset_places("A1") == {"E1": "R1:1:1"}
    remove(store, "R2")
    assert store.removal.unreached_assets(10) == ["A1"]
    assert not store.removal.is_reached("A1")
    remove(store, assets=("A1",))
    assert store.reader.asset(id="A1") is None
    assert store.reader.is_taken("A1")


# --- removing -----------------------------------------------------------------------------------


def test_a_removed_run_is_gone_at_once_and_its_rows_in_steps_DM_2(store: Store) -> None:
    asked = c.InputCreated("R1", "R1/i1", "R1:1:1", "E1", "t", Question("t", "m"), b"k", 1)
    made = c.AssetRecorded("A1", "d", AssetManifest(), "R1:1:1", 1)
    store.write(run_of_one("R1", asked, c.InputEnded("R1", "R1/i1", "answered", 1), made))
    store.write(run_of_one("R2"))
    remove(store, "R1")
    assert store.reader.family("R1") == []
    assert store.reader.inputs(("E1",), None, 10) == []
    assert [run["run"] for run in store.reader.runs(None, None, 10, None)] == ["R2"]
    assert store.reader.is_taken("R1"), "ID-1"
    assert not store.reader.is_there("R1")
    left = [count(store, "journal", "R1")]
    while store.removal.leftovers(9):
        store.removal.clear(["R1"], 2)
        left.append(count(store, "journal", "R1"))
        assert left[-2] - left[-1] <= 2
    tables = ("journal", "input", "asset_producer", "reach", "removed")
    assert [count(store, table, "R1") for table in tables] == [0] * 5
    assert len(store.reader.family("R2")) == 3


def test_the_number_and_instant_of_the_newest_row_outlive_it_EN_7(
    store: Store, tmp_path: Path
) -> None:
    store.write(run_of_one("R1", at=77))
    newest = store.reader.newest()
    for at in (80, 81):
        store.write([c.RunsRemoved(("R1",), at)])
    store.removal.clear(["R1"], 100)
    assert store.reader.newest() == newest + 2
    assert store.reader.last_instant(store.reader.newest()) == 81
    assert count(store, "journal", "removals") == 1


@pytest.mark.parametrize("steps", range(6))
def test_who_is_killed_between_two_steps_goes_on_where_it_was(tmp_path: Path, steps: int) -> None:
    """DM-2: nothing half-removed is seen, nothing kept is lost, nothing is left in the end."""
    store = Store(tmp_path, State())
    store.write([c.EnvironmentSet("E1", "default", None, "active", "me", 1)])
    store.write(run_of_one("R1"))
    store.write(run_of_one("R2"))
    remove(store, "R1")
    for _ in range(steps):
        store.removal.clear(store.removal.leftovers(9), 1)
    store.database.close()  # as a crash: nothing is folded in, nothing is said
    state = State()
    again = Store(tmp_path, state)
    again.load(state)
    assert again.reader.family("R1") == []
    assert len(again.reader.family("R2")) == 3
    while runs := again.removal.leftovers(9):
        again.removal.clear(runs, 1)
    assert count(again, "journal", "R1") == count(again, "reach", "R1") == 0
    again.close()


def test_memory_is_told_which_entries_and_keys_it_has(store: Store) -> None:
    store.write(run_of_one("R1", idempotency_key="once"))
    for id in ("R1:1:1", "R1:12:1", "R12:1:1"):
        store.database.execute_sql(
            "INSERT INTO cache (execution, seq, environment, key, namespace, parts, value_at)"
            " VALUES (?, 1, 'E1', ?, 'n', ?, 1)",
            (id, b"k", b"\x80"),
        )
    wanted = Proposal(("R1",), ("R1:12:1", "R1:1:1"), (("E1", "once"),))
    assert store.removal.propose(("R1",)) == wanted
    remove(store, "R1")
    assert count(store, "cache") == 1


def test_space_comes_back(store: Store, tmp_path: Path) -> None:
    """Promise 10: the file is shorter after the checkpoint."""
    big = Value(data=b"x" * 3_000)
    for number in range(1_000):
        store.write(run_of_one(f"R{number:04}", argument=big))
    checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
    store.database.execute_sql(checkpoint).fetchall()
    before = store.path.stat().st_size
    for number in range(1_000):
        remove(store, f"R{number:04}")
    while runs := store.removal.leftovers(25):
        store.removal.clear(runs, 500)
    while give_back(store.database, 500):
        pass
    store.database.execute_sql(checkpoint).fetchall()
    after = store.path.stat().st_size
    assert before > 3_000_000
    assert after < (SPARE_PAGES + 100) * 4_096 < before / 2


# --- rows that say nothing any more -------------------------------------------------------------


def session(id: str, ended_at: int | None, launch: str | None = None) -> list[c.Change]:
    found: list[c.Change] = [
        c.SessionOpened(id, "E1", b"hash", "me", 1, launch), c.IncarnationSet(id, "one", 2)
    ]  # fmt: skip
    return [*found, c.SessionEnded(id, "closed", ended_at)] if ended_at is not None else found


def launch(id: str, ended_at: int | None, error: str | None = None, failures: int = 0
           ) -> list[c.Change]:  # fmt: skip
    begun: list[c.Change] = [c.LaunchWanted(id, "P1", "process", 1), c.LaunchRetired(id, "idle", 2)]
    if ended_at is None:
        return begun
    return [*begun, c.LaunchEnded(id, "P1", error, (), failures, 0, ended_at)]


def test_rows_of_ended_sessions_and_launches_go_and_a_start_finds_the_same(
    store: Store, tmp_path: Path
) -> None:
    pickled = c.TargetPickled("E1", "s", "t", Definition("t", pickle=BLOB["1"]), "3", "S1", 2)
    pool = c.PoolSet("P1", "E1", "gpu", PoolSpec(("s",)), "active", 1, "me", 1)
    store.write([
        pool, *session("S1", None), pickled, c.SessionEnded("S1", "closed", 5),
        *session("S2", 50), *session("S3", None),
        *launch("L1", 5, "boom", 1), *launch("L2", 6, None, 2), *launch("L3", 7, None, 3),
        *launch("L4", None), *session("S4", None, "L4"), *session("S5", 5),
    ])  # fmt: skip
    groups = store.removal.stale(before=50)
    assert [len(rows) for rows in groups] == [3, 3]  # S1 and L2; S5 has the newest row of all
    before, after = State(), State()
    store.reader.start(before)
    store.removal.drop(groups)
    store.reader.start(after)
    for state in (before, after):
        assert set(state.sessions) == {"S3", "S4"}
        assert state.launched["S4"].id == "L4"
        assert (state.pools["P1"].error, state.pools["P1"].failures) == ("boom", 3)
        assert state.pickles["E1"]["s", "t"].owner is None
    assert store.removal.stale(before=50) == []


def test_the_newest_instants_of_each_schedule_stay(store: Store) -> None:
    for number in range(1, 6):
        store.write([c.ScheduleAdvanced("D1", number, None, "paused", number)])
    store.write([c.ScheduleAdvanced("D2", 1, None, "paused", 9)])
    store.removal.drop(store.removal.stale_instants(kept=2))
    assert [each.instant for each in store.reader.instants("D1", 10)] == [5, 4]
    assert [each.instant for each in store.reader.instants("D2", 10)] == [1]


# --- older stores -------------------------------------------------------------------------------


def test_an_older_store_learns_what_its_runs_hold_on_to_and_can_give_back_DM_5(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path, State())
    store.write(run_of_one("R1", argument=held(("execution", "R4:1:1"), blob="1")))
    store.close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DROP TABLE reach")
        connection.execute("DROP TABLE removed")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
        connection.commit()
        connection.execute("PRAGMA auto_vacuum = 0")
        connection.execute("VACUUM")
    store = Store(tmp_path, State())
    rows = store.database.execute_sql("SELECT run, target FROM reach ORDER BY target").fetchall()
    assert rows == [("R1", BLOB["1"]), ("R1", "R4")]
    assert store.database.execute_sql("PRAGMA auto_vacuum").fetchone() == (2,)
    store.close()


def test_a_very_big_file_of_an_older_store_is_not_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "logs.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    monkeypatch.setattr(database, "WRITTEN_ANEW", 0)
    logs = LogStore(tmp_path)
    assert logs.database.execute_sql("PRAGMA auto_vacuum").fetchone() == (0,)
    assert give_back(logs.database, 100) == 0
    logs.close()
    monkeypatch.undo()
    logs = LogStore(tmp_path)
    assert logs.database.execute_sql("PRAGMA auto_vacuum").fetchone() == (2,)
    logs.close()


# --- logs and metrics ---------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogStore]:
    logs = LogStore(tmp_path)
    MetricStore(logs.database, logs.path)
    yield logs
    logs.close()


def line(run: str, seq: int, **values: Value) -> LogEntry:
    return LogEntry(f"{run}:1:1", seq, 10, "info", "said", values)


def test_lines_and_points_go_by_when_they_came_in_LO(logs: LogStore) -> None:
    metrics = MetricStore(logs.database, logs.path)
    logs.write([line("R1", 1), line("R2", 1)])
    metrics.write([Measurement("R1:1:1", "loss", 0.0, 1.0)])
    logs.trimming.mark(1_000, 0)
    logs.write([line("R1", 2)])
    metrics.write([Measurement("R1:1:1", "loss", 1.0, 2.0)])
    logs.trimming.mark(2_000, 0)
    assert logs.trimming.runs() == {"R1", "R2"}
    assert logs.trimming.mark_at(999) == Mark(0, 0)
    upto = logs.trimming.mark_at(1_500)
    assert logs.trimming.trim("R1", upto, 100) == 2
    assert logs.trimming.trim("R1", upto, 100) == 0
    assert [each.entry.seq for each in logs.page("R1")] == [2]
    assert [each.entry.seq for each in logs.page("R2")] == [1]
    (series,) = metrics.chart("R1", None, 10).series
    assert series.points == [(1.0, 2.0)]


def test_a_mark_is_set_now_and_then_and_old_ones_are_forgotten(logs: LogStore) -> None:
    for now in (1_000, 1_500, 2_000, 3_000):
        logs.trimming.mark(now, 1_000)
    marks = "SELECT at FROM arrival ORDER BY at"
    assert logs.database.execute_sql(marks).fetchall() == [(1_000,), (2_000,), (3_000,)]
    logs.trimming.forget_marks(2_500)
    assert logs.database.execute_sql(marks).fetchall() == [(2_000,), (3_000,)]


def test_all_of_a_removed_run_goes_in_steps(logs: LogStore) -> None:
    metrics = MetricStore(logs.database, logs.path)
    logs.write([line("R1", seq) for seq in range(5)])
    metrics.write([Measurement("R1:1:1", "loss", float(n), 1.0) for n in range(5)])
    gone = []
    while not gone or gone[-1] == 3:
        gone.append(logs.trimming.clear("R1", 3))
    assert gone == [3, 3, 3, 1]
    assert logs.trimming.runs() == set()


def test_numbers_of_lines_and_points_are_not_given_again_LO_4(logs: LogStore) -> None:
    """Who follows by them misses nothing, and marks take nothing new for old."""
    metrics = MetricStore(logs.database, logs.path)
    for run in ("R1", "R2", "R3"):
        logs.write([line(run, 1), line(run, 2)])
        metrics.write([Measurement(f"{run}:1:1", "loss", 0.0, 1.0)])
        before = logs.page(run)[-1].id
        cursor = metrics.page(run, None, 0, 10).cursor
        assert logs.trimming.clear(run, 100) == 3
        metrics.forget()
        logs.write([line("R9", before)])
        metrics.write([Measurement("R9:1:1", "loss", float(before), 1.0)])
        assert [each.entry.seq for each in logs.page("R9", after=before)] == [before]
        assert len(metrics.page("R9", None, cursor, 10).series[0].points) == 1
    assert logs.trimming.runs() == {"R9"}
    for table in ("log", "metric_point"):
        rows = logs.database.execute_sql(f"SELECT COUNT(*) FROM {table}").fetchone()
        assert rows == (4,), table  # an empty one stays until the next goes


def test_blobs_of_lines_are_known_as_long_as_the_lines_are_DM_3(
    logs: LogStore, tmp_path: Path
) -> None:
    logs.write([line("R1", 1, x=held(blob="1")), line("R2", 1, x=held(blob="2"))])
    logs.write([line("R1", 1, x=held(blob="1"))])  # sent again
    assert logs.trimming.blobs() == {BLOB["1"], BLOB["2"]}
    logs.trimming.clear("R1", 10)
    assert logs.trimming.blobs() == {BLOB["2"]}


def test_an_older_file_of_logs_learns_which_blobs_its_lines_hold(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    logs.write([line("R1", 1, x=held(blob="1")), line("R1", 2)])
    logs.database.execute_sql("DROP TABLE log_blob")
    logs.close()
    logs = LogStore(tmp_path)
    assert logs.trimming.blobs() == {BLOB["1"]}
    logs.close()
