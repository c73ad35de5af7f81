"""Looking at a step in the foreground, and what a stray debugger does in an execution."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from .conftest import make_stack
from .stack import PATIENCE_S, Finished, Stack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with make_stack() as stack:
        stack.start_server()
        stack.start_agent("puzzle.py", "--register")
        yield stack


def debug(stack: Stack, *arguments: str, typed: str = "") -> Finished:
    """Run `coflux debug`, with these commands for the debugger."""
    done = subprocess.run(
        [sys.executable, "-m", "coflux", "debug", *arguments],
        input=typed, cwd=stack.work, env=stack.environment, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


def attempts(stack: Stack, run: str) -> list[list[str]]:
    """The executions of each step of a run."""
    steps = stack.client().inspect(run)["steps"]
    return [[e["execution"] for e in step["executions"]] for step in steps]


def test_a_failed_step_runs_again_here_with_its_arguments_and_stops_where_it_fails(
    stack: Stack,
) -> None:
    run = stack.submit("puzzle/split", 12, 0)
    assert stack.outcome(run).kind == "error"
    done = debug(stack, f"{run}:2", typed="p (amount, by)\np amount * 2\nq\n")
    assert done.code == 1
    assert "share = amount / by" in done.err
    assert "ZeroDivisionError: division by zero" in done.err
    assert "(12, 0)" in done.out
    assert "24" in done.out
    assert "other code" not in done.err


def test_a_childs_error_is_looked_at_in_the_child(stack: Stack) -> None:
    run = stack.submit("puzzle/split", 7, 0)
    stack.outcome(run)
    done = debug(stack, f"{run}:1", typed="p ('local', by)\nup\nq\n")
    assert done.code == 1
    assert "('local', 0)" in done.out


def test_handles_among_the_arguments_lead_to_earlier_outcomes(stack: Stack) -> None:
    run = stack.submit("puzzle/handles")
    assert stack.value(run) == 42
    done = debug(stack, f"{run}:3")
    assert (done.code, done.out) == (0, "returned 42\n")


def test_all_that_an_execution_has_is_there_and_nothing_is_recorded(stack: Stack) -> None:
    run = stack.submit("puzzle/works")
    assert stack.value(run) == "made here 3.0"
    before = attempts(stack, run)
    done = debug(stack, run + ":1")
    assert (done.code, done.out) == (0, "returned 'made here 3.0'\n"), done.err
    assert "info: parts: {count} count=2" in done.err
    assert attempts(stack, run) == before
    assert not (stack.work / "out.txt").exists()


def test_it_can_stop_at_the_first_line(stack: Stack) -> None:
    run = stack.submit("puzzle/split", 12, 3)
    assert stack.value(run) == 4
    done = debug(stack, f"{run}:2", "--from-start", typed="p amount\nn\np share\nc\n")
    assert done.code == 0
    assert "4.0" in done.out
    assert "returned 4.0" in done.out


def test_other_code_than_the_step_ran_is_told(stack: Stack) -> None:
    run = stack.submit("puzzle/split", 12, 3)
    stack.value(run)
    stack.write("changed.py", (stack.work / "puzzle.py").read_text().replace("/ by", "/ by + 1"))
    other = debug(stack, f"{run}:2", "--code", "changed.py")
    assert other.code == 2
    assert "puzzle/divide is not in the code here" in other.err
    (stack.work / "elsewhere").mkdir()
    (stack.work / "elsewhere" / "puzzle.py").write_text((stack.work / "changed.py").read_text())
    done = debug(stack, f"{run}:2", "--code", "elsewhere/puzzle.py", "--no-post-mortem")
    assert (done.code, done.out) == (0, "returned 5.0\n")
    assert "ran other code" in done.err


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("breakpoint", "RuntimeError", "no terminal in an execution"),
        ("set_trace", "RuntimeError", "open it with `coflux debug RUN:STEP`"),
        ("input", "EOFError", "an execution has no standard input"),
    ],
)
def test_a_stray_debugger_or_question_fails_at_once_with_a_clear_error(
    stack: Stack, how: str, kind: str, message: str
) -> None:
    error = stack.outcome(stack.submit("puzzle/stops", how)).body["error"]
    assert error["type"] == f"builtins.{kind}"
    assert message in error["message"]
