"""Whether a call or a target is one that anything later could work with (ID-5, LI-1, LI-3).

Belongs here: names, numbers and tags, refused before they become facts. Does not belong here: the
same for decorators (`coflux.options`, `coflux.names`), which say it in Python's words, and what has
to exist (`submission`). The records themselves take anything, so that a store never refuses what
it once took.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from coflux.model import (
    MAX_MS,
    MAX_NUMBER,
    MAX_UNITS,
    Definition,
    Options,
    Parameter,
    Requires,
    Submission,
    Value,
)
from coflux.server.core.limits import Limits

_REPOSITORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_BLOB = re.compile(r"[0-9a-f]{64}")
#: Kinds of parameters in the order in which a signature has them.
_KINDS = ("positional", "normal", "args", "keyword", "kwargs")
#: Options that a type of target does not take (PY-1, RC-3).
_SENSORS_TAKE_NO = ("cache", "retries", "memo", "recurrent")
_TAG_KEYS, _TAG_VALUES, _TAG_LENGTH, _SLOTS, _NAME = 10, 10, 64, 10, 100


class Problem(NamedTuple):
    """What is wrong, and the path of the field at fault."""

    field: str
    message: str


def problem_of_options(options: Options) -> Problem | None:
    """The first thing about the options that is out of bounds."""
    return next(_problems(options), None)


def problem_of_call(limits: Limits, call: Submission) -> Problem | None:
    """The first thing about a call that cannot be."""
    if not is_repository(limits, call.repository):
        return Problem("repository", f"{call.repository[:200]!r} is not a repository name{_DOTTED}")
    if not _is_target(limits, call.target):
        return Problem("target", f"{call.target[:200]!r} is not a target name{_PLAIN}")
    if len(call.arguments) > limits.parameters:
        return Problem("arguments", f"a call has at most {limits.parameters} arguments")
    group = call.group
    if group is not None and (group.number < 0 or len(group.name or "") > limits.name):
        return Problem(
            "group", f"a group has a number from 0 and a name of {limits.name} characters"
        )
    problem = problem_of_options(call.options)
    if problem is not None:
        return Problem(f"options.{problem.field}", problem.message)
    return problem_of_arguments(call.arguments)


def problem_of_arguments(arguments: Mapping[str, Value]) -> Problem | None:
    """The first argument that names a blob which cannot be."""
    for name, value in arguments.items():
        if value.blob is not None and not _BLOB.fullmatch(value.blob):
            message = f"argument {name} names no blob: a key is 64 lower-case hex digits"
            return Problem(f"arguments.{name}", message)
    return None


def problem_of_target(limits: Limits, repository: str, definition: Definition) -> str:
    """What is wrong with a target of a manifest; empty if nothing is."""
    name, parameters = definition.name, definition.parameters
    if not _is_target(limits, name):
        return f"{name[:200]!r} in {repository!r} is not a target name{_PLAIN}"
    if len(parameters) > limits.parameters:
        return f"{repository}/{name} has more than {limits.parameters} parameters"
    problem = _problem_of_signature(parameters)
    if problem:
        return f"{repository}/{name}: {problem}"
    if definition.type == "sensor":
        for option in _SENSORS_TAKE_NO:
            if getattr(definition.options, option):
                return f"{repository}/{name}: a sensor takes no option {option!r}"
    out_of_bounds = problem_of_options(definition.options)
    return f"{repository}/{name}: {out_of_bounds.message}" if out_of_bounds else ""


def is_repository(limits: Limits, name: str) -> bool:
    """Whether it is a dotted Python identifier of bearable length (ID-5)."""
    return len(name) <= limits.name and _REPOSITORY.fullmatch(name) is not None


_DOTTED, _PLAIN = " (a dotted Python identifier)", " (a Python identifier)"


def _is_target(limits: Limits, name: str) -> bool:
    return len(name) <= limits.name and name.isidentifier()


def _problem_of_signature(parameters: tuple[Parameter, ...]) -> str:
    seen: set[str] = set()
    latest = 0
    for parameter in parameters:
        kind = _KINDS.index(parameter.kind)
        if not parameter.name.isidentifier():
            return f"{parameter.name[:200]!r} is not a parameter's name{_PLAIN}"
        if parameter.name in seen:
            return f"the parameter {parameter.name!r} is there twice"
        is_second = kind == latest and parameter.kind in ("args", "kwargs") and bool(seen)
        if kind < latest or is_second:
            return f"the parameter {parameter.name!r} cannot stand after those before it"
        seen.add(parameter.name)
        latest = kind
    return ""


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
