"""Targets as bytes, for code that no agent can import (CO-3).

Belongs here: the format: a header that says who can read it, then a cloudpickle of the function.
Does not belong here: storing the bytes, and announcing the target.
"""

from __future__ import annotations

import dis
import functools
import importlib.util
import io
import linecache
import sys
import types
from collections import ChainMap
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import msgspec

from coflux import packages
from coflux.code import is_project_file
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
    #: Installed packages that the code uses, as `name==version`, by their top-level module.
    needs: dict[str, str] = {}
    #: Sources of the files and cells that the code comes from, for tracebacks.
    sources: dict[str, str] = {}


class Body(Record):
    """A function by value, and what was met on the way."""

    pickle: bytes
    #: Files of the code that was pickled by value.
    files: frozenset[str]
    #: Top-level modules that the code uses.
    modules: frozenset[str]


def dump(target: Target[Any, Any]) -> bytes:
    """The target by value, with the globals that its function mentions.

    Raises `NotSerialisable`, naming the global that cannot be pickled.
    """
    return with_header(target, make_body(target))


def make_body(target: Target[Any, Any]) -> Body:
    """The part that takes the longer the more data the function mentions; raises as `dump`."""
    function = target.__wrapped__
    output = io.BytesIO()
    pickler = _Pickler(output)
    try:
        pickler.dump((function, target.when))
    except Exception as error:
        raise NotSerialisable(
            f"{target.name} cannot be sent to other processes: {_culprit(function, error)}"
        ) from error
    return Body(output.getvalue(), frozenset(pickler.files), frozenset(pickler.modules))


def with_header(target: Target[Any, Any], body: Body) -> bytes:
    """What `dump` gives."""
    header = Header(
        python=python_version(),
        bytecode=importlib.util.MAGIC_NUMBER,
        repository=target.repository,
        name=target.name,
        type=target.type,
        options=target.options,
        needs=packages.used_by(body.modules),
        sources={file: source for file in sorted(body.files) if (source := _source(file))},
    )
    head = msgspec.msgpack.encode(header)
    return _MAGIC + len(head).to_bytes(4, "big") + head + body.pickle


def load(data: bytes, tell: Callable[[str], None] | None = None) -> Target[Any, Any]:
    """The target in the bytes.

    `tell` is called when packages differ from those it was made with (CO-3). Raises `CofluxError`
    where this Python cannot read it, or lacks a module that it needs (CO-4).
    """
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
        raise CofluxError(
            f"{header.repository}/{header.name} needs the module {error.name!r}, which this agent"
            f" does not have{_hint(header, error.name or '')}"
        ) from error
    if tell is not None and (text := packages.differences(header.needs.values())) is not None:
        tell(f"{header.name} was {text}")
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


def _hint(header: Header, module: str) -> str:
    package = header.needs.get(module.partition(".")[0])
    if package is not None:
        return f"; install {package}, with which it was made, where the agent runs"
    if not header.needs:
        return ""
    return f"; it was made with {', '.join(sorted(set(header.needs.values())))}"


class _Nothing:
    co_names: tuple[str, ...] = ()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it comes without types
    """As cloudpickle's, which forgets where code comes from: tracebacks would show no line."""

    def __init__(self, output: io.BytesIO) -> None:
        #: Files of the code that was pickled by value.
        self.files: set[str] = set()
        #: Top-level modules that are mentioned or imported.
        self.modules: set[str] = set()
        table: Any = cloudpickle.Pickler.dispatch_table
        reduce = table[types.CodeType]

        def reduce_code(code: types.CodeType) -> tuple[Any, ...]:
            self.files.add(code.co_filename)
            self.modules.update(_imports(code))
            make, arguments = reduce(code)
            named = (code.co_filename if each == _NOWHERE else each for each in arguments)
            return make, tuple(named)

        # Looked at once, when the pickler is initialised.
        self.dispatch_table = ChainMap({types.CodeType: reduce_code}, table)
        super().__init__(output)

    def reducer_override(self, obj: Any) -> Any:
        """Called for all but plain data; notes what will be looked up by name elsewhere."""
        if isinstance(obj, types.ModuleType):
            self._use(obj.__name__)
        elif isinstance(obj, (type, types.FunctionType, types.BuiltinFunctionType)):
            self._use(str(obj.__module__))
        return super().reducer_override(obj)

    def _use(self, name: str) -> None:
        waiting = [name]
        while waiting:
            name = waiting.pop()
            top = name.partition(".")[0]
            is_known = top in self.modules
            self.modules.add(top)
            module = sys.modules.get(name)
            # The user's own modules travel by name as well, and need what they import.
            if not is_known and is_project_file(getattr(module, "__file__", None)):
                waiting += _used_in(module)


def _used_in(module: types.ModuleType | None) -> Iterator[str]:
    for value in list(vars(module).values()):
        if isinstance(value, types.ModuleType):
            yield value.__name__
        elif isinstance(value, (type, types.FunctionType)):
            yield str(value.__module__)


@functools.cache
def _imports(code: types.CodeType) -> frozenset[str]:
    names = (str(i.argval) for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME")
    return frozenset(name.partition(".")[0] for name in names)


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
