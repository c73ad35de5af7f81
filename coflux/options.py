"""The options of targets: the forms users may write, checked and turned into `model.Options` (PY).

Belongs here: option classes, their rules, and the error for each wrong form. Does not belong here:
what an option does when a target runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Union

from coflux import model

#: Seconds, or a timedelta.
Time = Union[int, float, timedelta]
When = Union[type[BaseException], tuple[type[BaseException], ...], Callable[[BaseException], bool]]

_DEFAULT_BACKOFF: tuple[Time, Time] = (1, 60)
_NAME_LIMIT = 100
_TAG_KEYS, _TAG_VALUES, _TAG_LENGTH, _SLOTS = 10, 10, 64, 10


@dataclass(frozen=True)
class Cache:
    """When an earlier outcome may be taken instead of running.

    `max_age` in seconds (None: any age); `params` names the parameters that count (None: all);
    `namespace` replaces `repository:target`; `version` and, with `code=True`, the identity of the
    code become part of the key.
    """

    max_age: Time | None = None
    params: Sequence[str] | None = None
    namespace: str | None = None
    version: str | int | None = None
    code: bool = False


@dataclass(frozen=True)
class Retries:
    """How a failed attempt is followed by others.

    `limit` retries (None: without limit), after a `backoff` that grows from the first to the
    second number of seconds. `when` is a class, classes, or a predicate that says whether an
    exception is worth a retry. `jitter` j multiplies delays by a number in [1-j, 1+j].
    """

    limit: int | None = None
    backoff: Time | tuple[Time, Time] = _DEFAULT_BACKOFF
    when: When | None = None
    jitter: float = 0.0


@dataclass(frozen=True)
class Defer:
    """Of equal calls that have not started only the latest runs; `params` are those compared."""

    params: Sequence[str] | None = None


CacheForm = Union[bool, int, float, timedelta, Cache, None]
RetriesForm = Union[bool, int, tuple[int, Time], tuple[int, Time, Time], Retries, None]
DeferForm = Union[bool, Defer, None]
SelectionForm = Union[bool, str, Sequence[str]]
RequiresForm = Union[Mapping[str, Union[str, bool, Sequence[str]]], None]
SlotsForm = Union[str, Sequence[str], Mapping[str, int], None]


#: Options that a type of target does not take (PY-1).
_EXCLUDED: dict[str, tuple[str, ...]] = {
    "sensor": ("cache", "retries", "memo", "recurrent"),
    "workflow": (),
    "task": (),
}


def refuse_excluded(type: str, given: Mapping[str, object]) -> None:
    """Raise `TypeError` if an option is given that targets of this type do not take."""
    for name in _EXCLUDED[type]:
        if given.get(name) not in (None, False):
            raise TypeError(f"a {type} takes no option {name!r}; remove it")


def parse_options(
    given: dict[str, Any], parameters: tuple[str, ...]
) -> tuple[model.Options, When | None]:
    """The options of the forms that users write, by name, and what judges retries."""
    unknown = set(given) - _OPTIONS
    if unknown:
        raise TypeError(
            f"there is no option {sorted(unknown)[0]!r}; there are: {', '.join(sorted(_OPTIONS))}"
        )
    retries, when = parse_retries(given.get("retries"))
    options = model.Options(
        wait=parse_selection(given.get("wait", False), parameters, "wait"),
        cache=parse_cache(given.get("cache"), parameters),
        retries=retries,
        memo=parse_memo(given.get("memo"), parameters),
        defer=parse_defer(given.get("defer"), parameters),
        delay_ms=milliseconds(given.get("delay", 0), "delay"),
        timeout_ms=milliseconds(given.get("timeout", 0), "timeout"),
        recurrent=parse_flag(given.get("recurrent", False), "recurrent"),
        requires=parse_requires(given.get("requires")),
        priority=parse_priority(given.get("priority")),
        slots=parse_slots(given.get("slots")),
    )
    return options, when


_OPTIONS = {
    "wait", "cache", "retries", "memo", "defer", "delay", "timeout", "recurrent", "requires",
    "priority", "slots",
}  # fmt: skip


# --- one function for each option -------------------------------------------------------------


def milliseconds(value: object, name: str) -> int:
    """Seconds or a timedelta as whole milliseconds; raises `TypeError` or `ValueError`."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise TypeError(f"{name} must be seconds or a timedelta, not {_shown(value)}")
    if not 0 <= seconds <= model.MAX_MS / 1000:
        raise ValueError(
            f"{name} must be from 0 to {model.MAX_MS // 1000} seconds, not {_shown(value)}"
        )
    return round(seconds * 1000)


def time_left(value: object, name: str) -> int:
    """As `milliseconds`, for a time until something: below zero it has passed, and none is left."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_past = isinstance(seconds, (int, float)) and seconds < 0
    return 0 if is_past else milliseconds(value, name)


def parse_cache(value: CacheForm, parameters: Sequence[str]) -> model.CachePolicy | None:
    """The cache policy of `cache=value`; raises for a wrong form."""
    if value is None or value is False:
        return None
    if value is True:
        return model.CachePolicy()
    if not isinstance(value, Cache):
        if not isinstance(value, (int, float, timedelta)):
            raise TypeError(f"cache must be a bool, a time or cf.Cache(…), not {_shown(value)}")
        return model.CachePolicy(max_age_ms=milliseconds(value, "cache"))
    for name, text in (("cache.namespace", value.namespace), ("cache.version", value.version)):
        if text is not None and (not isinstance(text, (str, int)) or isinstance(text, bool)):
            raise TypeError(f"{name} must be a string, not {_shown(text)}")
    if not isinstance(value.code, bool):
        raise TypeError(f"cache.code must be True or False, not {_shown(value.code)}")
    max_age = value.max_age
    return model.CachePolicy(
        max_age_ms=None if max_age is None else milliseconds(max_age, "cache.max_age"),
        params=None if value.params is None else _names(value.params, parameters, "cache.params"),
        namespace=value.namespace,
        version=None if value.version is None else str(value.version),
        code=value.code,
    )


def parse_retries(value: RetriesForm) -> tuple[model.RetryPolicy | None, When | None]:
    """The retry policy of `retries=value`, and what says whether an exception is retried."""
    if value is None or value is False:
        return None, None
    if value is True:
        return _retry_policy(Retries()), None
    if isinstance(value, Retries):
        return _retry_policy(value), _when(value.when)
    if isinstance(value, int):
        value = (value, 0)
    if not isinstance(value, tuple) or len(value) not in (2, 3):
        raise TypeError(
            "retries must be a number, True, (limit, delay), (limit, min, max) or cf.Retries(…),"
            f" not {_shown(value)}"
        )
    limit, *backoff = value
    if limit is None:
        raise TypeError(
            "retries as a tuple needs a number as its limit; use cf.Retries(limit=None)"
        )
    return _retry_policy(Retries(limit, (backoff[0], backoff[-1]))), None


def _retry_policy(value: Retries) -> model.RetryPolicy | None:
    limit = value.limit
    if limit is not None:
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise TypeError(f"retries.limit must be a whole number, not {_shown(limit)}")
        if not 0 <= limit <= model.MAX_NUMBER:
            raise ValueError(f"retries.limit must be from 0 to {model.MAX_NUMBER}, not {limit}")
        if limit == 0:
            return None
    backoff = value.backoff if isinstance(value.backoff, (tuple, list)) else (value.backoff,) * 2
    if len(backoff) != 2:
        raise ValueError(f"retries.backoff must be (min, max), not {_shown(value.backoff)}")
    low, high = (milliseconds(each, "retries.backoff") for each in backoff)
    if low > high:
        raise ValueError(f"retries.backoff must not shrink: {low / 1000:g} s is more than the max")
    jitter = value.jitter
    if not isinstance(jitter, (int, float)) or isinstance(jitter, bool):
        raise TypeError(f"retries.jitter must be a number, not {_shown(jitter)}")
    if not 0 <= jitter <= 1:
        raise ValueError(f"retries.jitter must be between 0 and 1, not {jitter}")
    return model.RetryPolicy(limit, low, high, float(jitter))


def _when(value: object) -> When | None:
    if value is None:
        return None
    classes = value if isinstance(value, tuple) else (value,)
    if all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
        return classes
    if callable(value) and not isinstance(value, type):
        return value
    raise TypeError(
        f"retries.when must be an exception class, classes or a predicate, not {_shown(value)}"
    )


def parse_selection(value: SelectionForm, parameters: Sequence[str], name: str) -> model.Selection:
    """A bool or parameter names, as `wait` and `memo` take them."""
    if isinstance(value, bool):
        return value
    return _names(value, parameters, name)


def parse_memo(value: SelectionForm | None, parameters: Sequence[str]) -> model.Selection | None:
    """As `parse_selection`; None stays unset (ME-3)."""
    return None if value is None else parse_selection(value, parameters, "memo")


def parse_defer(value: DeferForm, parameters: Sequence[str]) -> model.Selection | None:
    """Which parameters are compared by `defer=value`; None for no deferral."""
    if value is None or isinstance(value, bool):
        return value or None
    if not isinstance(value, Defer):
        raise TypeError(f"defer must be a bool or cf.Defer(…), not {_shown(value)}")
    return True if value.params is None else _names(value.params, parameters, "defer.params")


def parse_requires(value: RequiresForm) -> model.Requires | None:
    """Tags as {key: values}; True for any value, an empty list to remove a key (SC-3)."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"requires must be {{key: values or True}}, not {_shown(value)}")
    if len(value) > _TAG_KEYS:
        raise ValueError(f"requires may have {_TAG_KEYS} keys, not {len(value)}")
    return {_tag(key, "requires key"): _tag_values(key, each) for key, each in value.items()}


def _tag_values(key: str, value: object) -> tuple[str, ...] | bool:
    if value is True:
        return True
    if isinstance(value, str):
        return (_tag(value, f"requires[{key!r}]"),)
    if not isinstance(value, Iterable):
        raise TypeError(f"requires[{key!r}] must be a string, strings or True, not {_shown(value)}")
    values = tuple(_tag(each, f"requires[{key!r}]") for each in value)
    if len(values) > _TAG_VALUES:
        raise ValueError(f"requires[{key!r}] may have {_TAG_VALUES} values, not {len(values)}")
    return values


def _tag(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, not {_shown(text)}")
    if not 0 < len(text) <= _TAG_LENGTH:
        raise ValueError(f"{name} must have 1 to {_TAG_LENGTH} characters, not {len(text)}")
    return text


def parse_slots(value: SlotsForm) -> dict[str, int] | None:
    """Named limits as {name: units}."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Mapping):
        if not isinstance(value, Iterable):
            raise TypeError(f"slots must be a name, names or {{name: units}}, not {_shown(value)}")
        value = dict.fromkeys(value, 1)
    for name, units in value.items():
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT:
            raise ValueError(f"a slot's name must have 1 to {_NAME_LIMIT} characters, not {name!r}")
        if not isinstance(units, int) or isinstance(units, bool):
            raise TypeError(f"slots[{name!r}] must be a whole number, not {_shown(units)}")
        if not 1 <= units <= model.MAX_UNITS:
            raise ValueError(
                f"slots[{name!r}] must be from 1 to {model.MAX_UNITS} units, not {units}"
            )
    if len(value) > _SLOTS:
        raise ValueError(f"a target may use {_SLOTS} slots, not {len(value)}")
    return dict(value) or None


def parse_priority(value: object) -> int | None:
    """A whole number, or None to inherit the run's."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"priority must be a whole number, not {_shown(value)}")
    if abs(value) > model.MAX_NUMBER:
        raise ValueError(f"priority must be from -{model.MAX_NUMBER} to {model.MAX_NUMBER}")
    return value


def parse_flag(value: object, name: str) -> bool:
    """True or False and nothing else."""
    if isinstance(value, bool):
        return value
    raise TypeError(f"{name} must be True or False, not {_shown(value)}")


def _names(value: object, parameters: Sequence[str], name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be names of parameters, not {_shown(value)}")
    names = tuple(value)
    for each in names:
        if not isinstance(each, str):
            raise TypeError(f"{name} must be names of parameters, not {_shown(each)}")
        if each not in parameters:
            known = ", ".join(parameters) or "none"
            raise ValueError(f"{name} names the unknown parameter {each!r}; there are: {known}")
    if len(set(names)) < len(names):
        raise ValueError(f"{name} names a parameter twice: {', '.join(names)}")
    return names


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '…'} ({type(value).__name__})"
