"""Runs that somebody wants kept for ever (DM-2), by the command line, over restarts."""

from __future__ import annotations

from .stack import Stack


def test_a_finished_run_is_pinned_after_a_restart_and_stays_so_over_a_crash_DM_2_AU_2(
    fresh: Stack,
) -> None:
    fresh.start_server()
    fresh.start_agent("flow.py", "--register")
    first, second = (fresh.submit("flow/add", n) for n in (1, 2))
    assert (fresh.value(first), fresh.value(second)) == (3, 4)
    me = fresh.client().inspect(first)["created_by"]
    assert fresh.stop_server() == 0
    fresh.start_server()  # neither run is in memory now
    assert fresh.cli("runs", "pin", first).out == f"{first} is pinned by {me}\n"
    fresh.kill_server()
    fresh.start_server()
    listed = fresh.cli("runs", "list", "--json").json
    pins = {entry["run"]: entry["pinned"] and entry["pinned"]["by"] for entry in listed}
    assert pins == {first: me, second: None}
    assert [entry["run"] for entry in fresh.cli("runs", "list", "--pinned", "--json").json] == [
        first
    ]
    assert f"pinned by {me}" in fresh.cli("runs", "inspect", first).out
    assert fresh.value(first) == 3

    reader = fresh.cli("tokens", "create", "--name", "viewer", "--right", "read", "--json").json
    refused = fresh.cli("runs", "unpin", first, "--token", reader["token"])
    assert refused.code == 3
    assert "run right" in refused.err
    for unknown in ("Rbcdfgh", f"{first}:1", "nonsense"):
        refused = fresh.cli("runs", "pin", unknown)
        assert refused.code == 3
        assert unknown in refused.err

    assert fresh.cli("runs", "unpin", first).out == f"{first} is not pinned\n"
    assert fresh.cli("runs", "list", "--pinned", "--json").json == []
