"""Values to try, and an equality that also sees types, signs, nan and order.

Run as a program it prints the key of each sample, so that tests can compare processes.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import pathlib
import sys
import typing
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coflux.values import encode

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Point(typing.NamedTuple):
    x: int
    y: Any = None


@dataclasses.dataclass
class Box:
    label: str
    items: list[Any] = dataclasses.field(default_factory=list)
    size: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: Any
    b: Any = None


class MyInt(int):
    pass


class MyList(list[Any]):
    pass


class Plain:
    """No fields, no codec: it is pickled."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain and other.x == self.x

    __hash__ = None  # type: ignore[assignment]


def box(label: str, size: int) -> Box:
    made = Box(label, [1, (2, None)])
    made.size = size
    return made


NATIVE: dict[str, Any] = {
    "none": None,
    "true": True,
    "zero": 0,
    "one": 1,
    "minus": -5,
    "big": 2**64,
    "huge": -(3**1000),
    "edge": -(2**63),
    "float": 1.0,
    "minus zero": -0.0,
    "plus zero": 0.0,
    "nan": math.nan,
    "inf": math.inf,
    "str": "1",
    "empty str": "",
    "unicode": "Zoë 🦊",
    "surrogate": "a\ud800b",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"xy"),
    "list": [1, [2, [], [None]], "x"],
    "big in list": [1, 2**70, -(2**90)],
    "surrogate in dict": {"\udcff": [1], "b": "\udcfe"},
    "floats": [math.nan, -0.0, 1e300],
    "tuple": (1, (2,), ()),
    "dict": {"b": 1, "a": [2.5]},
    "mixed dict": {1: "a", "1": "b", (1, 2): "c", None: "d", b"x": {True: 1}},
    "nested dict": {"z": {"y": (1,)}, "a": {3: {"q": {1}}}},
    "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    "counter": collections.Counter("hello"),
    "deque": collections.deque([1, (2,)], maxlen=5),
    "set": {3, 1, "x", (1, frozenset({2}))},
    "frozenset": frozenset({b"1", 1.5, None}),
    "empty set": set(),
    "complex": complex(-0.0, math.nan),
    "range": range(1, 10, 3),
    "date": dt.date(2024, 2, 29),
    "datetime": dt.datetime(2024, 10, 27, 2, 30, 0, 123),
    "fold": dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    "utc": dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc),
    "offset": dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=7), "X")),
    "time": dt.time(23, 59, 1, 2, tzinfo=dt.timezone.utc, fold=1),
    "timedelta": dt.timedelta(-3, 4, 5),
    "zone": BERLIN,
    "decimal": Decimal("-0.10"),
    "decimal nan": Decimal("sNaN12"),
    "fraction": Fraction(-3, 7),
    "uuid": uuid.UUID(int=7),
    "path": pathlib.Path("/a/b"),
    "pure": pathlib.PureWindowsPath("C:/x"),
    "enum": Colour.BLUE,
    "int enum": [Level.LOW, 1],
    "flag": Permission.READ,
    "flags": Permission.READ | Permission.WRITE,
    "named tuple": Point(1, [Point(2)]),
    "dataclass": box("b", 3),
    "frozen": {Frozen(1, (2,)): Frozen("x")},
}

#: Pickled, without a key.
PICKLED: dict[str, Any] = {
    "my int": MyInt(3),
    "my list": MyList([1]),
    "plain": Plain([1]),
    "within": [1, {"a": Plain(MyInt(2))}, (Plain(3),)],
    "class": Plain,
    "function": math.sqrt,
}


def same(a: Any, b: Any) -> bool:
    """Equal in type and content, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (float, complex)):
        return repr(a) == repr(b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, (list, tuple, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (set, frozenset)):
        return bool(a == b) and {(type(x), x) for x in a} == {(type(x), x) for x in b}
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, (dt.datetime, dt.time)):
        whole = a.replace(tzinfo=None) == b.replace(tzinfo=None)
        return whole and a.fold == b.fold and repr(a.tzinfo) == repr(b.tzinfo)
    if dataclasses.is_dataclass(a):
        names = [field.name for field in dataclasses.fields(a)]
        return all(same(getattr(a, name), getattr(b, name)) for name in names)
    return bool(a == b)


def main() -> None:
    keys = {}
    for name, obj in NATIVE.items():
        key = encode(obj, blobs=None).key
        assert key is not None, name
        keys[name] = key.hex()
    json.dump(keys, sys.stdout)


if __name__ == "__main__":
    # By its name, as tests import it: the classes must not be those of `__main__`.
    import value_samples

    value_samples.main()
