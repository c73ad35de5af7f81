"""An agent that does not fork, as on Windows and macOS, forced on Linux: all is as with forking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import make_stack
from .stack import Stack, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent(
            "flow.py", "numbers_of.py", "--register", "--isolation", "spawn", "--concurrency", "2"
        )
        yield stack


def test_children_retries_and_errors_are_the_same(stack: Stack, tmp_path: Path) -> None:
    assert stack.run("flow/add", 1, 5) == 6
    assert stack.run("flow/retried", str(tmp_path / "tries"), 3) == 3
    outcome = stack.outcome(stack.submit("flow/fails", "gone"))
    assert outcome.body["error"]["type"] == "builtins.KeyError"


def test_a_crash_is_seen_with_its_last_words(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("flow/exits", 3))
    assert (outcome.kind, outcome.body["exit_code"]) == ("crashed", 3)
    assert outcome.body["last_lines"] == ["last words", "without an end"]


def test_metrics_progress_and_output_are_the_same(stack: Stack) -> None:
    run = stack.submit("numbers_of/bars", 4)
    assert stack.value(run) == 4
    metrics = until(lambda: stack.client().metrics(run)[0], "metrics")
    assert {m["key"]: m["last"][1] for m in metrics} == {
        "progress": 4.0, "progress 2": 3.0, "progress 3": 4.0, "rows": 4.0,
    }  # fmt: skip
    assert [entry["text"] for entry in stack.logs(run)] == ["done"]


def test_cancelling_ends_the_process_with_all_it_started(stack: Stack, tmp_path: Path) -> None:
    run = stack.submit("flow/endless_run", str(tmp_path / "pids"))
    stack.until_seen("endless", run)
    stack.client().cancel(run)
    assert stack.outcome(run).kind == "cancelled"
    until(lambda: not stack.is_any_alive(tmp_path / "pids"), "its processes are gone")
