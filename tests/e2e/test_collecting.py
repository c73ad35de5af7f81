"""Removing what is past its time, on a real server (DM-2, DM-3): `coflux gc`."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from coflux.blobs import LocalBlobs
from coflux.server.core.state import State
from coflux.server.gateway import backup
from coflux.server.store.store import Store

from .stack import Stack, until


def rows(stack: Stack, file: str, sql: str, *values: Any) -> list[Any]:
    """What a file of the project holds, as another process reads it."""
    (path,) = stack.data_dir.glob(f"projects/*/{file}")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def test_finished_runs_past_their_time_go_with_all_that_is_theirs_DM_2_ID_4(fresh: Stack) -> None:
    fresh.start_server()
    fresh.start_agent("flow.py", "--register")
    old, pinned = (fresh.submit("flow/add", n) for n in (1, 2))
    assert (fresh.value(old), fresh.value(pinned)) == (3, 4)
    fresh.cli("runs", "pin", pinned)
    fresh.cli("env", "settings", "default", "--set", "runs_kept_ms=1ms")

    foreseen = fresh.cli("gc", "--dry-run", "--json").json
    assert (foreseen["runs"], foreseen["dry_run"]) == (1, True)
    assert fresh.value(old) == 3
    removed = fresh.cli("gc", "--json").json
    assert (removed["runs"], removed["bytes"]) == (1, foreseen["bytes"])
    assert removed["bytes"] > 0

    assert [run["run"] for run in fresh.cli("runs", "list", "--json").json] == [pinned]
    for command in (("inspect",), ("result",), ("rerun",), ("cancel",), ("pin",)):
        refused = fresh.cli("runs", *command, old)
        assert (refused.code, old in refused.err) == (3, True), refused
    assert fresh.cli("logs", old).code == 3
    for table in ("journal", "reach", "removed"):
        assert not rows(fresh, "store.db", f"SELECT 1 FROM {table} WHERE run = ?", old)
    assert not rows(fresh, "logs.db", "SELECT 1 FROM log WHERE run = ?", old)
    assert rows(fresh, "store.db", "SELECT id FROM identifier WHERE id = ?", old)  # ID-1

    assert fresh.value(pinned) == 4
    assert fresh.cli("gc").out == "removed 0 runs, 0 blobs (0 B)\n"
    assert fresh.stop_server() == 0
    fresh.start_server()
    assert fresh.cli("runs", "inspect", old).code == 3
    assert fresh.value(pinned) == 4


def test_a_pinned_run_keeps_the_run_and_the_files_that_it_took_from_the_cache_DM_2(
    fresh: Stack,
) -> None:
    fresh.start_server()
    fresh.write("big.py", BIG)
    fresh.start_agent("big.py", "--register")
    first = fresh.submit("big/keep", 1)
    assert fresh.value(first) == "1 " * 3_000
    second = fresh.submit("big/keep", 1)
    assert fresh.value(second) == "1 " * 3_000
    source = fresh.execution(f"{second}:2")["result"]["execution"]
    assert source == f"{first}:2:1"
    fresh.client().pin(second)
    change = {"runs_kept_ms": 1, "blob_grace_ms": 1_000}
    fresh.client().environments.change_settings("default", change)

    *_, done = fresh.client().collect()
    assert (done["runs"], done["assets"]) == (0, 0)
    assert fresh.stop_server() == 0
    fresh.start_server()
    rerun = fresh.client().rerun(f"{second}:1").id
    assert fresh.value(rerun) == "1 " * 3_000
    third = fresh.submit("big/keep", 1)
    assert fresh.value(third) == "1 " * 3_000
    assert fresh.execution(f"{third}:2")["status"] == "cached"

    fresh.client().unpin(second)
    until(lambda: list(fresh.client().collect()) and not fresh.client().runs(), "all go")
    until(lambda: list(fresh.client().collect()) and not blobs(fresh), "and their blobs")
    assert not rows(fresh, "store.db", "SELECT 1 FROM asset")
    again = fresh.submit("big/keep", 1)  # a clean miss
    assert fresh.value(again) == "1 " * 3_000
    assert "no earlier entry" in str(fresh.client().explain_cache(f"{again}:2"))


def test_a_step_whose_argument_is_no_longer_stored_is_not_run_again_RR(fresh: Stack) -> None:
    fresh.start_server()
    fresh.write("echo.py", ECHO)
    fresh.start_agent("echo.py", "--register")
    run = fresh.submit("echo/echo", "x" * 10_000)
    assert fresh.value(run) == "x" * 10_000
    (stored,) = blobs(fresh)
    next(fresh.data_dir.glob(f"projects/*/blobs/??/{stored}")).unlink()
    refused = fresh.cli("runs", "rerun", run)
    assert refused.code == 3
    assert f"its argument text is no longer stored (blob {stored})" in refused.err
    assert len(fresh.client().view(run).steps[0].executions) == 1


def test_removing_needs_the_admin_right_AU_2(fresh: Stack) -> None:
    fresh.start_server()
    token = fresh.cli("tokens", "create", "--name", "worker", "--right", "run", "--json").json
    refused = fresh.cli("gc", "--token", token["token"])
    assert refused.code == 3
    assert "admin" in refused.err


# --- while it goes on ---------------------------------------------------------------------------

ECHO = """\
import coflux as cf

@cf.workflow()
def echo(text):
    return text
"""

BIG = """
from pathlib import Path

import coflux as cf


@cf.workflow()
def make(n: int) -> str:
    print(f"number {n}")
    return f"{n} " * 3_000


@cf.workflow()
def keep(n: int) -> str:
    return once(n).restore().read_text()


@cf.task(cache=True)
def once(n: int) -> cf.Asset:
    Path("big.txt").write_text(f"{n} " * 3_000)
    return cf.persist_asset("big.txt")
"""
#: Runs that go in each of these tests, and those that stay: every so manieth is pinned.
MANY, EVERY = 300, 30
#: How often the project's process or the server is killed.
KILLS = 8


def fill(stack: Stack) -> tuple[list[str], list[str]]:
    """Finished runs with logs and blobs: those that may go, and pinned ones."""
    stack.write("big.py", BIG)
    stack.start_agent("big.py", "--register", "--concurrency", "8", "--isolation", "reuse")
    runs = [stack.submit("big/make", n) for n in range(MANY)]
    for run in runs:
        assert stack.value(run)
    pinned = runs[::EVERY]
    for run in pinned:
        stack.client().pin(run)
    change = {"runs_kept_ms": 1, "blob_grace_ms": 1_000}
    stack.client().environments.change_settings("default", change)
    return [run for run in runs if run not in pinned], pinned


def check_all_there(stack: Stack, runs: list[str]) -> None:
    """Each is whole: attempt, value in a blob, line of log."""
    for run in runs:
        number = stack.value(run).split()[0]
        assert [entry["text"] for entry in stack.logs(run)] == [f"number {number}"]


@pytest.mark.slow
def test_kill_9_at_any_moment_of_a_removal_loses_nothing_kept_and_shows_no_half_run_DM_2_SE_9(
    fresh: Stack,
) -> None:
    fresh.start_server()
    going, pinned = fill(fresh)
    chance = random.Random(1)
    left: list[int] = []
    query = {"dry_run": False, "collection": 0, "wait_ms": 0}
    for kill in range(KILLS):
        until(lambda: fresh.client().request("POST", "/gc", query=query, body={}), "it begins")
        time.sleep(chance.uniform(0.0, 0.25))
        kill_project(fresh, kill)
        there = until(lambda: fresh.client().runs(limit=1000), "the server answers")
        listed = {entry["run"] for entry in there}
        assert set(pinned) <= listed
        check_all_there(fresh, [run for run in going if run in listed][:5])
        left.append(len(listed) - len(pinned))
    assert any(0 < number < len(going) for number in left), "none was in the middle of it"
    *_, last = fresh.client().collect()
    assert last["done"]
    check_all_there(fresh, pinned)
    assert {entry["run"] for entry in fresh.client().runs(limit=1000)} == set(pinned)
    for table in ("journal", "reach", "removed"):
        left = {run for (run,) in rows(fresh, "store.db", f"SELECT DISTINCT run FROM {table}")}
        assert not left.intersection(going), table
    lines = rows(fresh, "logs.db", "SELECT DISTINCT run FROM log WHERE run <> ''")
    assert {run for (run,) in lines} <= set(pinned)
    # The grace of the last blobs, counted from when they were stored, has passed by now.
    until(lambda: list(fresh.client().collect()) and len(blobs(fresh)) == len(pinned), "blobs go")
    check_all_there(fresh, pinned)


def kill_project(stack: Stack, number: int) -> None:
    """End the project's process as a crash would; every third time the whole server."""
    if number % 3 == 2:
        stack.kill_server()
        stack.start_server()
        return
    process = stack.project_process()
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.kill()


def blobs(stack: Stack) -> list[str]:
    """Keys of all blobs on disk."""
    return [path.name for path in stack.data_dir.glob("projects/*/blobs/??/*")]


@pytest.mark.slow
def test_a_backup_that_is_taken_during_a_removal_is_consistent_with_its_blobs_DM_4(
    fresh: Stack, tmp_path: Path
) -> None:
    fresh.start_server()
    _, pinned = fill(fresh)
    passes = fresh.client().collect()
    archive = tmp_path / "backup.tar"
    taking = threading.Thread(target=lambda: list(fresh.client().backup(archive)))
    taking.start()
    for _ in passes:
        pass
    taking.join()
    restored = tmp_path / "restored"
    backup.restore(archive, restored)
    (folder,) = restored.glob("projects/*")
    state = State()
    store = Store(folder, state)
    store.load(state)
    there = [row["run"] for row in store.reader.runs(None, None, 1000, None)]
    assert set(pinned) <= set(there)
    for run in there:
        found = State()
        found.load(store.reader.family(run))
        assert found.runs[run].status == "succeeded"
    missing = [
        key for key in store.removal.blobs(0) if not LocalBlobs(folder / "blobs").exists(key)
    ]
    assert missing == []
    store.close()
