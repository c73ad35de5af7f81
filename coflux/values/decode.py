"""`model.Value` → Python object.

Belongs here: the walk from data to objects. Does not belong here: how a particular type is put
together (`stdlib`, `classes`, `for_…`), or anything the server needs (`jsons`), which never builds
user objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from coflux.blobs import Blobs
from coflux.errors import CofluxError
from coflux.model import Reference, Value
from coflux.values.classes import import_class
from coflux.values.format import (
    BIG_INT,
    BUFFER,
    CLASS,
    CLASS_BY_VALUE,
    DICT,
    FROZENSET,
    MARK,
    PICKLED,
    PICKLES,
    PLAIN,
    REFERENCE,
    SECRET,
    SET,
    SURROGATES,
    TUPLE,
    damaged,
    is_marked,
    unpack,
)
from coflux.values.pickles import describe, load
from coflux.values.registry import builder

Make = Callable[[Any], object]


def data_of(value: Value, blobs: Blobs | None) -> bytes:
    """The encoded data, from the value or (hash checked) from its blob.

    Raises:
        NotFound: the blob is missing.
        CofluxError: the blob is damaged, or there is none and no data either.
    """
    if value.data is not None:
        return value.data
    if value.blob is None:
        raise damaged("it holds neither data nor the name of a blob")
    if blobs is None:
        raise CofluxError(f"the value is in blob {value.blob}, and no blob store is at hand here")
    return blobs.read(value.blob)


def decode(
    value: Value,
    *,
    blobs: Blobs | None,
    make_handle: Callable[[Reference], object] | None = None,
    make_secret: Callable[[str], object] | None = None,
    allow_pickle: bool = True,
) -> Any:
    """The object that was encoded.

    Args:
        value: what `encode` returned.
        blobs: where its blob is read from.
        make_handle: makes the handle for a reference; without it, references stay as they are.
        make_secret: makes the secret of a name; without it, the name stands for it.
        allow_pickle: False refuses values that need unpickling.

    Raises:
        NotFound: its blob is missing.
        CofluxError: the data is damaged, a class cannot be imported here (naming it), or it was
            pickled by another Python.
    """
    data = data_of(value, blobs)
    try:
        if not is_marked(data):
            return unpack(data)
        reader = _Reader(value.references, make_handle or _same, make_secret or _same, allow_pickle)
        return reader.read(data)
    except msgspec.DecodeError as error:
        raise damaged(str(error)) from error
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise CofluxError(
            f"the value ({value.type or 'of unknown type'}) cannot be put together here: "
            f"{type(error).__name__}: {error}",
            type=value.type,
        ) from error


def _same(obj: Any) -> object:
    return obj


class _Tag:
    """The beginning of a node."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_TAGS = tuple(_Tag(code) for code in range(128))


class _Reader:
    def __init__(
        self, references: Sequence[Reference], make_handle: Make, make_secret: Make, pickle: bool
    ) -> None:
        self._references = references
        self._make_handle = make_handle
        self._make_secret = make_secret
        self._pickle = pickle
        #: Filled before the tree is read, since the pickles stand before it.
        self._objects: list[Any] = []

    def read(self, data: bytes) -> Any:
        document = msgspec.msgpack.Decoder(ext_hook=self._extension).decode(data)
        root = document[-1]
        return root if type(root) in PLAIN else self._build(root)

    def _extension(self, code: int, data: memoryview) -> object:
        if code >= TUPLE or code == MARK:
            return _TAGS[code]
        if code == REFERENCE:
            return _Ready(self._handle(int.from_bytes(data, "big")))
        if code == BIG_INT:
            return int.from_bytes(data, "big", signed=True)
        if code == SURROGATES:
            return bytes(data).decode("utf-8", "surrogatepass")
        if code == BUFFER:
            return _Ready(data)
        if code == CLASS:
            return _Ready(import_class(bytes(data).decode()))
        if code == PICKLED:
            return _Ready(self._objects[int.from_bytes(data, "big")])
        if code == PICKLES:
            self._unpickle(data)
            return None
        raise damaged(f"it uses extension {code}, which a newer version of coflux may know")

    def _handle(self, index: int) -> object:
        if index >= len(self._references):
            raise damaged(f"it points to reference {index} of {len(self._references)}")
        return self._make_handle(self._references[index])

    def _unpickle(self, data: memoryview) -> None:
        if not self._pickle:
            what = ", ".join(sorted(set(describe(data).types)))
            raise CofluxError(f"the value holds pickled objects ({what}), which are not read here")
        self._objects = load(data, self._handle, self._make_secret)

    # One frame for each level, as in encoding. Lists and dicts are filled in place.
    def _build(self, node: Any) -> Any:
        kind = type(node)
        if kind is list:
            for position, child in enumerate(node):
                if type(child) not in PLAIN and type(child) is not _Tag:
                    node[position] = self._build(child)
            if node and type(node[0]) is _Tag:
                return self._node(node[0].code, node[1:])
            return node
        if kind is dict:
            for name, child in node.items():
                if type(child) not in PLAIN:
                    node[name] = self._build(child)
            return node
        return node.obj if kind is _Ready else node

    def _node(self, code: int, children: list[Any]) -> Any:
        if code == TUPLE:
            return tuple(children)
        if code == DICT:
            return dict(zip(children[::2], children[1::2], strict=True))
        if code == SET:
            return set(children)
        if code == FROZENSET:
            return frozenset(children)
        if code == CLASS_BY_VALUE:
            return children[1]
        if code == SECRET:
            return self._make_secret(children[0])
        return builder(code)(children)


class _Ready:
    """An object that is finished, and may itself be a list or dict that must not be walked."""

    __slots__ = ("obj",)

    def __init__(self, obj: object) -> None:
        self.obj = obj
