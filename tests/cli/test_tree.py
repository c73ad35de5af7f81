"""The picture of a run on the terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from coflux.cli.tree import draw, show_live
from coflux.client.views import RunView, run_view


def attempt(step: int, number: int, status: str, **more: Any) -> dict[str, Any]:
    return {"execution": f"R1:{step}:{number}", "status": status, **more}


def step(number: int, target: str, *attempts: dict[str, Any], **more: Any) -> dict[str, Any]:
    parent = None if number == 1 else "R1:1:1"
    return {"step": f"R1:{number}", "target": f"repo/{target}", "parent": parent,
            "arguments": {}, "executions": list(attempts), **more}  # fmt: skip


def view(status: str, *steps: dict[str, Any]) -> RunView:
    return run_view({"run": "R1", "target": "repo/report", "environment": "dev",
                     "status": status, "steps": list(steps)})  # fmt: skip


def lines(picture: RunView, now_ms: int = 0) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120).print(draw(picture, now_ms))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_steps_hang_below_the_step_that_made_them_with_state_duration_and_attempts() -> None:
    error = {"type": "builtins.ValueError", "message": "no\nmore"}
    picture = view(
        "running",
        step(1, "report", attempt(1, 1, "waiting", started_at=1000)),
        step(2, "load", attempt(2, 1, "cached"), arguments={"city": "'Oslo'", "day": "1"}),
        step(
            3, "load",
            attempt(3, 1, "error", result={"kind": "error", "error": error}),
            attempt(3, 2, "queued", reason={"code": "due", "text": "in 5 s"}),
        ),
        step(4, "sum", attempt(4, 1, "error", started_at=0, ended_at=50,
                               result={"kind": "error", "error": error})),
    )  # fmt: skip
    assert lines(picture, 3500) == [
        "● running R1 repo/report  dev",
        "└── ◍ waiting report  2.5 s",
        "    ├── ✓ cached load('Oslo', 1)",
        "    ├── ○ queued load  attempt 2  in 5 s",
        "    └── ✗ failed sum  50 ms  ValueError: no",
    ]


def test_many_children_are_counted_and_failed_ones_still_shown() -> None:
    many = [step(n, "load", attempt(n, 1, "value")) for n in range(2, 40)]
    failed = step(40, "load", attempt(40, 1, "crashed"))
    few = step(41, "sum", attempt(41, 1, "running"))
    picture = view("running", step(1, "report", attempt(1, 1, "waiting")), *many, failed, few)
    assert lines(picture) == [
        "● running R1 repo/report  dev",
        "└── ◍ waiting report",
        "    ├── load ×39  ✓ done 38 ✗ crashed 1",
        "    │   └── ✗ crashed load",
        "    └── ● running sum",
    ]


def test_control_codes_in_arguments_are_not_drawn() -> None:
    """LO-3"""
    picture = view("running", step(1, "report", attempt(1, 1, "running"), arguments={"a": "\x1b["}))
    assert "\x1b" not in "".join(lines(picture))


def test_markup_in_messages_is_text() -> None:
    error = {"type": "builtins.ValueError", "message": "[red]x[/red]"}
    failed = attempt(1, 1, "error", result={"kind": "error", "error": error})
    assert "[red]x[/red]" in "".join(lines(view("failed", step(1, "report", failed))))


def test_the_last_picture_stays() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    running = view("running", step(1, "report", attempt(1, 1, "running")))
    done = view("succeeded", step(1, "report", attempt(1, 1, "value")))
    assert show_live(iter([running, done]), console) is done
    assert "✓ succeeded R1" in out.getvalue().rpartition("\x1b[1A")[2]
