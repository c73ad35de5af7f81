"""Values as JSON and JSON as values: all that server, CLI and UI need of a value's content.

Nothing here imports a user's class or unpickles anything (VA-5).
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from coflux.blobs import Blobs
from coflux.errors import InvalidRequest, NotSerialisable
from coflux.model import Value
from coflux.values.decode import data_of
from coflux.values.encode import encode
from coflux.values.format import BIG_INT, MARK, PICKLES, damaged, is_marked, unpack
from coflux.values.pickles import Pickles, describe

#: An HTTP body may be this long, in bytes.
JSON_LIMIT = 8 * 1024 * 1024


class _Other(Exception):
    """Something that JSON does not have."""


def to_json(
    value: Value, blobs: Blobs | None, *, limit: int | None = JSON_LIMIT
) -> tuple[bool, Any]:
    """The value as JSON, where it consists of what JSON has.

    Args:
        value: any value.
        blobs: where its blob is read from.
        limit: bytes of encoded data above which the value is not read; None = read all.

    Returns:
        True and dicts with str keys, lists, str, int, finite float, bool and None; or False and
        None when there is anything else in it, or too much of it.

    Raises:
        NotFound: its blob is missing.
        CofluxError: the data is damaged.
    """
    if value.format != "native" or (limit is not None and value.size > limit):
        return False, None
    data = data_of(value, blobs)
    try:
        tree = _read(data)
        _check(tree)
    except _Other:
        return False, None
    except msgspec.DecodeError as error:
        raise damaged(str(error)) from error
    return True, tree


def pickled_by(value: Value, blobs: Blobs | None) -> tuple[str, list[str]] | None:
    """Which Python pickled parts of the value, and the types of these, without unpickling (VA-2).

    Returns:
        `("3.11", ["package.Class", …])`; None when nothing in it is pickled.

    Raises:
        NotFound: its blob is missing.
        CofluxError: the data is damaged.
    """
    found: list[Pickles] = []

    def extension(code: int, data: memoryview) -> None:
        if code == PICKLES:
            found.append(describe(data))

    if value.format == "pickle":
        try:
            msgspec.msgpack.Decoder(ext_hook=extension).decode(data_of(value, blobs))
        except msgspec.DecodeError as error:
            raise damaged(str(error)) from error
    return (found[0].python, found[0].types) if found else None


def _read(data: bytes) -> Any:
    if not is_marked(data):
        return unpack(data)
    return msgspec.msgpack.Decoder(ext_hook=_extension).decode(data)[-1]


def _extension(code: int, data: memoryview) -> object:
    if code == BIG_INT:
        return int.from_bytes(data, "big", signed=True)
    if code == MARK:
        return None
    raise _Other


def _check(tree: Any) -> None:
    stack = [tree]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is list:
            stack.extend(item)
        elif kind is dict:
            stack.extend(item.values())
        elif kind is bytes or (kind is float and not math.isfinite(item)):
            raise _Other


def from_json(json_value: Any, *, limit: int = JSON_LIMIT, path: str = "value") -> Value:
    """The value of a JSON argument (VA-6), all of it inline.

    Args:
        json_value: what a JSON parser made.
        limit: bytes that the encoded data may have.
        path: what to call it in errors.

    Raises:
        InvalidRequest: it is longer than the limit, or nested too deep.
    """
    try:
        value = encode(json_value, blobs=None, path=path)
    except NotSerialisable as error:
        raise InvalidRequest(str(error), field=path) from error
    if value.size > limit:
        raise InvalidRequest(
            f"{path} takes {value.size} bytes, and the limit is {limit}; "
            "send it as a blob, or through the Python client",
            field=path,
        )
    return value
