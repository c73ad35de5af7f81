"""Ids of runs, steps and attempts as their parts (ID-2, ID-4).

Belongs here: taking apart. Does not belong here: whether what they name exists.
"""

from __future__ import annotations

from typing import NamedTuple

#: More digits than any number of a step or attempt has.
_DIGITS = 9


class Parts(NamedTuple):
    """What an id names; None = not said."""

    run: str
    step: int | None
    attempt: int | None


def parse(id: str) -> Parts | None:
    """The parts of `RUN`, `RUN:STEP` or `RUN:STEP:ATTEMPT`, or None when malformed."""
    run, *rest = id.split(":")
    numbers = [_number(text) for text in rest]
    if not run or len(numbers) > 2 or None in numbers:
        return None
    return Parts(run, *numbers, *[None] * (2 - len(numbers)))


def _number(text: str) -> int | None:
    is_plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS and text[0] != "0"
    return int(text) if is_plain else None
