"""Objects without a format of their own: one pickle for all those of a value.

The only module that pickles and unpickles. What is written carries the Python that wrote it, which
is compared before anything is unpickled: cloudpickle holds bytecode, and that of another Python
would at best fail in an obscure way.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from coflux.errors import CofluxError
from coflux.model import Reference
from coflux.values.format import pack, type_name, unpack
from coflux.values.previews import key_text

_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
#: How deep to look for the part of an object that cannot be pickled.
_SEARCH_DEPTH = 10


class Pickles(NamedTuple):
    """What a value records about its pickled objects, readable without unpickling."""

    #: The Python that wrote it, such as `3.11`.
    python: str
    #: Its bytecode's magic number.
    magic: bytes
    #: Names of the types of the objects.
    types: list[str]
    data: bytes


class Unpicklable(Exception):
    """One of the objects cannot be pickled."""

    def __init__(self, index: int, type_name: str, reason: str, steps: list[str]) -> None:
        super().__init__(reason)
        self.index = index
        self.type_name = type_name
        self.reason = reason
        #: Path from the object down to the part at fault.
        self.steps = steps


def dump(objects: list[object], references: list[Reference]) -> bytes:
    """Pickle the objects together; handles inside them are added to `references`.

    Raises:
        Unpicklable: naming the first object at fault.
    """
    known = len(references)
    try:
        data = _dumps(objects, references)
    except Exception as error:
        # A user's __reduce__ may raise anything.
        del references[known:]
        raise _blame(objects, error) from error
    types = [type_name(type(obj)) for obj in objects]
    return pack([_PYTHON, importlib.util.MAGIC_NUMBER, types, data])


def load(
    packed: bytes | memoryview,
    handle: Callable[[int], object],
    secret: Callable[[str], object],
) -> list[Any]:
    """The objects again.

    Args:
        packed: what `dump` returned.
        handle: makes a handle from a reference's position.
        secret: makes a secret from its name.

    Raises:
        CofluxError: naming the Python that wrote them, or the class that is missing here.
    """
    record = describe(packed)
    what = ", ".join(sorted(set(record.types)))
    if record.magic != importlib.util.MAGIC_NUMBER:
        raise CofluxError(
            f"the value holds pickled objects ({what}) written by Python {record.python}, which "
            f"this Python {_PYTHON} cannot read; use the same Python version on both sides",
            type=what,
        )
    try:
        objects: list[Any] = _Unpickler(record.data, handle, secret).load()
    except CofluxError:
        raise
    except Exception as error:
        raise CofluxError(
            f"the value holds pickled objects ({what}) that cannot be read here: "
            f"{type(error).__name__}: {error}",
            type=what,
        ) from error
    return objects


def describe(packed: bytes | memoryview) -> Pickles:
    """What is recorded about the objects, without unpickling them."""
    return Pickles(*unpack(bytes(packed)))


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, data: bytes, handle: Callable[[int], object], secret: Callable[[str], object]
    ) -> None:
        super().__init__(io.BytesIO(data))
        self._handle = handle
        self._secret = secret

    def persistent_load(self, pid: Any) -> object:
        return self._handle(pid) if isinstance(pid, int) else self._secret(pid)


def _persistent_id(pickler: Any, obj: object) -> int | str | None:
    kind = type(obj)
    if kind is Reference:
        reference: Any = obj
    elif hasattr(kind, "__coflux_reference__"):
        reference = kind.__coflux_reference__(obj)
    elif hasattr(kind, "__coflux_secret__"):
        return str(kind.__coflux_secret__(obj))
    else:
        return None
    pickler.references.append(reference)
    return len(pickler.references) - 1


@lru_cache(maxsize=1)
def _pickler() -> Any:
    # Imported late: most values need no pickling, and the import takes longer than the rest.
    import cloudpickle

    return type("Pickler", (cloudpickle.Pickler,), {"persistent_id": _persistent_id})


def _dumps(obj: object, references: list[Reference]) -> bytes:
    file = io.BytesIO()
    pickler = _pickler()(file)
    pickler.references = references
    pickler.dump(obj)
    return file.getvalue()


def _failure(obj: object) -> Exception | None:
    try:
        _dumps(obj, [])
    except Exception as error:  # noqa: BLE001 - a user's __reduce__ may raise anything
        return error
    return None


def _blame(objects: list[object], error: Exception) -> Unpicklable:
    """Find the object at fault, and the part of it."""
    index = next((i for i, obj in enumerate(objects) if _failure(obj) is not None), 0)
    culprit = objects[index]
    steps: list[str] = []
    while len(steps) < _SEARCH_DEPTH and (found := _failing_part(culprit)) is not None:
        step, culprit = found
        steps.append(step)
    reason = f"cannot be pickled ({type(error).__name__}: {error})"
    return Unpicklable(index, type_name(type(culprit)), reason, steps)


def _failing_part(obj: Any) -> tuple[str, object] | None:
    parts: list[tuple[str, object]] = []
    if isinstance(obj, dict):
        parts += [(f"[{key_text(key)}]", item) for key, item in obj.items()]
    elif isinstance(obj, (list, tuple)):
        parts += [(f"[{position}]", item) for position, item in enumerate(obj)]
    if not isinstance(obj, type) and not callable(obj):
        parts += [(f".{name}", item) for name, item in getattr(obj, "__dict__", {}).items()]
    return next((part for part in parts if _failure(part[1]) is not None), None)
