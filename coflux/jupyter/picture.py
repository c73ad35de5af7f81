"""A run as a still picture: what a saved notebook shows when there is no kernel and no server.

Belongs here: layout and drawing of a run's graph as SVG. Does not belong here: what else is shown
of a run (`displays`), and the live graph (the widget).
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field

from coflux.client.views import RunView, Step

#: Above so many steps, equal calls of one parent are drawn as one box with counts.
WHOLE = 30
#: At most so many boxes are drawn.
_MOST = 80
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 40, 44, 12, 8
_LABEL = 22

#: Colour by state: ended well, ended badly, under way, waiting, stopped by somebody.
COLOURS = {
    "good": "#2e8b57", "bad": "#c0392b", "active": "#2874a6", "idle": "#85929e",
    "stopped": "#b9770e",
}  # fmt: skip
_STATES = {
    "value": "good", "cached": "good", "spawned": "good", "deferred": "good", "recurred": "good",
    "succeeded": "good", "error": "bad", "crashed": "bad", "abandoned": "bad", "timeout": "bad",
    "failed": "bad", "running": "active", "assigned": "active", "cancelled": "stopped",
    "superseded": "stopped",
}  # fmt: skip
_SIGNS = {"good": "✓", "bad": "✗", "active": "●", "idle": "○", "stopped": "■"}


def state_of(status: str) -> str:
    """One of the keys of `COLOURS`."""
    return _STATES.get(status, "idle")


def sign_of(status: str) -> str:
    """A mark that says the same as the colour."""
    return _SIGNS[state_of(status)]


def word(status: str) -> str:
    """A status as people say it."""
    return "done" if status == "value" else status


def duration_of(step: Step) -> str:
    """How long the step's latest attempt ran, for people; empty where that is not known."""
    latest = step.latest
    if latest is None or latest.started_at is None or latest.ended_at is None:
        return ""
    return duration(latest.ended_at - latest.started_at)


def duration(ms: int) -> str:
    """A length of time for people."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class _Box:
    """A step, or several equal ones."""

    label: str
    statuses: list[str]
    note: str
    children: list[_Box] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0


def draw(view: RunView) -> str:
    """The run's graph as an SVG document."""
    roots, left_out = _boxes(view)
    bottom = _place(roots, 0, float(_MARGIN))
    every = list(_every(roots))
    width = max((box.x for box in every), default=0) + _WIDTH + _MARGIN
    height = bottom + (20 if left_out else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img" font-family="sans-serif"'
        f' font-size="12"><title>{html.escape(_title(view))}</title>'
    ]
    for box in every:
        parts += [_edge(box, child) for child in box.children]
    parts += [_drawn(box) for box in every]
    if left_out:
        parts.append(
            f'<text x="{_MARGIN}" y="{height - 6:.0f}" fill="#85929e">and {left_out} more</text>'
        )
    return "".join([*parts, "</svg>"])


def _title(view: RunView) -> str:
    return f"{view.target}: {view.status}, {len(view.steps)} steps"


def _boxes(view: RunView) -> tuple[list[_Box], int]:
    by_parent: dict[str, list[Step]] = {}
    for step in view.steps:
        parent = (step.parent or "").rpartition(":")[0]
        by_parent.setdefault(parent, []).append(step)
    left = [_MOST]
    is_folded = len(view.steps) > WHOLE

    def make(parents: Iterable[str]) -> list[_Box]:
        steps = [step for parent in parents for step in by_parent.get(parent, ())]
        boxes: list[_Box] = []
        for same in _same(steps) if is_folded else [[step] for step in steps]:
            if left[0] <= 0:
                break
            left[0] -= 1
            box = _box(same)
            box.children = make([step.step for step in same])
            boxes.append(box)
        return boxes

    roots = make([""])
    drawn = sum(len(box.statuses) for box in _every(roots))
    return roots, len(view.steps) - drawn


def _same(steps: list[Step]) -> list[list[Step]]:
    folded: dict[str, list[Step]] = {}
    for step in steps:
        folded.setdefault(step.target, []).append(step)
    return list(folded.values())


def _box(steps: list[Step]) -> _Box:
    statuses = [step.latest.status if step.latest else "queued" for step in steps]
    name = steps[0].target.rpartition("/")[2]
    if len(steps) == 1:
        note = " ".join(part for part in (word(statuses[0]), duration_of(steps[0])) if part)
        if len(steps[0].executions) > 1:
            note += f" · attempt {len(steps[0].executions)}"
        return _Box(name, statuses, note)
    return _Box(f"{name} × {len(steps)}", statuses, _counts(statuses))


def _counts(statuses: list[str]) -> str:
    found: dict[str, int] = {}
    for status in statuses:
        found[word(status)] = found.get(word(status), 0) + 1
    return ", ".join(f"{count} {name}" for name, count in found.items())


def _place(boxes: list[_Box], depth: int, y: float) -> float:
    for box in boxes:
        box.x = _MARGIN + depth * (_WIDTH + _GAP_X)
        below = _place(box.children, depth + 1, y)
        if box.children:
            box.y = (box.children[0].y + box.children[-1].y) / 2
        else:
            box.y = y
        y = max(below, box.y + _HEIGHT + _GAP_Y)
    return y


def _every(boxes: list[_Box]) -> Iterable[_Box]:
    for box in boxes:
        yield box
        yield from _every(box.children)


def _edge(box: _Box, child: _Box) -> str:
    x, y = box.x + _WIDTH, box.y + _HEIGHT / 2
    to_y = child.y + _HEIGHT / 2
    middle = (x + child.x) / 2
    return (
        f'<path d="M{x:.0f} {y:.1f}C{middle:.0f} {y:.1f} {middle:.0f} {to_y:.1f}'
        f' {child.x:.0f} {to_y:.1f}" fill="none" stroke="#aab7b8"/>'
    )


def _drawn(box: _Box) -> str:
    states = [state_of(status) for status in box.statuses]
    worst = next(s for s in ("bad", "active", "stopped", "idle", "good") if s in states)
    colour = COLOURS[worst]
    label = box.label if len(box.label) <= _LABEL else box.label[: _LABEL - 1] + "…"
    return (
        f'<g transform="translate({box.x:.0f} {box.y:.1f})"><title>{html.escape(box.label)}:'
        f" {html.escape(box.note)}</title>"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="#ffffff" stroke="{colour}"/>'
        f'<rect width="5" height="{_HEIGHT}" rx="2" fill="{colour}"/>'
        f'<text x="12" y="17" fill="#1b2631">{html.escape(label)}</text>'
        f'<text x="12" y="32" fill="{colour}" font-size="10">{_SIGNS[worst]}'
        f" {html.escape(box.note[:28])}</text></g>"
    )
