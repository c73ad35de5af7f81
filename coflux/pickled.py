"""Targets as bytes, for code that no agent can import (CO-3).

Belongs here: the format: a header that says who can read it, then a cloudpickle of the function.
Does not belong here: storing the bytes, and announcing the target.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import inspect
import linecache
import sys
from collections.abc import Mapping
from typing import Any

import cloudpickle
import msgspec

from coflux.errors import CofluxError, NotSerialisable
from coflux.model import Options, Record, TargetType
from coflux.options import When
from coflux.target import Target, declare_unpickled

_MAGIC = b"coflux-target-1\n"


class Header(Record):
    """What must be known before unpickling: other minor versions of Python would crash on it."""

    #: `major.minor`
    python: str
    #: Number of the byte code's format.
    bytecode: bytes
    repository: str
    name: str
    type: TargetType
    options: Options
    #: Installed distributions that the function's module uses, as `name==version`.
    packages: tuple[str, ...] = ()
    file: str = ""
    #: Source of the file or cell, for tracebacks.
    source: str = ""


def dump(target: Target[Any, Any], packages: tuple[str, ...] = ()) -> bytes:
    """The target by value, with the globals that its function mentions.

    Raises `NotSerialisable`, naming the global that cannot be pickled.
    """
    function = target.__wrapped__
    header = Header(
        python=python_version(),
        bytecode=importlib.util.MAGIC_NUMBER,
        repository=target.repository,
        name=target.name,
        type=target.type,
        options=target.options,
        packages=packages,
        file=function.__code__.co_filename if hasattr(function, "__code__") else "",
        source=_source(function),
    )
    head = msgspec.msgpack.encode(header)
    try:
        body: bytes = cloudpickle.dumps((function, target.when))
    except Exception as error:
        raise NotSerialisable(
            f"{target.name} cannot be sent to other processes: {_culprit(function, error)}"
        ) from error
    return _MAGIC + len(head).to_bytes(4, "big") + head + body


def load(data: bytes) -> Target[Any, Any]:
    """The target in the bytes; raises `CofluxError` where this Python cannot read it."""
    if not data.startswith(_MAGIC):
        raise CofluxError("the blob holds no pickled target")
    begin = len(_MAGIC) + 4
    end = begin + int.from_bytes(data[begin - 4 : begin], "big")
    header = msgspec.msgpack.decode(data[begin:end], type=Header)
    if header.bytecode != importlib.util.MAGIC_NUMBER:
        raise CofluxError(
            f"{header.repository}/{header.name} was pickled by Python {header.python} and cannot"
            f" be read by {python_version()}; start an agent with that version"
        )
    if header.source and header.file not in linecache.cache:
        lines = header.source.splitlines(keepends=True)
        linecache.cache[header.file] = (len(header.source), None, lines, header.file)
    try:
        function, when = cloudpickle.loads(data[end:])
    except ImportError as error:
        hint = f"; it was made with {', '.join(header.packages)}" if header.packages else ""
        raise CofluxError(
            f"{header.repository}/{header.name} needs the module {error.name!r}, which this agent"
            f" does not have{hint}"
        ) from error
    judge: When | None = when
    return declare_unpickled(
        function, header.repository, header.name, header.type, header.options, judge
    )


def python_version() -> str:
    """`major.minor` of this interpreter."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def packages_of(function: Any) -> tuple[str, ...]:
    """Distributions of the modules that a function's globals mention, as `name==version`."""
    owners = _owners()
    found: set[str] = set()
    for name in getattr(function, "__code__", _Nothing).co_names:
        value = getattr(function, "__globals__", {}).get(name)
        module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        for owner in owners.get(str(module).partition(".")[0], ()):
            found.add(f"{owner}=={importlib.metadata.version(owner)}")
    return tuple(sorted(found))


@functools.cache
def _owners() -> Mapping[str, list[str]]:
    # Reads the files of every installed distribution: too slow for each cell of a notebook.
    return importlib.metadata.packages_distributions()


class _Nothing:
    co_names: tuple[str, ...] = ()


def _source(function: Any) -> str:
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError):
        return ""
    return "".join(lines)


def _culprit(function: Any, error: Exception) -> str:
    for name in getattr(function, "__code__", _Nothing).co_names:
        space = getattr(function, "__globals__", {})
        if name in space:
            try:
                cloudpickle.dumps(space[name])
            except Exception as failure:  # noqa: BLE001 - any object may refuse in its own way
                return f"it mentions {name!r}: {failure}"
    return str(error)
