"""Targets as bytes, for code that no agent can import (CO-3).

Belongs here: the format: a header that says who can read it, then a cloudpickle of the function.
Does not belong here: storing the bytes, and announcing the target.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
import linecache
import sys
import types
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import cloudpickle
import msgspec

from coflux.errors import CofluxError, NotSerialisable
from coflux.model import Options, Record, TargetType
from coflux.options import When
from coflux.target import Target

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
    #: Sources of the files and cells that the code comes from, for tracebacks.
    sources: dict[str, str] = {}


def dump(target: Target[Any, Any], packages: tuple[str, ...] = ()) -> bytes:
    """The target by value, with the globals that its function mentions.

    Raises `NotSerialisable`, naming the global that cannot be pickled.
    """
    function = target.__wrapped__
    output = io.BytesIO()
    pickler = _Pickler(output)
    try:
        pickler.dump((function, target.when))
    except Exception as error:
        raise NotSerialisable(
            f"{target.name} cannot be sent to other processes: {_culprit(function, error)}"
        ) from error
    header = Header(
        python=python_version(),
        bytecode=importlib.util.MAGIC_NUMBER,
        repository=target.repository,
        name=target.name,
        type=target.type,
        options=target.options,
        packages=packages,
        sources={file: source for file in sorted(pickler.files) if (source := _source(file))},
    )
    head = msgspec.msgpack.encode(header)
    return _MAGIC + len(head).to_bytes(4, "big") + head + output.getvalue()


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
    for file, source in header.sources.items():
        if file not in linecache.cache:
            lines = source.splitlines(keepends=True)
            linecache.cache[file] = (len(source), None, lines, file)
    try:
        function, when = cloudpickle.loads(data[end:])
    except ImportError as error:
        hint = f"; it was made with {', '.join(header.packages)}" if header.packages else ""
        raise CofluxError(
            f"{header.repository}/{header.name} needs the module {error.name!r}, which this agent"
            f" does not have{hint}"
        ) from error
    judge: When | None = when
    return Target(
        function,
        repository=header.repository,
        name=header.name,
        type=header.type,
        options=header.options,
        when=judge,
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


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it comes without types
    """As cloudpickle's, which forgets where code comes from: tracebacks would show no line."""

    def __init__(self, output: io.BytesIO) -> None:
        #: Files of the code that was pickled by value.
        self.files: set[str] = set()
        table: Any = cloudpickle.Pickler.dispatch_table
        reduce = table[types.CodeType]

        def reduce_code(code: types.CodeType) -> tuple[Any, ...]:
            self.files.add(code.co_filename)
            make, arguments = reduce(code)
            named = (code.co_filename if each == _NOWHERE else each for each in arguments)
            return make, tuple(named)

        # Looked at once, when the pickler is initialised.
        self.dispatch_table = ChainMap({types.CodeType: reduce_code}, table)
        super().__init__(output)


#: The file name that cloudpickle writes instead.
_NOWHERE = "<dynamic-code>"
#: Longer sources are left out.
_SOURCE_LIMIT = 256 * 1024


def _source(file: str) -> str:
    source = "".join(linecache.getlines(file))
    return source if len(source) <= _SOURCE_LIMIT else ""


def _culprit(function: Any, error: Exception) -> str:
    for name in getattr(function, "__code__", _Nothing).co_names:
        space = getattr(function, "__globals__", {})
        if name in space:
            try:
                cloudpickle.dumps(space[name])
            except Exception as failure:  # noqa: BLE001 - any object may refuse in its own way
                return f"it mentions {name!r}: {failure}"
    return str(error)
