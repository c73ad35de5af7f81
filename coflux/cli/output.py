"""How commands write to the terminal: JSON, tables, states, outcomes.

Belongs here: text for people and JSON for programs, made from what the server says. Does not
belong here: live display (`watch`, `tree`), and asking the server.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

#: Glyph and colour of each status; the word always stands beside it.
GLYPHS: dict[str, tuple[str, str]] = {
    "queued": ("○", "white"),
    "assigned": ("◔", "blue"),
    "running": ("●", "blue"),
    "waiting": ("◍", "blue"),
    "suspended": ("◌", "magenta"),
    "recurred": ("↻", "white"),
    "superseded": ("⇢", "white"),
    "deferred": ("⇢", "white"),
    "spawned": ("↳", "blue"),
    "cached": ("✓", "cyan"),
    "value": ("✓", "green"),
    "succeeded": ("✓", "green"),
    "error": ("✗", "red"),
    "failed": ("✗", "red"),
    "crashed": ("✗", "red"),
    "abandoned": ("✗", "red"),
    "timeout": ("✗", "red"),
    "cancelled": ("⊘", "yellow"),
    "active": ("●", "green"),
    "paused": ("◌", "yellow"),
    "archived": ("○", "white"),
}
#: What status words are called for people where the word alone says too little.
WORDS = {"value": "done", "error": "failed"}

# Control codes but tab and newline; C1 as well, which some terminals obey.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def emit(data: Any) -> None:
    """Write JSON to stdout, in one line."""
    click.echo(json.dumps(data, ensure_ascii=False))


def note(text: str) -> None:
    """Tell people something that is no output: on stderr."""
    click.echo(text, err=True)


class Styled(str):
    """Text of our own with colour codes in it, as opposed to text from elsewhere."""


def status(word: str) -> Styled:
    """Glyph and word of a status, coloured where the terminal can."""
    glyph, colour = GLYPHS.get(word, ("·", "white"))
    return Styled(click.style(f"{glyph} {WORDS.get(word, word)}", fg=colour))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Write rows below their column names, or `empty` where there are none."""
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        note(empty)
        return
    lines.insert(0, [name.upper() for name in columns])
    widths = [max(len(click.unstyle(line[i])) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (
            cell + " " * (widths[i] - len(click.unstyle(cell))) for i, cell in enumerate(line)
        )
        click.echo("  ".join(padded).rstrip())


def moment(at: int | None) -> str:
    """An instant (ms) in local time."""
    if at is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000))


def duration(ms: float) -> str:
    """A time as people say it: `12 ms`, `3.4 s`, `5 min 10 s`, `2 h 5 min`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(int(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clean(text: str) -> str:
    """Text without control codes, which a log line could otherwise send to the terminal (LO-3)."""
    return _CONTROL.sub("", text)


def outcome_lines(outcome: dict[str, Any]) -> list[str]:
    """A resolved outcome for people: the value, or the error with its frames."""
    if outcome["kind"] == "value":
        if "value" in outcome:
            return [json.dumps(outcome["value"], ensure_ascii=False, indent=2)]
        return [clean(str(outcome.get("preview", "")))]
    lines = []
    error = outcome.get("error") or {}
    for frame in error.get("frames") or ():
        lines.append(f"  {frame['file']}:{frame['line']} in {frame['function']}")
        if frame.get("source"):
            lines.append(f"      {frame['source'].strip()}")
    if outcome.get("last_lines"):
        lines += ["its last lines:", *(f"  {line}" for line in outcome["last_lines"])]
    memory = outcome.get("peak_memory")
    used = f" (peak memory {size(memory)})" if memory else ""
    lines.append((headline(error) or outcome["kind"]) + used)
    return [click.style(clean(line), fg="red") for line in lines]


def by_hand(by: str | None, reason: str | None) -> str:
    """What is said of a result that somebody set (RR-5)."""
    return "set by hand" + (f" by {by}" if by else "") + (f": {reason}" if reason else "")


def cap(held: dict[str, Any], environment: str) -> str:
    """Which cap holds a run back, and how to raise it (SC-9)."""
    setting, value = str(held.get("setting")), int(held.get("value") or 0)
    how = f"coflux env settings {environment} --set {setting}={2 * value}"
    return f"held: it would come to {setting} {value}; raise it with `{how}`, or cancel the run"


def headline(error: dict[str, Any]) -> str:
    """An error in one piece of text: its class, as users write it, and its message."""
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    if "." not in kind:
        # Not an exception of the function's, but a kind of end, which the message tells.
        return message or kind
    return f"{kind.removeprefix('builtins.')}: {message}".removesuffix(": ")


def is_terminal() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return sys.stdout.isatty()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return value if isinstance(value, Styled) else clean(str(value))
