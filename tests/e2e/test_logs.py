"""What users are promised about logs: all of them, on the right execution, to the last line."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from .stack import Stack, until


def test_everything_that_is_written_is_there_LO_1(stack: Stack) -> None:
    run = stack.submit("flow/talks")
    assert stack.outcome(run).kind == "value"
    entries = until(lambda: complete(stack, run), "all is logged")
    by_level = {
        level: [e["text"] for e in entries if e["level"] == level]
        for level in ("stdout", "stderr", "info", "warning", "error")
    }
    assert by_level["stdout"] == ["printed", "from below", "raw", "", "no end"]
    assert by_level["stderr"] == ["to stderr", "below stderr"]
    assert by_level["info"] == ["logged 1"]
    assert by_level["error"] == ["trouble"]
    assert by_level["warning"] == ["3 left of apples extra=[1]"]
    warning = next(e for e in entries if e["level"] == "warning")
    assert warning["template"] == "{count} left of {kind}"
    assert warning["values"]["count"]["value"] == 3
    assert [e["seq"] for e in entries] == sorted(e["seq"] for e in entries)
    assert {e["execution"] for e in entries} == {f"{run}:1:1"}


def complete(stack: Stack, run: str) -> list[dict[str, Any]] | None:
    entries = stack.logs(run)
    return entries if len(entries) >= 10 else None


def test_levels_are_filtered_and_pages_miss_nothing_LO_4(stack: Stack) -> None:
    run = stack.submit("flow/talks")
    stack.outcome(run)
    whole = until(lambda: complete(stack, run), "all is logged")
    assert [e["text"] for e in stack.logs(run, level="error")] == ["trouble"]
    paged, cursor = stack.client().logs(run, limit=3)
    while True:
        page, cursor = stack.client().logs(run, limit=3, after=cursor)
        if not page:
            break
        paged += page
    assert paged == whole


def test_the_last_lines_before_a_kill_are_there_LO_2(stack: Stack) -> None:
    run = stack.submit("flow/shouts", 500)
    seen = stack.until_seen("shouted", run)
    os.kill(seen.pid, signal.SIGKILL)
    assert stack.outcome(run).kind == "crashed"
    lines = [e["text"] for e in stack.logs(run)]
    assert lines == [*(f"line {each}" for each in range(500)), "cut off"]


@pytest.mark.slow
def test_logs_written_while_the_server_is_away_are_delivered_LO_2(fresh: Stack) -> None:
    fresh.start_server()
    fresh.write(
        "talking.py",
        """
        import os, time
        import coflux as cf
        from witness import saw

        @cf.workflow()
        def talk(path):
            print("before", flush=True)
            saw("before")
            while not os.path.exists(path):
                time.sleep(0.01)
            for each in range(200):
                print("away", each)
            saw("after")
            while not os.path.exists(path + "2"):
                time.sleep(0.01)
        """,
    )
    fresh.start_agent("talking.py", "--register")
    path = fresh.folder / "go"
    run = fresh.submit("talking/talk", str(path))
    fresh.until_seen("before", run)
    fresh.kill_server()
    path.touch()
    fresh.until_seen("after", run)
    fresh.start_server()
    (fresh.folder / "go2").touch()
    assert fresh.outcome(run).kind == "value"
    lines = [e["text"] for e in fresh.logs(run)]
    assert lines == ["before", *(f"away {each}" for each in range(200))]
