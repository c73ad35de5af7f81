"""A run as the graph shows it: every step in a few short fields, no values, no tracebacks.

Belongs here: the compact form that a browser can hold for thousands of steps, and one step in full.
Field names are short because they are sent once for each step: see `compact_step`. Does not belong
here: folding and live updates (`project.graph_feed`).
"""

from __future__ import annotations

from typing import Any

from coflux.blobs import Blobs
from coflux.model import LINKS, Abandoned, Crashed, Raised, TimedOut, is_input, run_of, target_id
from coflux.server.core.entities import Execution, Run, Step
from coflux.server.core.state import State
from coflux.server.views.results import describe, show_value
from coflux.server.views.runs import ReasonOf, resolved, show_step, status_of

#: Longest error line.
LINE = 200
Compact = dict[str, Any]


class Targets:
    """The table of targets that steps point into."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str]] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, step: Step) -> int:
        """The index of the step's target; made if it is new."""
        submission = step.submission
        row = (target_id(submission.repository, submission.target), submission.type)
        number = self._numbers.get(row)
        if number is None:
            number = self._numbers[row] = len(self.rows)
            self.rows[str(number)] = row
        return number


def compact_step(
    state: State, step: Step, executions: list[Execution], targets: Targets
) -> Compact:
    """A step with its visible attempts.

    `t` target, `p` parent as (step, attempt), `g` group, `d` steps of the run that the arguments
    refer to, `a` attempts by number.
    """
    shown: Compact = {"t": targets.number(step)}
    if step.parent is not None:
        _, number, attempt = step.parent.split(":")
        shown["p"] = (int(number), int(attempt))
    if step.submission.group is not None:
        shown["g"] = step.submission.group.number
    needed = {
        reference.id
        for value in step.submission.arguments.values()
        for reference in value.references
        if reference.kind == "execution"
    }
    if needed:
        shown["d"] = _own_steps(step.run, needed)
    shown["a"] = {str(e.attempt): _attempt(state, step.run, e) for e in executions}
    return shown


def _attempt(state: State, run: Run, execution: Execution) -> Compact:
    """`s` status, `o` outcome where links lead, `e` environment, `by` origin, instants `q` created,
    `due`, `as` assigned, `st` started, `en` ended, `x` linked execution, `er` error, `w` waited-for
    steps; what is at its default is left out.
    """
    shown: Compact = {"s": status_of(execution), "q": execution.created_at}
    if execution.environment != run.environment:
        shown["e"] = state.environments[execution.environment].name
    if execution.origin != "submit":
        shown["by"] = execution.origin
    if execution.due_at != execution.created_at:
        shown["due"] = execution.due_at
    for name, at in (
        ("as", execution.assigned_at),
        ("st", execution.started_at),
        ("en", execution.ended_at),
    ):
        if at is not None:
            shown[name] = at
    if execution.dependencies:
        shown["w"] = _own_steps(run, execution.dependencies)
    result = execution.result
    if result is None:
        return shown
    end = resolved(state, execution)
    if end is not None:
        shown["o"] = end["status"]
    if isinstance(result, LINKS):
        shown["x"] = result.execution
    elif isinstance(result, Raised | Crashed | Abandoned | TimedOut):
        shown["er"] = describe(result)[:LINE]
    return shown


def _own_steps(run: Run, executions: Any) -> list[int]:
    own = (id for id in executions if run_of(id) == run.id and not is_input(id))
    return sorted({int(id.split(":")[1]) for id in own})


def show_groups(execution: Execution) -> dict[str, str | None]:
    """Names of the groups that an execution made."""
    return {str(number): name for number, name in execution.groups.items()}


def show_step_whole(
    state: State, step: Step, seen: list[str], reason_of: ReasonOf, blobs: Blobs | None
) -> dict[str, Any]:
    """A step with everything: `runs.show_step`, and the arguments as `values`."""
    values = step.submission.arguments.items()
    return {
        **show_step(state, step, seen, reason_of, blobs),
        "values": {name: show_value(value, blobs) for name, value in values},
    }
