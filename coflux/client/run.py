"""A handle to a run, held by a program outside any execution.

Belongs here: waiting for its outcome, looking at it and cancelling it. Does not belong here: HTTP,
and how a run is drawn on a terminal.
"""

from __future__ import annotations

import html
import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from coflux.client.patience import Patience
from coflux.client.statuses import FINISHED, status_of_kind
from coflux.errors import CofluxError, Unavailable

if TYPE_CHECKING:
    from coflux.client.client import Client
    from coflux.client.views import RunView, Step

#: Seconds between two looks at a run that is followed, at least.
_LOOK_MIN_S = 0.1


class Run:
    """One submission and all that it led to."""

    def __init__(self, client: Client, id: str, submitted: Mapping[str, Any] | None = None) -> None:
        self.client = client
        self.id = id
        #: What the server answered when it was made here: `run`, `step`, `execution`, `status`.
        self.submitted: Mapping[str, Any] = submitted or {}

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the outcome and return its value.

        `timeout` is in seconds; None waits without limit, also through a restart of the server.

        Raises `TimeoutError` when the time is up, and `ExecutionError` or `ExecutionTerminated`
        for an outcome that is no value.
        """
        return self.client.wait(self.id, timeout)

    def cancel(self) -> None:
        """Cancel all of it; cancelling what has ended changes nothing."""
        self.client.cancel(self.id)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        return asyncio.get_running_loop().run_in_executor(None, self.result).__await__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def status(self) -> str:
        """`queued`, `running`, `suspended`, `succeeded`, `failed` or `cancelled`, asked for now."""
        outcome = self.client.outcome(self.id)
        return outcome.status if outcome.kind is None else status_of_kind(outcome.kind)

    def view(self) -> RunView:
        """The run with its steps and their attempts, as it is now."""
        return self.client.view(self.id)

    def steps(self) -> list[Step]:
        """The steps in the order of their numbers."""
        return list(self.view().steps)

    def follow(self) -> Iterator[RunView]:
        """The run each time it has changed, until its outcome is there (the last one shows it)."""
        from coflux.client.views import run_view

        body, patience = self.client.inspect(self.id), Patience()
        last: RunView | None = None
        while True:
            view = run_view(body)
            if view != last:
                last = view
                yield view
            if view.status in FINISHED:
                return
            time.sleep(_LOOK_MIN_S)
            try:
                body = _merged(body, self.client.changes(self.id, body.get("cursor", "")))
                patience.renew()
            except Unavailable:
                if not patience.spend(None):
                    raise

    def __repr__(self) -> str:
        try:
            return f"<Run {self.id} {self.status}>"
        except CofluxError as error:
            return f"<Run {self.id} ({type(error).__name__})>"

    def _repr_html_(self) -> str:
        try:
            view = self.view()
        except CofluxError as error:
            return f"<code>{html.escape(self.id)}</code> {html.escape(str(error))}"
        rows = "".join(_row(step) for step in view.steps[:100])
        more = len(view.steps) - 100
        note = f"<tr><td colspan=4>… and {more} more steps</td></tr>" if more > 0 else ""
        return (
            f"<div><b>{html.escape(view.target)}</b> <code>{html.escape(view.run)}</code> "
            f"{html.escape(view.status)}<table><thead><tr><th>step</th><th>target</th>"
            f"<th>status</th><th>attempts</th></tr></thead><tbody>{rows}{note}</tbody></table></div>"
        )


def _merged(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The run with what changed since."""
    if changes.get("is_whole", True):
        return changes
    steps = {step["step"]: step for step in body["steps"]}
    steps.update((step["step"], step) for step in changes["steps"])
    return {**changes, "steps": list(steps.values())}


def _row(step: Step) -> str:
    latest = step.latest
    cells = (
        step.step,
        step.target,
        latest.status if latest else "",
        str(len(step.executions)),
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
