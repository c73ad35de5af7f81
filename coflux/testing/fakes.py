"""Functions that stand for targets in tests, and finding the targets themselves.

Belongs here: what runs for a repository and name. Does not belong here: running it (`engine`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from coflux.model import Definition, Submission, target_id
from coflux.target import Target, declared

Function = Callable[..., Any]

_everywhere: dict[str, Function] = {}


def name_of(target: object) -> str:
    """`repository/name` of a target, or of text that is that already."""
    if isinstance(target, Target):
        return target_id(target.repository, target.name)
    if isinstance(target, str) and target.count("/") == 1:
        return target
    raise TypeError(f"fake() takes a target, or 'repository/name', not {target!r}")


class Fakes:
    """Fakes that hold until the block ends."""

    def __init__(self, held: dict[str, Function], name: str, function: Function) -> None:
        self._held = held
        self._name = name
        self._before = held.get(name)
        held[name] = function

    def __enter__(self) -> Fakes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """The target is again what it was before."""
        if self._before is None:
            self._held.pop(self._name, None)
        else:
            self._held[self._name] = self._before


def put(held: dict[str, Function], target: object, function: object) -> Fakes:
    """Let a function stand for a target among `held`."""
    if not callable(function):
        raise TypeError(f"a fake must be a function, not {function!r}")
    return Fakes(held, name_of(target), function)


def everywhere(target: object, function: object) -> Fakes:
    """The same for all engines that are made from now on."""
    return put(_everywhere, target, function)


class Catalogue:
    """What runs in one engine."""

    def __init__(self) -> None:
        self.fakes: dict[str, Function] = dict(_everywhere)
        self._known: dict[str, Target[Any, Any]] = {}

    def add(self, target: Target[Any, Any]) -> None:
        """A target that was named in a test counts, whatever others have its name."""
        if not target.is_stub and not target.is_copy:
            self._known[name_of(target)] = target

    def find(self, repository: str, name: str) -> Target[Any, Any] | None:
        """The target of that name, the newest where several were declared; a stub at last."""
        place = target_id(repository, name)
        known = self._known.get(place)
        if known is None:
            found = [t for t in declared() if (t.repository, t.name) == (repository, name)]
            real = [target for target in found if not target.is_stub]
            if not found:
                return None
            known = (real or found)[-1]
            if real:
                self._known[place] = known
        return known

    def definition(self, submission: Submission) -> Definition | None:
        """What an agent would announce for the call's target; None where nothing can run it."""
        repository, name = submission.repository, submission.target
        found = self.find(repository, name)
        is_fake = target_id(repository, name) in self.fakes
        if found is not None and not found.is_stub:
            return Definition(name, found.type, code=_code(found, submission))
        return Definition(name, submission.type) if is_fake else None


def _code(target: Target[Any, Any], submission: Submission) -> str | None:
    # Looking at the source takes longer than most tests; few need it.
    cache = submission.options.cache
    return target.code() if cache is not None and cache.code else None
