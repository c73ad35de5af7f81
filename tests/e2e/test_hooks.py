"""Hooks against a whole server: told when runs end, again after failures and restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coflux.errors import Conflict, InvalidRequest, NotFound, Unavailable

from .conftest import make_stack
from .stack import Stack, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("endings.py", "--register")
        yield stack


def listener(stack: Stack, name: str, gate: str = "true") -> tuple[str, Path]:
    """A command that writes what it is told into a file, if the gate lets it."""
    told = stack.folder / f"{name}.told"
    script = stack.folder / f"{name}.sh"
    script.write_text(f"#!/bin/sh\n{gate} || exit 5\ncat >> {told}; echo >> {told}\n")
    script.chmod(0o755)
    return str(script), told


def read(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def test_a_hook_is_told_of_the_outcomes_it_wants_and_of_nothing_else(stack: Stack) -> None:
    command, told = listener(stack, "failures")
    made = stack.cli("hooks", "create", "failures", "--command", command, "--on", "failed")
    assert made.out == "created hook failures in default\n"
    stack.value(stack.submit("endings/works"))
    assert stack.run("endings/outer") == "caught"
    run = stack.submit("endings/fails", "pie")
    stack.outcome(run)
    (message,) = until(lambda: read(told), "the hook is told")
    assert message["run"] == run
    assert message["text"] == f"endings/fails failed: KeyError: 'pie' ({run} in default)"
    until(
        lambda: stack.client().hooks.deliveries("failures")[0]["state"] == "delivered",
        "that is noted",
    )
    assert run in stack.cli("hooks", "deliveries", "failures").out


def test_a_hook_that_fails_is_tried_again_and_holds_nothing_up(stack: Stack) -> None:
    gate = stack.folder / "open"
    command, told = listener(stack, "later", f"test -e {gate}")
    client = stack.client()
    client.hooks.create("later", command=[command], outcomes=["succeeded"])
    run = stack.submit("endings/works")
    assert stack.value(run) == "done"
    owed = until(
        lambda: (d := client.hooks.deliveries("later")) and d[0]["attempts"] and d, "it is tried"
    )
    assert owed[0]["state"] == "owed"
    assert "ended with code 5" in owed[0]["error"]
    gate.write_text("")
    assert [m["run"] for m in until(lambda: read(told), "it is tried again")] == [run]
    client.hooks.delete("later")


def test_what_is_owed_is_told_by_the_next_server(stack: Stack) -> None:
    gate = stack.folder / "open-later"
    command, told = listener(stack, "restart", f"test -e {gate}")
    client = stack.client()
    client.hooks.create("restart", command=[command], outcomes=["succeeded"], target="endings")
    run = stack.submit("endings/works")
    stack.value(run)
    until(lambda: client.hooks.deliveries("restart"), "it is owed")
    stack.kill_server()
    gate.write_text("")
    stack.start_server()
    assert [m["run"] for m in until(lambda: read(told), "it is told after all")] == [run]
    stack.client().hooks.delete("restart")


def test_hooks_are_tried_switched_and_refused(stack: Stack) -> None:
    client = stack.client()
    command, told = listener(stack, "switched")
    client.hooks.create("switched", command=[command])
    client.hooks.test("switched")
    assert read(told)[0]["run"] == "Rtrial"
    assert client.hooks.disable("switched")["enabled"] is False
    stack.outcome(stack.submit("endings/fails", "quiet"))
    assert client.hooks.deliveries("switched") == []
    client.hooks.enable("switched")
    with pytest.raises(Conflict, match="exists already in default"):
        client.hooks.create("switched", command=["true"])
    with pytest.raises(InvalidRequest, match="begins with http"):
        client.hooks.create("x", webhook="ftp://somewhere")
    with pytest.raises(NotFound, match="did you mean 'switched'"):
        client.hooks.delete("switchd")
    client.hooks.create("away", command=["/no/such/command"])
    with pytest.raises(Unavailable, match="cannot be run"):
        client.hooks.test("away")
    assert stack.cli("hooks", "create", "x", "--command", "true", "--webhook", "http://x").code == 2


def test_addresses_are_not_shown_and_come_with_a_backup(stack: Stack, tmp_path: Path) -> None:
    (stack.work / "url").write_text("https://chat.example/T0KEN\n")
    made = stack.cli("hooks", "create", "chat", "--webhook", "@url", "--on", "cancelled", "--json")
    assert made.json["url"] == "https://chat.example/***"
    assert "T0KEN" not in stack.cli("hooks", "list").out
    backup = tmp_path / "backup.tar"
    assert stack.cli("backup", str(backup)).code == 0
    other = tmp_path / "other"
    assert stack.cli("restore", str(backup), "--data-dir", str(other)).code == 0
    kept = list(other.glob("projects/*/hooks.db"))
    assert len(kept) == 1
    assert b"T0KEN" in kept[0].read_bytes()
