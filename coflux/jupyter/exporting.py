"""A notebook's targets as a module: the functions, and what they mention, in an order that works.

Belongs here: what a module needs to hold so that its targets are the notebook's. Does not belong
here: running it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import itertools
import symtable
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
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
        #: What has been run, as IPython has translated it; magics are calls there.
        self._cells: Sequence[str] = names.get("_ih", ())
        self.imports: set[str] = set()
        self.constants: list[str] = []
        self.definitions: dict[str, str] = {}
        self._seen: set[str] = set()

    def define(self, name: str, value: Any) -> None:
        """Take in a function, class or target of the notebook."""
        if name in self._seen:
            return
        # Classes of cells have no file in which Python would look for them.
        text = _declared(name, self._cells) if isinstance(value, type) else None
        self._define_as(name, text or _source(name, value))

    def _define_as(self, name: str, source: str) -> None:
        self._seen.add(name)
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
        elif _is_declaration(value) and (text := _declared(name, self._cells)) is not None:
            self._define_as(name, text)
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
    if module in (None, "__main__"):
        return None
    # The outermost package that has it: `pandas`, not `pandas.core.frame`.
    packages = itertools.accumulate(str(module).split("."), lambda above, part: f"{above}.{part}")
    attributes = (getattr(value, "__name__", name), name)
    for package, attribute in itertools.product(packages, attributes):
        if getattr(sys.modules.get(package), attribute, None) is value:
            return package, attribute
    return None


def _declared(name: str, cells: Sequence[str]) -> str | None:
    """The newest statement in the cells that is `name = …` or `class name`."""
    for cell in reversed(cells):
        try:
            body = ast.parse(cell).body
        except SyntaxError:
            continue
        for node in reversed(body):
            if name in _made(node):
                return _text(cell, node)
    return None


def _made(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _text(cell: str, node: ast.stmt) -> str:
    """A statement's text, with its decorators."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return "\n".join(cell.splitlines()[first - 1 : node.end_lineno])


def _is_declaration(value: Any) -> bool:
    """Whether it is one of Coflux's own, such as a prompt or a schedule: made, never changed."""
    return type(value).__module__.partition(".")[0] == "coflux"


def _is_literal(value: Any) -> bool:
    if not isinstance(value, _LITERALS):
        return False
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False
