"""A notebook's targets as a module: the functions, and what they mention, in an order that works.

Belongs here: what a module needs to hold so that its targets are the notebook's. Does not belong
here: running it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coflux.errors import Conflict, InvalidRequest, NotFound
from coflux.jupyter.notebook import Notebook, warn
from coflux.target import Target

_LITERALS = (int, float, complex, str, bytes, bool, type(None), tuple, list, dict, set, frozenset)


def export_module(notebook: Notebook, path: str, *, force: bool = False) -> list[str]:
    """Write the notebook's own targets to a module; gives their names.

    Raises `Conflict` where the file exists, `InvalidRequest` for something that a target mentions
    and that has no source.
    """
    file = Path(path)
    if file.suffix != ".py":
        raise InvalidRequest(f"{path!r} is no Python module; name it PATH.py")
    if file.exists() and not force:
        raise Conflict(f"{path} exists; --force replaces it")
    targets = {
        name: target
        for name, target in notebook.namespace.targets().items()
        if name.rpartition("/")[0] == notebook.repository and target.__module__ == "__main__"
    }
    if not targets:
        raise NotFound("this notebook has no targets to export")
    source = module_source(list(targets.values()), notebook.namespace.names)
    file.write_text(source, "utf-8")
    if file.stem != notebook.repository:
        warn(
            f"as a file of that name its repository is {file.stem}; runs and caches of"
            f" {notebook.repository} carry over where it is {notebook.repository}.py"
        )
    return [target.name for target in targets.values()]


def module_source(targets: list[Target[Any, Any]], names: Mapping[str, Any]) -> str:
    """The source of a module with these targets; `names` is where they are defined."""
    parts = _Parts(names)
    for target in targets:
        parts.define(target.__name__, target)
    blocks = [*sorted(parts.imports), "", *parts.constants]
    text = "\n".join(blocks).strip()
    definitions = "\n\n\n".join(parts.definitions.values())
    return f"{text}\n\n\n{definitions}\n"


class _Parts:
    """What has been found so far, each thing after what it needs."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self.imports: set[str] = set()
        self.constants: list[str] = []
        self.definitions: dict[str, str] = {}
        self._seen: set[str] = set()

    def define(self, name: str, value: Any) -> None:
        """Take in a function, class or target of the notebook."""
        if name in self._seen:
            return
        self._seen.add(name)
        source = _source(name, value)
        for mentioned in _mentioned(source):
            self._need(mentioned, name)
        self.definitions[name] = source

    def _need(self, name: str, by: str) -> None:
        if name in self._seen or name not in self._names or hasattr(builtins, name):
            return
        value = self._names[name]
        if isinstance(value, types.ModuleType):
            self._import(name, f"import {value.__name__}", value.__name__ == name)
        elif _is_of_notebook(value):
            self.define(name, value)
        elif (home := _home(name, value)) is not None:
            module, attribute = home
            self._import(name, f"from {module} import {attribute}", attribute == name)
        elif _is_literal(value):
            self._seen.add(name)
            self.constants.append(f"{name} = {value!r}")
        else:
            raise InvalidRequest(
                f"{by} mentions {name!r}, a {type(value).__name__} that has no source; make it in a"
                " function, or pass it as an argument"
            )

    def _import(self, name: str, statement: str, is_plain: bool) -> None:
        self._seen.add(name)
        self.imports.add(statement if is_plain else f"{statement} as {name}")


def _source(name: str, value: Any) -> str:
    function = value.__wrapped__ if isinstance(value, Target) else value
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):
        raise InvalidRequest(f"the source of {name!r} is not known; run its cell again") from None


def _mentioned(source: str) -> Iterator[str]:
    """Globals that a definition uses, decorators, defaults and annotations included, in order."""
    used = set(_globals(symtable.symtable(source, "<cell>", "exec")))
    found = [
        (node.lineno, node.col_offset, node.id)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]
    yield from dict.fromkeys(name for _, _, name in sorted(found) if name in used)


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    is_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or is_top):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _is_of_notebook(value: Any) -> bool:
    if isinstance(value, Target):
        return value.__module__ == "__main__"
    is_code = isinstance(value, type | types.FunctionType)
    return is_code and value.__module__ == "__main__"


def _home(name: str, value: Any) -> tuple[str, str] | None:
    """From where something can be imported: its module and its name there."""
    module = getattr(value, "__module__", None)
    for attribute in (getattr(value, "__name__", name), name):
        found = getattr(sys.modules.get(str(module)), attribute, None)
        if module not in (None, "__main__") and found is value:
            return str(module), attribute
    return None


def _is_literal(value: Any) -> bool:
    if not isinstance(value, _LITERALS):
        return False
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False
