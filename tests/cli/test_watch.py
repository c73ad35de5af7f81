"""What is said of a run in a pipe, beside what ended."""

from __future__ import annotations

from typing import Any

from coflux.cli.watch import _held_up
from coflux.client.views import Attempt, RunView, Step


def view(**reasons: dict[str, Any]) -> RunView:
    attempts = [Attempt(execution=name, reason=reason) for name, reason in reasons.items()]
    steps = [Step(step=a.execution, target="shop/order", executions=[a]) for a in attempts]
    return RunView(run="R1", target="shop/order", environment="default", status="queued",
                   steps=steps)  # fmt: skip


def test_what_waits_for_somebody_is_told_once_and_what_goes_on_by_itself_is_not() -> None:
    seen: set[str] = set()
    found = view(
        agent={"code": "agent", "text": "waits for an agent"},
        person={"code": "waiting", "text": "waits for an answer to R1/i1", "ids": ["R1/i1"]},
        step={"code": "waiting", "text": "waits for R1:2:1", "ids": ["R1:2:1"]},
        slot={"code": "concurrency", "text": "waits for a free slot"},
    )
    assert [a.execution for _, a in _held_up(found, seen)] == ["agent", "person"]
    assert _held_up(found, seen) == []
