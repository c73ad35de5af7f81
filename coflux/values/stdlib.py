"""Codecs for types of the standard library. Exact types only: a subclass has more to it."""

from __future__ import annotations

import struct
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from importlib import import_module
from typing import Any

from coflux.values.format import (
    BYTEARRAY,
    COMPLEX,
    COUNTER,
    DATE,
    DATETIME,
    DECIMAL,
    DEQUE,
    FRACTION,
    NAN,
    ORDERED_DICT,
    PATH,
    RANGE,
    TIME,
    TIMEDELTA,
    TIMEZONE,
    UUID,
    ZONE_INFO,
    Codec,
)
from coflux.values.previews import key_text


def _ordered(items: OrderedDict[Any, Any]) -> list[object]:
    """Order is part of an OrderedDict's content, so unlike a dict's it counts in the key."""
    return [part for pair in items.items() for part in pair]


def _ordered_back(parts: list[Any]) -> OrderedDict[Any, Any]:
    return OrderedDict(zip(parts[::2], parts[1::2], strict=True))


def _ordered_step(obj: OrderedDict[Any, Any], position: int) -> str:
    text = f"[{key_text(list(obj)[position // 2])}]"
    return text if position % 2 else f".keys(){text}"


def _complex(number: complex) -> list[object]:
    # Not as floats of their own: the sign of a zero and nan must not mix real and imaginary part.
    parts = (part if part == part else NAN for part in (number.real, number.imag))
    return [struct.pack(">dd", *parts)]


def _datetime(at: datetime) -> list[object]:
    return [
        *(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond),
        at.fold,
        at.tzinfo,
    ]


def _datetime_back(parts: list[Any]) -> datetime:
    year, month, day, hour, minute, second, micro, fold, zone = parts
    return datetime(year, month, day, hour, minute, second, micro, zone, fold=fold)


def _time(at: time) -> list[object]:
    return [at.hour, at.minute, at.second, at.microsecond, at.fold, at.tzinfo]


def _time_back(parts: list[Any]) -> time:
    hour, minute, second, micro, fold, zone = parts
    return time(hour, minute, second, micro, zone, fold=fold)


def _timezone(zone: Any) -> list[object]:
    # (offset,) or (offset, name): as it was made.
    return list(zone.__getinitargs__())


def _zone_info(zone: Any) -> list[object] | None:
    # One made from a file has no name; pickling refuses it, with the reason.
    return None if zone.key is None else [zone.key]


def _zone_info_back(parts: list[Any]) -> object:
    return import_module("zoneinfo").ZoneInfo(parts[0])


def _path(path: Any) -> list[object]:
    return [type(path).__name__, str(path)]


def _path_back(parts: list[Any]) -> object:
    return getattr(import_module("pathlib"), parts[0])(parts[1])


def _counter(counter: Counter[Any]) -> list[object]:
    return [dict(counter)]


def _counter_back(parts: list[Any]) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    # Not by the constructor, which would count.
    dict.update(counter, parts[0])
    return counter


def _deque(items: deque[Any]) -> list[object]:
    return [items.maxlen, *items]


def _same_step(obj: object, position: int) -> str:
    return ""


def _named(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_path_codec = Codec(PATH, _path, _path_back)

#: By `module.Class`, so that no module is imported for a type that nobody uses.
_BY_NAME: dict[str, Codec] = {
    "builtins.bytearray": Codec(BYTEARRAY, lambda b: [bytes(b)], lambda parts: bytearray(parts[0])),
    "builtins.complex": Codec(
        COMPLEX, _complex, lambda parts: complex(*struct.unpack(">dd", parts[0]))
    ),
    "builtins.range": Codec(
        RANGE, lambda r: [r.start, r.stop, r.step], lambda parts: range(*parts)
    ),
    "collections.OrderedDict": Codec(ORDERED_DICT, _ordered, _ordered_back, step=_ordered_step),
    "collections.Counter": Codec(COUNTER, _counter, _counter_back, step=_same_step),
    "collections.deque": Codec(
        DEQUE,
        _deque,
        lambda parts: deque(parts[1:], parts[0]),
        step=lambda obj, position: f"[{position - 1}]",
    ),
    "datetime.datetime": Codec(DATETIME, _datetime, _datetime_back, step=lambda *_: ".tzinfo"),
    "datetime.date": Codec(DATE, lambda d: [d.year, d.month, d.day], lambda parts: date(*parts)),
    "datetime.time": Codec(TIME, _time, _time_back, step=lambda *_: ".tzinfo"),
    "datetime.timedelta": Codec(
        TIMEDELTA,
        lambda d: [d.days, d.seconds, d.microseconds],
        lambda parts: timedelta(*parts),
    ),
    "datetime.timezone": Codec(TIMEZONE, _timezone, lambda parts: timezone(*parts)),
    "zoneinfo.ZoneInfo": Codec(ZONE_INFO, _zone_info, _zone_info_back),
    "decimal.Decimal": Codec(
        DECIMAL, lambda d: [str(d)], lambda parts: _named("decimal", "Decimal")(parts[0])
    ),
    "fractions.Fraction": Codec(
        FRACTION,
        lambda f: [f.numerator, f.denominator],
        lambda parts: _named("fractions", "Fraction")(*parts),
    ),
    "uuid.UUID": Codec(
        UUID, lambda u: [u.bytes], lambda parts: _named("uuid", "UUID")(bytes=parts[0])
    ),
    **{f"pathlib.{name}": _path_codec for name in _PATHS},
}

CODECS: Sequence[Codec] = tuple(_BY_NAME.values())


def find(kind: type) -> Codec | None:
    """The codec of a standard type."""
    root = str(kind.__module__).partition(".")[0]
    codec = _BY_NAME.get(f"{root}.{kind.__qualname__}")
    if codec is None or getattr(sys.modules.get(root), kind.__qualname__, None) is not kind:
        return None
    return codec
