"""Codecs for time zones of pytz, which older pandas uses. Imported only where pytz is in use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from coflux.values.format import PYTZ, Codec

pytz: Any = import_module("pytz")

_UTC, _FIXED, _NAMED = PYTZ, PYTZ + 1, PYTZ + 2


def _parts(zone: Any) -> list[object]:
    # A zone of pytz is one object for each offset it ever had; what pickling needs tells which.
    return list(zone.__reduce__()[1])


_utc = Codec(_UTC, lambda _: [], lambda _: pytz.utc)
_fixed = Codec(_FIXED, _parts, lambda parts: pytz.FixedOffset(*parts))
_named = Codec(_NAMED, _parts, lambda parts: pytz._p(*parts))

CODECS = (_utc, _fixed, _named)


def find(kind: type) -> Codec | None:
    """The codec of a type of pytz's own."""
    if kind is type(pytz.utc):
        return _utc
    if kind is type(pytz.FixedOffset(1)):
        return _fixed
    known = (pytz.tzinfo.DstTzInfo, pytz.tzinfo.StaticTzInfo)
    return _named if issubclass(kind, known) and hasattr(kind, "zone") else None
