"""Removing what is past its time, on a real server (DM-2, DM-3): `coflux gc`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from .stack import Stack


def rows(stack: Stack, file: str, sql: str, *values: Any) -> list[Any]:
    """What a file of the project holds, as another process reads it."""
    (path,) = stack.data_dir.glob(f"projects/*/{file}")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def submit(stack: Stack, target: str, *arguments: Any) -> str:
    """A run without an idempotency key, which would keep it for a day (SU-4)."""
    body = {"target": target, "arguments": arguments}
    return str(stack.client().request("POST", "/runs", body=body)["run"])


def test_finished_runs_past_their_time_go_with_all_that_is_theirs_DM_2_ID_4(fresh: Stack) -> None:
    fresh.start_server()
    fresh.start_agent("flow.py", "--register")
    old, pinned = (submit(fresh, "flow/add", n) for n in (1, 2))
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


def test_removing_needs_the_admin_right_AU_2(fresh: Stack) -> None:
    fresh.start_server()
    token = fresh.cli("tokens", "create", "--name", "worker", "--right", "run", "--json").json
    refused = fresh.cli("gc", "--token", token["token"])
    assert refused.code == 3
    assert "admin" in refused.err
