"""A run as a tree on the terminal, redrawn while it changes.

Belongs here: what the picture shows and what it leaves out where there is too much. Does not
belong here: following the run, and output without a terminal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from coflux.cli.output import GLYPHS, WORDS, by_hand, cap, clean, duration, headline
from coflux.client.views import Attempt, RunView, Step

#: A step with more children than this shows them in counts, and failed ones by themselves.
_CHILDREN_SHOWN = 24
_FAILED_SHOWN = 5
#: Of a target with no more steps than this each is shown, also among many others.
_FEW = 5


def show_live(views: Iterable[RunView], console: Console | None = None) -> RunView | None:
    """Draw each view in place of the last; the last one stays. Gives the last view."""
    view: RunView | None = None

    def picture() -> Tree | Text:
        return draw(view) if view is not None else Text("")

    # Drawn anew eight times a second, so that the times of what runs go on.
    with Live(
        console=console,
        get_renderable=picture,
        refresh_per_second=8,
        vertical_overflow="ellipsis",
    ):
        for latest in views:
            view = latest
    return view


def draw(view: RunView, now_ms: int | None = None) -> Tree:
    """The tree of a run."""
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    children: dict[str | None, list[Step]] = {}
    for step in view.steps:
        children.setdefault(_parent_step(step), []).append(step)
    head = _marked(view.status)
    head.append(f" {view.run}", "bold")
    head.append(f" {view.target}")
    if view.environment:
        head.append(f"  {view.environment}", "dim")
    if view.pinned:
        head.append(f"  pinned by {clean(str(view.pinned.get('by', '')))}", "cyan")
    if view.held and not view.is_finished:
        head.append(f"  {clean(cap(view.held, view.environment))}", "yellow")
    if view.mixed_code:
        head.append(f"  several versions of {', '.join(view.mixed_code)}", "yellow")
    tree = Tree(head, guide_style="dim")
    for step in children.get(None, ()):
        _add(tree, step, children, now_ms)
    return tree


def _add(tree: Tree, step: Step, children: dict[str | None, list[Step]], now_ms: int) -> None:
    branch = tree.add(_label(step, now_ms))
    mine = children.get(step.step, [])
    if len(mine) <= _CHILDREN_SHOWN:
        for child in mine:
            _add(branch, child, children, now_ms)
        return
    by_target: dict[str, list[Step]] = {}
    for child in mine:
        by_target.setdefault(child.target, []).append(child)
    for target, steps in by_target.items():
        if len(steps) <= _FEW:
            for child in steps:
                _add(branch, child, children, now_ms)
            continue
        counts = branch.add(_counts(target, steps))
        for child in [s for s in steps if _is_failed(s)][:_FAILED_SHOWN]:
            counts.add(_label(child, now_ms))


def _parent_step(step: Step) -> str | None:
    """The step of the execution that made this one."""
    return ":".join(step.parent.split(":")[:2]) if step.parent else None


def _label(step: Step, now_ms: int) -> Text:
    attempt = step.latest
    label = _marked(attempt.status if attempt else "queued")
    label.append(f" {step.target.rpartition('/')[2]}", "bold")
    if step.arguments:
        shown = ", ".join(clean(str(preview)) for preview in step.arguments.values())
        label.append(f"({_shortened(shown, 48)})", "dim")
    if attempt is not None:
        _append_times(label, step, attempt, now_ms)
    return label


def _append_times(label: Text, step: Step, attempt: Attempt, now_ms: int) -> None:
    if attempt.started_at is not None:
        end = attempt.ended_at if attempt.ended_at is not None else now_ms
        label.append(f"  {duration(max(0, end - attempt.started_at))}")
    if len(step.executions) > 1:
        label.append(f"  attempt {attempt.number}", "yellow")
    if isinstance(attempt.reason, dict):
        label.append(f"  {attempt.reason.get('text', '')}", "dim")
    if attempt.older_code:
        label.append("  older code", "yellow")
    if attempt.origin == "manual":
        label.append(f"  {clean(by_hand(attempt.by, attempt.note))}", "yellow")
    message = _message(attempt)
    if message:
        label.append(f"  {_shortened(clean(message), 72)}", "red")


def _message(attempt: Attempt) -> str:
    error = (attempt.result or {}).get("error")
    return headline(error) if isinstance(error, dict) else ""


def _counts(target: str, steps: list[Step]) -> Text:
    statuses = Counter(s.latest.status if s.latest else "queued" for s in steps)
    label = Text().append(f"{target.rpartition('/')[2]} ×{len(steps)} ", "bold")
    for name, count in sorted(statuses.items(), key=lambda pair: (-pair[1], pair[0])):
        label.append(" ")
        label.append_text(_marked(name))
        label.append(f" {count}")
    return label


def _is_failed(step: Step) -> bool:
    return step.latest is not None and GLYPHS.get(step.latest.status, ("", ""))[1] == "red"


def _marked(status: str) -> Text:
    glyph, colour = GLYPHS.get(status, ("·", "white"))
    return Text().append(f"{glyph} {WORDS.get(status, status)}", colour)


def _shortened(text: str, width: int) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= width else line[: width - 1] + "…"
