"""The identity of code: a hash that changes when a function, or what it calls, changes (CO-5).

Belongs here: what counts as part of a function's code. Does not belong here: what an identity is
used for.
"""

from __future__ import annotations

import hashlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Globals of these types are constants of the code that mentions them.
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None))
#: Follow at most this many functions and classes.
_LIMIT = 2000

#: Where Python's own library is, and the names of folders that packages are installed in.
_LIBRARY = str(Path(inspect.__file__).resolve().parent) + "/"
_INSTALLED = {"site-packages", "dist-packages"}
_OWN = str(Path(__file__).resolve().parent) + "/"


def identity(function: Any) -> str:
    """Hex SHA-256 of a function's source and of the project-local code that it mentions."""
    parts: dict[str, str] = {}
    waiting = [function]
    while waiting and len(parts) < _LIMIT:
        found = _unwrapped(waiting.pop(0))
        name = f"{found.__module__}.{found.__qualname__}"
        if name in parts:
            continue
        parts[name] = _source(found)
        for mentioned, value in _mentions(found):
            if isinstance(value, _CONSTANTS):
                parts[f"{name} {mentioned}"] = repr(value)
            elif _is_local(value):
                waiting.append(value)
    # The function's own name does not count: neither its module nor what it is called matters
    # for what it computes, and notebooks and modules with equal code stay equal.
    first, *rest = parts.items()
    sha = hashlib.sha256(first[1].encode("utf-8", "surrogatepass"))
    for _, text in sorted(rest):
        sha.update(b"\0" + text.encode("utf-8", "surrogatepass"))
    return sha.hexdigest()


def is_project_file(file: str | None) -> bool:
    """Whether a module's file is the user's own, not installed and not ours."""
    if not file:
        return False
    path = Path(file).resolve()
    return not str(path).startswith((_LIBRARY, _OWN)) and _INSTALLED.isdisjoint(path.parts)


def _unwrapped(found: Any) -> Any:
    while (inner := getattr(found, "__wrapped__", None)) is not None:
        found = inner
    return found


def _source(found: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(found))
    except (OSError, TypeError):
        code = getattr(found, "__code__", None)
        return repr(found) if code is None else _compiled(code)


def _compiled(code: types.CodeType) -> str:
    constants = [
        _compiled(each) if isinstance(each, types.CodeType) else repr(each)
        for each in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _mentions(found: Any) -> Iterator[tuple[str, Any]]:
    """Globals and closure variables that the code of a function or class mentions, by name."""
    if isinstance(found, type):
        for each in vars(found).values():
            function = _unwrapped(getattr(each, "__func__", each))
            if isinstance(function, types.FunctionType):
                yield from _mentions(function)
        return
    code = getattr(found, "__code__", None)
    if code is None:
        return
    names = _names(code)
    space = found.__globals__
    for name in sorted(names):
        if name not in space:
            continue
        value = space[name]
        if isinstance(value, types.ModuleType):
            yield from _of_module(value, names)
        else:
            yield name, value
    for name, cell in zip(code.co_freevars, found.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def _of_module(module: types.ModuleType, names: set[str]) -> Iterator[tuple[str, Any]]:
    if not is_project_file(getattr(module, "__file__", None)):
        return
    for name in sorted(names & set(vars(module))):
        value = getattr(module, name)
        if not isinstance(value, types.ModuleType):
            yield f"{module.__name__}.{name}", value


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            names |= _names(each)
    return names


def _is_local(value: Any) -> bool:
    value = _unwrapped(value)
    if isinstance(value, types.FunctionType):
        return is_project_file(value.__code__.co_filename)
    if isinstance(value, type):
        try:
            return is_project_file(inspect.getfile(value))
        except (TypeError, OSError):
            return value.__module__ == "__main__"
    return False
