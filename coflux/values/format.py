"""The layout of encoded values: extension codes, tags, packers. No Python type is known here.

The data of a value is one msgpack document. None, bool, int, float, str, bytes, list and dict with
str keys stand for themselves; a value made of nothing else is *plain* and its data is just that.
Anything else is *marked*: the document is then `[MARK, tree]` or `[MARK, PICKLES, tree]`, and in
the tree a list that begins with a tag (an empty extension) is a node, built from its other items.
Plain data holds no extension at all, so the two cannot be confused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from coflux.errors import CofluxError, NotSerialisable

Ext = msgspec.msgpack.Ext

# Extensions that are whole values.
MARK = 0
BIG_INT = 1
SURROGATES = 2
REFERENCE = 3
PICKLED = 4
CLASS = 5
BUFFER = 6
PICKLES = 7

# Extensions that begin a node. A number once given is never used for anything else.
TUPLE, SET, FROZENSET, DICT, CLASS_BY_VALUE, SECRET = 16, 17, 18, 19, 20, 21
BYTEARRAY, ORDERED_DICT, COMPLEX, RANGE, DEQUE, COUNTER = 24, 25, 26, 27, 28, 29
DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONE_INFO = 32, 33, 34, 35, 36, 37
DECIMAL, FRACTION, UUID, PATH = 40, 41, 42, 43
NAMED_TUPLE, DATACLASS, ENUM, MODEL = 48, 49, 50, 51
NUMPY, PANDAS, POLARS, ARROW, PYTZ = 64, 72, 96, 104, 112

#: Types that msgpack holds as they are.
PLAIN: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})

#: Containers inside each other (SEMANTICS.md section 32).
NESTING = 500

NAN = float("nan")

#: Steps of a path that an error shows.
_SHOWN_STEPS = 40

_encoder = msgspec.msgpack.Encoder()
_sorting_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder()

#: Pack a tree as it stands.
pack: Callable[[object], bytes] = _encoder.encode
#: Pack a tree with the keys of every map in order.
pack_sorted: Callable[[object], bytes] = _sorting_encoder.encode
#: Unpack data without extensions (or with them left as `Ext`).
unpack: Callable[[bytes], Any] = _decoder.decode

MARKER = Ext(MARK, b"")
TAGS = tuple(Ext(code, b"") for code in range(128))


def is_marked(data: bytes) -> bool:
    """Whether data holds more than plain values."""
    return data[1:4] == b"\xc7\x00\x00" and data[0] in b"\x92\x93"


class ClassName(NamedTuple):
    """A class as a child of a node: held by name, or pickled where the name leads nowhere."""

    cls: type


class Buffer(NamedTuple):
    """Bytes as a child of a node, which the reader gets as a view without a copy."""

    data: bytes | memoryview


def _index(obj: object, position: int) -> str:
    return f"[{position}]"


class Codec(NamedTuple):
    """How one type becomes a node and comes back.

    `explode` gives the children, which are encoded in turn; None means that this object does not
    fit after all and is pickled. `content` gives the children that count in the key, where those
    are not the same; `differs` tells whether that is so for an object (always, when left out).
    `step` names a child in the path of an error.
    """

    code: int
    explode: Callable[[Any], Sequence[object] | None]
    build: Callable[[list[Any]], object]
    content: Callable[[Any], Sequence[object]] | None = None
    differs: Callable[[Any], bool] | None = None
    step: Callable[[Any, int], str] = _index


class Misfit(Exception):
    """Something inside the value cannot be encoded; collects the path while it travels up."""

    def __init__(self, type_name: str, reason: str) -> None:
        super().__init__(reason)
        self.type_name = type_name
        self.reason = reason
        #: Steps from the culprit up to the root.
        self.steps: list[str] = []

    def named(self, path: str) -> NotSerialisable:
        """The error that users see, with the path from `path` down."""
        steps = self.steps[::-1]
        if len(steps) > _SHOWN_STEPS:
            steps[_SHOWN_STEPS // 2 : -_SHOWN_STEPS // 2] = ["[…]"]
        where = path + "".join(steps)
        return NotSerialisable(
            f"{where}: {self.type_name} {self.reason}", path=where, type=self.type_name
        )


def type_name(kind: type) -> str:
    """`int`, `collections.OrderedDict`: how a type is shown and recorded."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def damaged(reason: str) -> CofluxError:
    """The error for data that is not an encoded value."""
    return CofluxError(f"the encoded value is damaged: {reason}")
