"""Waiting for a run on the terminal: a live tree, or plain lines in a pipe, then the outcome.

Belongs here: what commands that wait have in common, to the exit code. Does not belong here: how
the tree looks (`tree`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coflux.cli.output import (
    by_hand,
    cap,
    clean,
    duration,
    emit,
    headline,
    is_terminal,
    note,
    outcome_lines,
    status,
)
from coflux.model import is_input

if TYPE_CHECKING:
    from coflux.client import Run
    from coflux.client.outcome import Outcome
    from coflux.client.views import Attempt, RunView, Step

#: Codes of reasons that do not go away by themselves.
_LASTING = ("agent", "cap", "paused", "tags")


def wait_for_run(run: Run, *, as_json: bool, detachable: bool = True) -> int:
    """Show the run until its outcome is there, print that, and give the exit code.

    Ctrl-C stops the waiting; `detachable` says that the run then goes on.
    """
    try:
        if as_json:
            outcome = run.client.wait_outcome(run.id)
            emit({**run.submitted, "status": outcome.status, "result": outcome.shown()})
            return exit_code(outcome)
        show(run)
        outcome = run.client.wait_outcome(run.id)
    except KeyboardInterrupt:
        return detached(run.id) if detachable else 130
    print_outcome(outcome)
    return exit_code(outcome)


def show(run: Run) -> None:
    """Show a run live until its outcome is there."""
    if is_terminal():
        from coflux.cli.tree import show_live

        show_live(run.follow())
    else:
        _print_lines(run)


def print_outcome(outcome: Outcome) -> None:
    """The value on stdout; for anything else the error, on stderr."""
    for line in outcome_lines(outcome.body):
        click.echo(line, err=outcome.kind != "value")
    hand = outcome.body.get("by_hand")
    if hand:
        note(clean(by_hand(hand.get("by"), hand.get("reason"))))


def exit_code(outcome: Outcome) -> int:
    """0 for a value, 1 for any other outcome."""
    return 0 if outcome.kind == "value" else 1


def detached(id: str) -> int:
    """Say how to come back to a run after Ctrl-C; the run goes on."""
    note(
        f"\n{id} goes on. `coflux runs result {id}` waits for it again,"
        f" `coflux runs cancel {id}` ends it."
    )
    return 130


# --- plain lines ------------------------------------------------------------------------------


def _print_lines(run: Run) -> None:
    """One line when the run begins, one for each attempt that ended, one when the run ends.

    And one for each that somebody has to do something about.
    """
    seen: set[str] = set()
    view: RunView | None = None
    for view in run.follow():
        if not seen:
            seen.add(view.run)
            click.echo(f"{view.run} {view.target} in {view.environment}")
        for step, attempt in _ended(view, seen):
            click.echo(_line(step, attempt))
        if view.held and not view.is_finished and "held" not in seen:
            seen.add("held")
            click.echo(f"  {clean(cap(view.held, view.environment))}")
        for step, attempt in _held_up(view, seen):
            click.echo(f"{_line(step, attempt)}: {clean(attempt.reason['text'])}")
    if view is not None:
        click.echo(f"{status(view.status)} {view.run}")


def _ended(view: RunView, seen: set[str]) -> list[tuple[Step, Attempt]]:
    found = []
    for step in view.steps:
        for attempt in step.executions:
            if attempt.result is not None and attempt.execution not in seen:
                seen.add(attempt.execution)
                found.append((step, attempt))
    return sorted(found, key=lambda pair: pair[1].ended_at or 0)


def _held_up(view: RunView, seen: set[str]) -> list[tuple[Step, Attempt]]:
    found = []
    for step in view.steps:
        for attempt in step.executions:
            reason = attempt.reason
            if not isinstance(reason, dict) or not _needs_somebody(reason):
                continue
            if (told := f"{attempt.execution} {reason['code']}") not in seen:
                seen.add(told)
                found.append((step, attempt))
    return found


def _needs_somebody(reason: dict[str, Any]) -> bool:
    is_asking = any(is_input(id) for id in reason.get("ids", ()))
    return is_asking or reason.get("code") in _LASTING


def _line(step: Step, attempt: Attempt) -> str:
    parts = [f"  {status(attempt.status)} {attempt.execution} {step.target}"]
    if attempt.started_at is not None and attempt.ended_at is not None:
        parts.append(f"in {duration(attempt.ended_at - attempt.started_at)}")
    result: dict[str, Any] = attempt.result or {}
    error = result.get("error")
    if isinstance(error, dict):
        parts.append(f"({clean(headline(error).partition(chr(10))[0])})")
    if attempt.origin == "manual":
        parts.append(f"({clean(by_hand(attempt.by, attempt.note))})")
    return " ".join(parts)
