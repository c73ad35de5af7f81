"""Whether the options of a call or a target are within bounds (LI-1).

Belongs here: numbers and tags that nothing later could work with, refused before they become facts.
Does not belong here: the same for decorators (`coflux.options`), which say it in Python's words.
The records themselves take any number, so that a store never refuses what it once took.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coflux.model import MAX_MS, MAX_NUMBER, MAX_UNITS, Options, Requires

_TAG_KEYS, _TAG_VALUES, _TAG_LENGTH, _SLOTS, _NAME = 10, 10, 64, 10, 100


class Problem(NamedTuple):
    """What is wrong, and the path of the field below `options`."""

    field: str
    message: str


def problem_of(options: Options) -> Problem | None:
    """The first thing about the options that is out of bounds."""
    return next(_problems(options), None)


def _problems(options: Options) -> Iterator[Problem]:
    for field, value, low, high in _numbers(options):
        if value is not None and not low <= value <= high:
            yield Problem(field, f"{field} is from {low} to {high}, not {value}")
    yield from _tags(options.requires or {})
    if len(options.slots or {}) > _SLOTS:
        yield Problem("slots", f"a target may use {_SLOTS} slots, not {len(options.slots or {})}")
    for name in options.slots or {}:
        if not 0 < len(name) <= _NAME:
            yield Problem("slots", f"a slot's name has 1 to {_NAME} characters")


def _numbers(options: Options) -> Iterator[tuple[str, float | None, float, float]]:
    yield "delay_ms", options.delay_ms, 0, MAX_MS
    yield "timeout_ms", options.timeout_ms, 0, MAX_MS
    yield "priority", options.priority, -MAX_NUMBER, MAX_NUMBER
    if options.cache is not None:
        yield "cache.max_age_ms", options.cache.max_age_ms, 0, MAX_MS
    if options.retries is not None:
        yield "retries.limit", options.retries.limit, 0, MAX_NUMBER
        yield "retries.min_ms", options.retries.min_ms, 0, MAX_MS
        yield "retries.max_ms", options.retries.max_ms, 0, MAX_MS
        yield "retries.jitter", options.retries.jitter, 0, 1
    for name, units in (options.slots or {}).items():
        yield f"slots.{name}", units, 1, MAX_UNITS


def _tags(requires: Requires) -> Iterator[Problem]:
    if len(requires) > _TAG_KEYS:
        yield Problem("requires", f"requires has at most {_TAG_KEYS} keys, not {len(requires)}")
    for key, values in requires.items():
        texts = (key, *values) if isinstance(values, tuple) else (key,)
        if any(not 0 < len(text) <= _TAG_LENGTH for text in texts):
            message = f"keys and values of requires have 1 to {_TAG_LENGTH} characters"
            yield Problem("requires", message)
        if values is False:
            yield Problem("requires", f"requires.{key} is a list of values or true, not false")
        if len(texts) > 1 + _TAG_VALUES:
            yield Problem("requires", f"requires.{key} has at most {_TAG_VALUES} values")
