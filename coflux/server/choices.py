"""Which values a field of a decoded type may have, found by its path.

Belongs here: going along a path through types. Does not belong here: decoding, and the words of
refusals (`bodies`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

_STEP = re.compile(r"\.(\w+)|\[[^\]]*\]")


def choices_at(kind: Any, path: str) -> list[str]:
    """The literal values that are allowed at a path such as `.a[...].kind`, in their order."""
    found = list(_members(kind))
    for step in _STEP.finditer(path):
        found = [
            member
            for each in found
            for inner in _inside(each, step[1])
            for member in _members(inner)
        ]
    return [str(value) for each in found if get_origin(each) is Literal for value in get_args(each)]


def _members(kind: Any) -> Iterator[Any]:
    """The types of a union, or the one type."""
    if get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _members(each)
    else:
        yield kind


def _inside(kind: Any, name: str | None) -> Iterator[Any]:
    """The types of a field, or (no name) of what a container holds."""
    if name is None:
        yield from (each for each in get_args(kind) if each is not ...)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        if name in hints:
            yield hints[name]
