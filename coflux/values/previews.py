"""Short texts that show a value to people. Made where the value is made; never parsed.

A preview never fails and never gets long, whatever the object's own `__repr__` does.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from coflux.values.format import PLAIN, type_name

#: Characters.
LENGTH = 200
#: Items shown of a container, and containers shown inside each other.
_ITEMS = 20
_LEVELS = 4

_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}
_SHORT_NUMBER = 10**40


def preview(obj: object) -> str:
    """A text of at most 200 characters for any object."""
    return cut(_text(obj, LENGTH, 0))


def cut(text: str, length: int = LENGTH) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def key_text(key: object) -> str:
    """A dict key in the path of an error: `"a"`, `3`."""
    return cut(json.dumps(key, ensure_ascii=False) if type(key) is str else preview(key), 60)


def _text(obj: Any, room: int, level: int) -> str:
    kind = type(obj)
    if kind is str or kind is bytes:
        # One more than fits, so that the cut shows.
        return repr(obj[: room + 1])
    if kind is int and not -_SHORT_NUMBER < obj < _SHORT_NUMBER:
        # A decimal text of a huge int takes long, and Python may refuse to make it.
        return (
            cut(hex(obj), room) if obj.bit_length() < 4096 else f"<int of {obj.bit_length()} bits>"
        )
    if kind in PLAIN:
        return repr(obj)
    brackets = _BRACKETS.get(kind)
    if brackets is not None:
        return _container(obj, kind, brackets, room, level)
    shape = _shape(obj, kind)
    return shape if shape is not None else _own(obj, kind)


def _container(obj: Any, kind: type, brackets: str, room: int, level: int) -> str:
    if level >= _LEVELS:
        return f"{brackets[0]}…{brackets[1]}"
    if not obj and kind in (set, frozenset):
        return f"{kind.__name__}()"
    parts: list[str] = []
    left = room
    for item in islice(obj.items() if kind is dict else obj, _ITEMS):
        if kind is dict:
            name = _text(item[0], left, level + 1)
            part = f"{name}: {_text(item[1], left, level + 1)}"
        else:
            part = _text(item, left, level + 1)
        parts.append(part)
        left -= len(part) + 2
        if left <= 0:
            break
    if len(obj) > len(parts):
        parts.append("…")
    comma = "," if kind is tuple and len(obj) == 1 else ""
    text = f"{brackets[0]}{', '.join(parts)}{comma}{brackets[1]}"
    return f"frozenset({text})" if kind is frozenset else text


def _shape(obj: Any, kind: type) -> str | None:
    """Tables and arrays by their shape: their own texts are long, slow and of many lines."""
    root, name = kind.__module__.partition(".")[0], kind.__name__
    try:
        if root == "numpy" and name == "ndarray" and obj.size > 8:
            return f"ndarray {'×'.join(map(str, obj.shape))} {obj.dtype}"
        if root in ("pandas", "polars") and name == "DataFrame":
            columns = ", ".join(map(str, islice(obj.columns, _ITEMS)))
            return f"{root} DataFrame {obj.shape[0]}×{obj.shape[1]} ({columns})"
        if root in ("pandas", "polars") and name == "Series":
            return (
                f"{root} Series {len(obj)} {obj.dtype} {obj.name if obj.name is not None else ''}"
            )
        if root == "pyarrow" and name in ("Table", "RecordBatch"):
            columns = ", ".join(obj.schema.names[:_ITEMS])
            return f"pyarrow {name} {obj.num_rows}×{obj.num_columns} ({columns})"
    except Exception:  # noqa: BLE001 - another version of the library; the type's name serves
        return f"<{type_name(kind)}>"
    return None


def _own(obj: object, kind: type) -> str:
    """What the object says of itself, on one line."""
    try:
        text = repr(obj)
        return " ".join(text[: 4 * LENGTH].split("\n"))
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type_name(kind)}>"
