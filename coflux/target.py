"""A target: a function with a name, a repository and options, that can be called as a step.

Belongs here: calling, submitting and describing it, and how it is pickled. Does not belong here:
how it is declared (`decorators`), the signature's details (`signature`).
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar, cast

import msgspec

from coflux import host as hosts
from coflux import model, names
from coflux import options as opt
from coflux import signature as signatures
from coflux.errors import NotInExecution
from coflux.handles import Execution, value_of
from coflux.model import Definition, Group, Options, Submission, TargetType, Value
from coflux.schedule import Schedule, encode_schedules

P = ParamSpec("P")
T = TypeVar("T")

_DOC_LIMIT = 5000

#: All targets of this process, in the order of their declaration.
_declared: list[weakref.ref[Target[Any, Any]]] = []


class Target(Generic[P, T]):
    """A workflow, task, sensor or stub.

    Inside an execution a call becomes a step and waits for it; outside it is the plain function.
    """

    #: The function as it was written.
    __wrapped__: Callable[P, Any]
    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        repository: str | None,
        name: str,
        type: TargetType,
        options: Options,
        when: opt.When | None = None,
        is_stub: bool = False,
        signature: inspect.Signature | None = None,
        schedules: tuple[Schedule, ...] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        _declared.append(weakref.ref(self))
        self._repository = repository
        self.name = name
        self.type: TargetType = type
        self.options = options
        #: When it is started by itself, where it is registered.
        self.schedules = schedules
        #: What says whether an exception is worth a retry (RE-5); known only where the code is.
        self.when = when
        self.is_stub = is_stub
        #: Made by `with_…`: only the original is registered and hosted (SU-9).
        self.is_copy = False
        self.is_async = inspect.iscoroutinefunction(function)
        self._signature = signature or inspect.signature(function)
        self._code: str | None = None

    @property
    def repository(self) -> str:
        """The module that it is declared in, or that its stub names."""
        if self._repository is not None:
            return self._repository
        return names.repository_of(self.__wrapped__.__module__)

    @property
    def __signature__(self) -> inspect.Signature:
        return self._signature

    # --- calling --------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it and wait: as a step inside an execution, as the plain function outside."""
        host = hosts.current()
        if host is None:
            return self._call_plainly(args, kwargs)
        if hosts.suspense_block.get() is not None:
            # The wait may give up the process (WA-3), so the call comes first.
            return self.submit(*args, **kwargs).result()
        outcome = host.call(self.submission(args, kwargs, host.encode, hosts.group_block.get()))
        return cast(T, value_of(outcome, host))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Execution[T]:
        """Call it without waiting.

        Inside an execution this gives a handle to the new step. Outside, it runs the plain
        function and gives a resolved handle, or starts a run where the process is connected
        (`coflux.connect()`), and gives a `cf.Run`.

        Raises `TypeError` for arguments that do not fit the signature.
        """
        host = hosts.current()
        if host is not None:
            group = hosts.group_block.get()
            ticket = host.submit(self.submission(args, kwargs, host.encode, group))
            return Execution(None, ticket=ticket)
        if (client := hosts.client()) is not None:
            # A run is waited for, awaited and cancelled as an execution is.
            return cast("Execution[T]", client.start(self, args, kwargs))
        return self.submit_here(args, kwargs)

    def submit_many(
        self, items: Iterable[Any], /, *others: Iterable[Any], **shared: Any
    ) -> list[Execution[T]]:
        """Call it once for each item without waiting, in as few round trips as may be.

        As with `map`, several iterables give the positional arguments side by side (and must be
        equally long); keyword arguments are the same for all. The handles are in order.

        Raises `TypeError` for arguments that do not fit the signature, before anything is called.
        """
        calls = list(zip(items, *others, strict=True))
        for args in calls:
            self.bind(*args, **shared)
        host = hosts.current()
        if host is None:
            return [self.submit(*args, **shared) for args in calls]
        group = hosts.group_block.get()
        made = (self.submission(args, shared, host.encode, group) for args in calls)
        return [Execution(None, ticket=ticket) for ticket in host.submit_many(made)]

    def _call_plainly(self, args: Any, kwargs: Any) -> T:
        if not self.is_async:
            return cast(T, self.__wrapped__(*args, **kwargs))
        return cast(T, run_coroutine(self.__wrapped__, args, kwargs))

    def submit_here(self, args: Any, kwargs: Any) -> Execution[T]:
        """Run the plain function in this process; a handle that is resolved already."""
        self.bind(*args, **kwargs)
        try:
            value = self._call_plainly(args, kwargs)
        except Exception as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            failure = error

            def fail() -> T:
                raise failure

            return Execution.resolved(fail)
        return Execution.resolved(lambda: value)

    # --- describing -----------------------------------------------------------------------------

    def bind(self, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        """The arguments bound to the signature; raises `TypeError` where they do not fit."""
        try:
            return self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None

    def submission(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        encode: Callable[[object, str], Value],
        group: Group | None = None,
    ) -> Submission:
        """A call of this target, with all arguments bound and encoded (SU-1).

        `encode` takes a value and what to call it in errors.
        """
        cache = self.options.cache
        return Submission(
            repository=self.repository,
            target=self.name,
            type=self.type,
            arguments=signatures.encode_arguments(self.bind(*args, **kwargs), encode),
            options=self.options,
            group=group,
            code=self.code() if cache is not None and cache.code else None,
        )

    def definition(self) -> Definition:
        """What a manifest or a session says about it."""
        doc = inspect.getdoc(self.__wrapped__) or ""
        if len(doc) > _DOC_LIMIT:
            doc = f"{doc[:_DOC_LIMIT]}… (cut at {_DOC_LIMIT:,} characters)"
        return Definition(
            name=self.name,
            type=self.type,
            parameters=signatures.describe(self._signature),
            options=self.options,
            doc=doc,
            code=self.code(),
            schedules=self._encoded_schedules(),
        )

    def _encoded_schedules(self) -> tuple[model.Schedule, ...]:
        if not self.schedules:
            return ()
        from coflux import values

        def encode(obj: object, path: str) -> Value:
            return values.encode(obj, blobs=None, path=path)

        return encode_schedules(self.schedules, encode)

    def code(self) -> str:
        """Identity of the code (CO-5): SHA-256 of its source and of the project's it calls."""
        return self._code if self._code is not None else self.look_at_code()

    def look_at_code(self) -> str:
        """Identity of the code as it is now: in a notebook what it calls may be redefined."""
        from coflux import code

        self._code = code.identity(self.__wrapped__)
        return self._code

    # --- copies with another option -------------------------------------------------------------

    def with_cache(self, cache: opt.CacheForm) -> Target[P, T]:
        """A copy with this `cache` option, for one call site."""
        return self._with("cache", cache)

    def with_retries(self, retries: opt.RetriesForm) -> Target[P, T]:
        """A copy with this `retries` option; `when` can only be set where it is declared."""
        return self._with("retries", retries)

    def with_defer(self, defer: opt.DeferForm) -> Target[P, T]:
        """A copy with this `defer` option."""
        return self._with("defer", defer)

    def with_memo(self, memo: opt.SelectionForm | None) -> Target[P, T]:
        """A copy with this `memo` option."""
        return self._with("memo", memo)

    def with_delay(self, delay: opt.Time) -> Target[P, T]:
        """A copy with this `delay`, in seconds or as a timedelta."""
        return self._with("delay", delay)

    def with_timeout(self, timeout: opt.Time) -> Target[P, T]:
        """A copy with this `timeout`, in seconds or as a timedelta; 0 removes it."""
        return self._with("timeout", timeout)

    def with_requires(self, requires: opt.RequiresForm) -> Target[P, T]:
        """A copy with these required tags instead of its own."""
        return self._with("requires", requires)

    def with_priority(self, priority: int | None) -> Target[P, T]:
        """A copy with this priority."""
        return self._with("priority", priority)

    def with_slots(self, slots: opt.SlotsForm) -> Target[P, T]:
        """A copy that uses these named limits instead of its own."""
        return self._with("slots", slots)

    def with_wait(self, wait: opt.SelectionForm) -> Target[P, T]:
        """A copy with this `wait` option."""
        return self._with("wait", wait)

    def _with(self, name: str, value: Any) -> Target[P, T]:
        opt.refuse_excluded(self.type, {name: value})
        changed, when = opt.parse_options({name: value}, tuple(self._signature.parameters))
        if when is not None:
            raise ValueError(
                "retries.when is judged where the target is declared; set it in its decorator"
            )
        field = _FIELDS.get(name, name)
        clone = copy.copy(self)
        clone.is_copy = True
        clone.options = msgspec.structs.replace(self.options, **{field: getattr(changed, field)})
        return clone

    # --- display and pickling -------------------------------------------------------------------

    def __copy__(self) -> Target[P, T]:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        return clone

    def __repr__(self) -> str:
        kind = "stub" if self.is_stub else self.type
        return f"<{kind} {self.repository}/{self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.__module__ != "__main__":
            found: Any = sys.modules.get(self.__module__)
            for part in self.__qualname__.split("."):
                found = getattr(found, part, None)
            if found is self:
                return _named, (self.__module__, self.__qualname__)
        # A target that somebody's function mentions travels as what is needed to submit it; its
        # own function stays behind (it is sent where the target itself is announced).
        parameters = [
            (p.name, int(p.kind), p.default, _text(p.annotation))
            for p in self._signature.parameters.values()
        ]
        identity = (self.repository, self.name, self.type, self.__doc__)
        options = msgspec.msgpack.encode(self.options)
        return _revived, (identity, options, self.is_stub, parameters, self._known_code())

    def _known_code(self) -> str | None:
        cache = self.options.cache
        return self.code() if cache is not None and cache.code else self._code


_FIELDS = {"delay": "delay_ms", "timeout": "timeout_ms"}


# --- coroutines -------------------------------------------------------------------------------


def run_coroutine(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The result of an `async def` function, also where an event loop runs already."""
    # Late: executors are forked with what is imported, and most need no event loop.
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(function(*args, **kwargs))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, function(*args, **kwargs)).result()


# --- unpickling -------------------------------------------------------------------------------


def _text(annotation: object) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


_KINDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)


def _named(module: str, qualname: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _revived(
    identity: tuple[str, str, TargetType, str | None],
    options: bytes,
    is_stub: bool,
    parameters: list[tuple[str, int, Any, str | None]],
    code: str | None,
) -> Target[Any, Any]:
    repository, name, type, doc = identity
    signature = inspect.Signature(
        [
            inspect.Parameter(
                parameter,
                _KINDS[kind],
                default=default,
                annotation=inspect.Parameter.empty if annotation is None else annotation,
            )
            for parameter, kind, default, annotation in parameters
        ]
    )

    def absent(*args: Any, **kwargs: Any) -> Any:
        raise NotInExecution(
            f"{repository}/{name} was sent here without its function; it can be submitted inside"
            " an execution, or with a connection"
        )

    absent.__name__ = absent.__qualname__ = name
    absent.__doc__ = doc
    target: Target[Any, Any] = Target(
        absent,
        repository=repository,
        name=name,
        type=type,
        options=msgspec.msgpack.decode(options, type=Options),
        is_stub=is_stub,
        signature=signature,
    )
    target._code = code
    return target


def declared() -> list[Target[Any, Any]]:
    """The targets that were declared in this process and are still there, oldest first."""
    found = [(reference, reference()) for reference in _declared]
    _declared[:] = [reference for reference, target in found if target is not None]
    return [target for _, target in found if target is not None]
