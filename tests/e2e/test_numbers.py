"""Metrics and progress, from user code to the command line (MT)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import make_stack
from .stack import Stack, until


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("numbers_of.py", "--register")
        yield stack


def test_metrics_come_with_their_axes_and_all_their_points_MT_1(stack: Stack) -> None:
    run = stack.submit("numbers_of/train", 5)
    assert stack.value(run) == 5
    client = stack.client()
    metrics = {m["key"]: m for m in until(lambda: client.metrics(run)[0], "metrics")}
    assert metrics["loss"]["points"] == [[n, 1 / (n + 1)] for n in range(5)]
    assert metrics["loss"]["group"] == {"name": "training", "units": "epochs"}
    assert metrics["accuracy"]["scale"] == {
        "name": "share", "units": "%", "lower": 0.0, "upper": 100.0,
    }  # fmt: skip
    assert metrics["accuracy"]["execution"] == f"{run}:1:1"


def test_the_first_record_defines_the_key_in_the_execution_MT_1(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("numbers_of/redefine"))
    assert outcome.body["error"]["type"] == "builtins.ValueError"
    assert "metric 'loss' is defined otherwise" in outcome.body["error"]["message"]


def test_progress_and_bars_of_tqdm_are_shown_and_not_printed_MT_2(stack: Stack) -> None:
    run = stack.submit("numbers_of/bars", 4)
    assert stack.value(run) == 4
    metrics, _ = stack.client().metrics(run)
    # Each place in the code has a key of its own, also an inner loop that is run through often;
    # the last bar has no description when it is first shown.
    assert {m["key"]: (m["kind"], m["last"][1], m["total"]) for m in metrics} == {
        "progress": ("progress", 4.0, 4.0),
        "progress 2": ("progress", 3.0, 3.0),
        "progress 3": ("progress", 4.0, 4.0),
        "rows": ("progress", 4.0, 4.0),
    }
    assert [entry["text"] for entry in stack.logs(run)] == ["done"]


def test_what_was_measured_before_a_kill_is_there(stack: Stack, tmp_path: Path) -> None:
    run = stack.submit("numbers_of/dies", str(tmp_path / "go"))
    client = stack.client()
    metrics, cursor = until(
        lambda: (found := client.metrics(run, key="steps"))[0] and found, "metrics"
    )
    later = client.metrics(run, after=cursor)[0]
    assert later == [] or metrics[0]["count"] < 3
    (tmp_path / "go").write_text("")
    assert stack.outcome(run).kind == "crashed"
    metrics, _ = client.metrics(run)
    assert [point[0] for point in metrics[0]["points"]] == [0, 1, 2]


def test_new_points_end_the_wait_of_who_follows(stack: Stack, tmp_path: Path) -> None:
    run = stack.submit("numbers_of/dies", str(tmp_path / "go"))
    metrics, _ = stack.client().metrics(run, after="0", wait_s=20)
    assert metrics[0]["key"] == "steps"
    (tmp_path / "go").write_text("")


def test_the_command_line_shows_metrics(stack: Stack) -> None:
    run = stack.submit("numbers_of/train", 3)
    stack.value(run)
    shown = stack.cli("metrics", run)
    assert shown.code == 0
    assert "accuracy" in shown.out
    assert "66.6667 %" in shown.out
    assert "█" in shown.out
    only = stack.cli("metrics", f"{run}:1", "--key", "loss", "--json")
    assert [m["key"] for m in only.json] == ["loss"]
    assert len(only.json[0]["points"]) == 3
    missing = stack.cli("metrics", "Rbcdfgh")
    assert missing.code == 3
    assert "no 'Rbcdfgh'" in missing.err
