"""The targets of a notebook: found in its namespace, pickled, and compared with what was before.

Belongs here: which names count, what of a target may have changed, what others need to know to run
it (CO-3). Does not belong here: sending it (`kernel`), and the format of pickles
(`coflux.pickled`).
"""

from __future__ import annotations

import dis
import hashlib
import sys
import time
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from coflux import pickled
from coflux.code import is_project_file
from coflux.errors import CofluxError, NotSerialisable
from coflux.model import Definition
from coflux.target import Target
from coflux.wire import Repository

#: Bytes of a pickled target from which the user is told, and from which it is refused.
LARGE = 1024 * 1024
LIMIT = 64 * 1024 * 1024
#: A target that takes longer to pickle, in seconds, is pickled again only when something that it
#: mentions is another object; changes inside an object then go unseen until its cell is run again.
SLOW_S = 0.02
#: Names by which IPython keeps what cells returned.
OF_IPYTHON = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


@dataclass(frozen=True)
class Found:
    """The targets of a namespace as others need to know them."""

    repositories: tuple[Repository, ...] = ()
    #: Pickled targets by SHA-256.
    pickles: Mapping[str, bytes] = field(default_factory=dict)
    #: Installed modules that the targets use.
    modules: tuple[str, ...] = ()
    #: Why a target cannot be sent, by `repository/target`.
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Known:
    """What was last made of a target."""

    target: Target[Any, Any]
    mark: object
    definition: Definition
    pickle: bytes
    is_slow: bool


class Namespace:
    """A shell's names, looked at after each cell."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self._known: dict[str, _Known] = {}

    def target(self, name: str) -> Target[Any, Any] | None:
        """The target that a name stands for, if it does."""
        found = self.names.get(name)
        return found if isinstance(found, Target) else None

    def targets(self) -> dict[str, Target[Any, Any]]:
        """What is to be hosted, by `repository/target`.

        Of several targets of one name, the one that the name itself stands for counts: the others
        are earlier versions that something still holds.
        """
        found: dict[str, Target[Any, Any]] = {}
        for name, value in list(self.names.items()):
            if not _is_to_be_hosted(name, value):
                continue
            key = f"{value.repository}/{value.name}"
            if key not in found or name == value.__name__:
                found[key] = value
        return found

    def look(self) -> Found:
        """Everything there is now; what has not changed is not pickled again."""
        repositories: dict[str, list[Definition]] = {}
        pickles: dict[str, bytes] = {}
        modules: dict[str, None] = {}
        problems: dict[str, str] = {}
        targets = self.targets()
        for key, target in targets.items():
            try:
                known = self._update(key, target)
            except CofluxError as error:
                problems[key] = str(error)
                self._known.pop(key, None)
                continue
            assert known.definition.pickle is not None
            repositories.setdefault(target.repository, []).append(known.definition)
            pickles[known.definition.pickle] = known.pickle
            modules.update(dict.fromkeys(_installed_modules(target.__wrapped__)))
        for key in [key for key in self._known if key not in targets]:
            del self._known[key]
        return Found(
            tuple(Repository(name, tuple(found)) for name, found in repositories.items()),
            pickles,
            tuple(modules),
            problems,
        )

    def _update(self, key: str, target: Target[Any, Any]) -> _Known:
        known = self._known.get(key)
        mark: object = None
        if known is not None and known.is_slow and known.target is target:
            mark = _mark(target)
            if known.mark == mark:
                return known
        began = time.perf_counter()
        body = pickled.make_body(target)
        is_slow = time.perf_counter() - began > SLOW_S
        pickle = pickled.with_header(target, body)
        if known is None or known.target is not target or known.pickle != pickle:
            known = _Known(target, None, _define(target, pickle), pickle, is_slow)
            self._known[key] = known
        if is_slow:
            known.is_slow, known.mark = True, mark if mark is not None else _mark(target)
        return known


def _is_to_be_hosted(name: str, value: object) -> bool:
    if name.startswith("_") or name in OF_IPYTHON or not isinstance(value, Target):
        return False
    if value.is_stub or value.is_copy:
        return False
    # Of the notebook itself, or of a module beside it.
    module = sys.modules.get(value.__wrapped__.__module__)
    return value.__module__ == "__main__" or is_project_file(getattr(module, "__file__", None))


def _define(target: Target[Any, Any], pickle: bytes) -> Definition:
    if len(pickle) > LIMIT:
        raise NotSerialisable(
            f"{target.name} has {len(pickle):,} bytes with {_largest(target)}, above the limit of"
            f" {LIMIT:,}; pass the data as an argument or load it in the function"
        )
    code = target.look_at_code()
    sha = hashlib.sha256(pickle).hexdigest()
    return msgspec.structs.replace(target.definition(), code=code, pickle=sha)


def size_warning(target: Target[Any, Any], pickle: bytes) -> str | None:
    """What to tell about a target that is large for what it is."""
    if len(pickle) <= LARGE:
        return None
    return (
        f"{target.name} travels with {len(pickle) / 1e6:.1f} MB, mostly {_largest(target)}; pass it"
        " as an argument, or load it in the function"
    )


def _largest(target: Target[Any, Any]) -> str:
    import cloudpickle

    sizes: dict[str, int] = {}
    for name, value in _mentioned(target.__wrapped__):
        if not isinstance(value, types.ModuleType):
            try:
                sizes[name] = len(cloudpickle.dumps(value))
            except Exception:  # noqa: BLE001 - any object may refuse in its own way
                continue
    return max(sizes, key=lambda name: sizes[name], default="what it mentions")


def _mark(target: Target[Any, Any]) -> object:
    """Changes when the function, or an object that it mentions, is another one."""
    mentioned = tuple((name, id(value)) for name, value in _mentioned(target.__wrapped__))
    return (id(target), target.look_at_code(), mentioned)


def _mentioned(function: Any) -> Iterator[tuple[str, Any]]:
    """Globals and closure variables of a function, by name."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    for name in _names(code):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def _names(code: types.CodeType) -> dict[str, None]:
    names = dict.fromkeys(code.co_names)
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            names.update(_names(each))
    return names


def _installed_modules(function: Any) -> Iterator[str]:
    """Top-level installed modules that a function uses and that are imported here already."""
    code = getattr(function, "__code__", None)
    imported = {name.partition(".")[0] for name in _imports(code)} if code is not None else set()
    for _, value in _mentioned(function):
        name = value.__name__ if isinstance(value, types.ModuleType) else type(value).__module__
        imported.add(str(getattr(value, "__module__", None) or name).partition(".")[0])
        imported.add(name.partition(".")[0])
    for name in sorted(imported):
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and name not in ("__main__", "coflux") and not is_project_file(file):
            yield name


def _imports(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval)
