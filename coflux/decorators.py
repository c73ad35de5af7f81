"""Decorators: a function becomes a target (PY-1).

Belongs here: the four decorators and their forms. Does not belong here: what a target can do
(`target`), and the meaning of options (`options`).
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from coflux import options as opt
from coflux import signature as signatures
from coflux.model import TargetType
from coflux.names import check_name
from coflux.schedule import ScheduleForm, parse_schedules
from coflux.target import Target

P = ParamSpec("P")
T = TypeVar("T")


class Decorator(Protocol):
    """What a decorator with parentheses gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Target[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Target[P, T]: ...


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, T]], /) -> Target[P, T]: ...
@overload
def workflow(function: Callable[P, T], /) -> Target[P, T]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    wait: opt.SelectionForm = False,
    cache: opt.CacheForm = None,
    retries: opt.RetriesForm = None,
    defer: opt.DeferForm = None,
    delay: opt.Time = 0,
    memo: opt.SelectionForm | None = None,
    recurrent: bool = False,
    requires: opt.RequiresForm = None,
    timeout: opt.Time = 0,
    priority: int | None = None,
    slots: opt.SlotsForm = None,
    schedule: ScheduleForm = None,
) -> Decorator: ...
def workflow(function: Any = None, /, **options: Any) -> Any:
    """Declare a workflow: a target that runs can be started from.

    Args:
        name: its name, instead of the function's.
        wait: True, or names of parameters whose executions must be resolved before it starts.
        cache: True, a maximal age (seconds or timedelta), or `cf.Cache(…)`.
        retries: a number, True (without limit), `(limit, delay)`, `(limit, min, max)` or
            `cf.Retries(…)`.
        defer: True or `cf.Defer(…)`: of equal calls that have not started only the latest runs.
        delay: seconds or timedelta before it may start.
        memo: True or names of parameters: equal calls in one run are made once.
        recurrent: runs again until it returns something other than None.
        requires: tags that the agent must offer, as {key: values or True}.
        timeout: seconds or timedelta that one attempt may take; 0 for no limit.
        priority: higher goes first; None takes the run's.
        slots: named limits that it uses, as a name, names or {name: units}.
        schedule: a cron expression, `cf.Schedule(…)` or several: started by the calendar where
            it is registered.

    Raises:
        TypeError, ValueError: for a wrong option, here and not when it runs.
    """
    return _decorate("workflow", function, options)


@overload
def task(function: Callable[P, Coroutine[Any, Any, T]], /) -> Target[P, T]: ...
@overload
def task(function: Callable[P, T], /) -> Target[P, T]: ...
@overload
def task(
    *,
    name: str | None = None,
    wait: opt.SelectionForm = False,
    cache: opt.CacheForm = None,
    retries: opt.RetriesForm = None,
    defer: opt.DeferForm = None,
    delay: opt.Time = 0,
    memo: opt.SelectionForm | None = None,
    recurrent: bool = False,
    requires: opt.RequiresForm = None,
    timeout: opt.Time = 0,
    priority: int | None = None,
    slots: opt.SlotsForm = None,
) -> Decorator: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Declare a task: a target that workflows and other tasks call. Options as for `workflow`."""
    return _decorate("task", function, options)


@overload
def sensor(function: Callable[P, Coroutine[Any, Any, T]], /) -> Target[P, T]: ...
@overload
def sensor(function: Callable[P, T], /) -> Target[P, T]: ...
@overload
def sensor(
    *,
    name: str | None = None,
    wait: opt.SelectionForm = False,
    defer: opt.DeferForm = None,
    delay: opt.Time = 0,
    requires: opt.RequiresForm = None,
    timeout: opt.Time = 0,
    priority: int | None = None,
    slots: opt.SlotsForm = None,
) -> Decorator: ...
def sensor(function: Any = None, /, **options: Any) -> Any:
    """Declare a sensor: a target that runs again and again until it is cancelled.

    Takes the options of `workflow` except cache, retries, memo and recurrent.
    """
    return _decorate("sensor", function, options)


def stub(
    repository: str,
    *,
    type: TargetType = "task",
    name: str | None = None,
    wait: opt.SelectionForm = False,
    cache: opt.CacheForm = None,
    retries: opt.RetriesForm = None,
    defer: opt.DeferForm = None,
    delay: opt.Time = 0,
    memo: opt.SelectionForm | None = None,
    recurrent: bool = False,
    requires: opt.RequiresForm = None,
    timeout: opt.Time = 0,
    priority: int | None = None,
    slots: opt.SlotsForm = None,
) -> Decorator:
    """Declare a target that lives in another `repository`, of the given `type`.

    Submitting it schedules the real target with the options given here; the function's body runs
    only outside an execution. Options as for `workflow`.
    """
    given: dict[str, Any] = {
        "name": name, "wait": wait, "cache": cache, "retries": retries, "defer": defer,
        "delay": delay, "memo": memo, "recurrent": recurrent, "requires": requires,
        "timeout": timeout, "priority": priority, "slots": slots,
    }  # fmt: skip

    def decorate(function: Callable[..., Any]) -> Target[Any, Any]:
        return _declare(function, type, given, repository=repository)

    return decorate


def _decorate(type: TargetType, function: Any, options: dict[str, Any]) -> Any:
    if function is None:
        return lambda function: _declare(function, type, options)
    if not callable(function):
        raise TypeError(
            f"@{type} decorates a function, not {function!r}; options are given by name"
        )
    return _declare(function, type, options)


def _declare(
    function: Callable[..., Any],
    type: TargetType,
    given: dict[str, Any],
    *,
    repository: str | None = None,
) -> Target[Any, Any]:
    """Make a target of a function; raises `TypeError` or `ValueError` for what is wrong with it."""
    if isinstance(function, Target):
        raise TypeError(f"{function!r} is a target already; decorate the function once")
    if not callable(function) or isinstance(function, (staticmethod, classmethod, builtins.type)):
        raise TypeError(f"@{type} decorates a function, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__} is a generator; a target must return its result")
    given = dict(given)
    explicit = given.pop("name", None)
    name = function.__name__ if explicit is None else explicit
    check_name(name, "the target's name")
    if repository is not None:
        check_name(repository, "the repository of a stub")
    if type not in ("workflow", "task", "sensor"):
        raise ValueError(f"the type of a stub is workflow, task or sensor, not {type!r}")
    signature = inspect.signature(function)
    if len(signature.parameters) > signatures.LIMIT:
        raise ValueError(
            f"{name} has {len(signature.parameters)} parameters; {signatures.LIMIT} are the limit"
        )
    schedule = given.pop("schedule", None)
    if schedule is not None and (type != "workflow" or repository is not None):
        raise TypeError(f"only workflows have a schedule; remove it from the {type} {name!r}")
    opt.refuse_excluded(type, given)
    options, when = opt.parse_options(given, tuple(signature.parameters))
    return Target(
        function,
        repository=repository,
        name=name,
        type=type,
        options=options,
        when=when,
        is_stub=repository is not None,
        signature=signature,
        schedules=parse_schedules(schedule, signature) if schedule is not None else (),
    )
