"""The forms of options, and what is refused where a target is declared (PY-1)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

import coflux as cf
from coflux.model import CachePolicy, Options, RetryPolicy


def plain() -> None:
    """A function that is no target yet."""


def options(**given: Any) -> Options:
    @cf.task(**given)
    def target(x: int, y: int = 2) -> int:
        return x

    return target.options


@pytest.mark.parametrize(
    ("form", "policy"),
    [
        (None, None),
        (False, None),
        (True, CachePolicy()),
        (0, CachePolicy(max_age_ms=0)),
        (1.5, CachePolicy(max_age_ms=1500)),
        (timedelta(minutes=2), CachePolicy(max_age_ms=120_000)),
        (cf.Cache(), CachePolicy()),
        (
            cf.Cache(10, ["y", "x"], "space", "v2", code=True),
            CachePolicy(10_000, ("y", "x"), "space", "v2", True),
        ),
        (cf.Cache(params="x", version=3), CachePolicy(params=("x",), version="3")),
    ],
)
def test_forms_of_cache_CA_1(form: Any, policy: CachePolicy | None) -> None:
    assert options(cache=form).cache == policy


@pytest.mark.parametrize(
    ("form", "policy"),
    [
        (None, None),
        (False, None),
        (0, None),
        (3, RetryPolicy(3, 0, 0)),
        (True, RetryPolicy(None, 1000, 60_000)),
        ((2, 5), RetryPolicy(2, 5000, 5000)),
        ((2, 1, timedelta(seconds=9)), RetryPolicy(2, 1000, 9000)),
        (cf.Retries(), RetryPolicy(None, 1000, 60_000)),
        (cf.Retries(limit=4, backoff=2, jitter=0.5), RetryPolicy(4, 2000, 2000, 0.5)),
        (cf.Retries(0), None),
    ],
)
def test_forms_of_retries_RE_2(form: Any, policy: RetryPolicy | None) -> None:
    assert options(retries=form).retries == policy


@pytest.mark.parametrize(
    ("name", "form", "field", "parsed"),
    [
        ("wait", True, "wait", True),
        ("wait", ["x"], "wait", ("x",)),
        ("wait", "x", "wait", ("x",)),
        ("memo", None, "memo", None),
        ("memo", False, "memo", False),
        ("memo", ("x", "y"), "memo", ("x", "y")),
        ("defer", True, "defer", True),
        ("defer", False, "defer", None),
        ("defer", cf.Defer(["x"]), "defer", ("x",)),
        ("defer", cf.Defer(), "defer", True),
        ("delay", 1.5, "delay_ms", 1500),
        ("timeout", timedelta(seconds=2), "timeout_ms", 2000),
        ("recurrent", True, "recurrent", True),
        ("requires", {"gpu": True, "zone": "a", "b": ["1", "2"], "off": []}, "requires",
         {"gpu": True, "zone": ("a",), "b": ("1", "2"), "off": ()}),
        ("priority", -3, "priority", -3),
        ("slots", "db", "slots", {"db": 1}),
        ("slots", ["a", "b"], "slots", {"a": 1, "b": 1}),
        ("slots", {"a": 3}, "slots", {"a": 3}),
    ],
)  # fmt: skip
def test_forms_of_other_options(name: str, form: Any, field: str, parsed: Any) -> None:
    assert getattr(options(**{name: form}), field) == parsed


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"cache": "yes"}, TypeError, "cache must be"),
        ({"cache": -1}, ValueError, "from 0 to"),
        ({"cache": cf.Cache(params=["z"])}, ValueError, "unknown parameter 'z'; there are: x, y"),
        ({"cache": cf.Cache(params=["x", "x"])}, ValueError, "twice"),
        ({"cache": cf.Cache(code=1)}, TypeError, "cache.code"),  # type: ignore[arg-type]
        ({"retries": "3"}, TypeError, "retries must be"),
        ({"retries": -1}, ValueError, "from 0 to"),
        ({"retries": (1, 5, 2)}, ValueError, "shrink"),
        ({"retries": (1, 2, 3, 4)}, TypeError, "retries must be"),
        ({"retries": cf.Retries(jitter=2)}, ValueError, "between 0 and 1"),
        ({"retries": cf.Retries(when=3)}, TypeError, "retries.when"),  # type: ignore[arg-type]
        ({"wait": ["nope"]}, ValueError, "unknown parameter 'nope'"),
        ({"wait": 3}, TypeError, "names of parameters"),
        ({"defer": ["x"]}, TypeError, "cf.Defer"),
        ({"delay": True}, TypeError, "seconds or a timedelta"),
        ({"delay": float("nan")}, ValueError, "from 0 to"),
        ({"timeout": "5s"}, TypeError, "seconds or a timedelta"),
        ({"recurrent": 1}, TypeError, "True or False"),
        ({"requires": ["gpu"]}, TypeError, "requires must be"),
        ({"requires": {"gpu": 3}}, TypeError, "requires['gpu']"),
        ({"requires": {"x" * 65: True}}, ValueError, "64"),
        ({"requires": {str(n): True for n in range(11)}}, ValueError, "10 keys"),
        ({"priority": 1.5}, TypeError, "whole number"),
        ({"slots": {"a": 0}}, ValueError, "from 1 to"),
        ({"priority": 2**70}, ValueError, "priority must be from"),
        ({"name": "not a name"}, ValueError, "identifier"),
        ({"name": "x" * 101}, ValueError, "100 characters"),
        ({"colour": "red"}, TypeError, "there is no option 'colour'"),
    ],
)
def test_a_wrong_value_is_refused_where_the_target_is_declared_PY_1(
    given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        options(**given)


@pytest.mark.parametrize("name", ["cache", "retries", "memo", "recurrent"])
def test_a_sensor_takes_no_cache_retries_memo_or_recurrence_RC_3(name: str) -> None:
    decorate: Any = cf.sensor
    with pytest.raises(TypeError, match=f"a sensor takes no option '{name}'"):
        decorate(**{name: True})(plain)


def test_generators_and_long_signatures_are_refused() -> None:
    def generator() -> Any:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        cf.task(generator)
    parameters = ", ".join(f"p{n}" for n in range(65))
    space: dict[str, Any] = {}
    exec(f"def wide({parameters}): pass", space)
    with pytest.raises(ValueError, match="65 parameters; 64"):
        cf.task(space["wide"])
    with pytest.raises(TypeError, match="already"):
        cf.task(cf.task(plain))


def test_with_copies_override_one_option_and_leave_the_original_SU_9() -> None:
    @cf.task(cache=True, retries=1, timeout=5, requires={"a": "b"}, memo=True)
    def target(x: int) -> int:
        return x

    before = target.options
    assert target.with_cache(False).options.cache is None
    assert target.with_retries((2, 1)).options.retries == RetryPolicy(2, 1000, 1000)
    assert target.with_timeout(0).options.timeout_ms == 0
    assert target.with_requires({}).options.requires == {}
    assert target.with_memo(False).options.memo is False
    assert target.with_delay(1).options.delay_ms == 1000
    assert target.with_defer(cf.Defer(["x"])).options.defer == ("x",)
    copy = target.with_delay(2).with_timeout(3)
    assert (copy.options.delay_ms, copy.options.timeout_ms) == (2000, 3000)
    assert copy.options.cache == CachePolicy()
    assert (copy.name, copy.repository) == (target.name, target.repository)
    assert target.options == before
    with pytest.raises(ValueError, match="unknown parameter"):
        target.with_defer(cf.Defer(["z"]))
    with pytest.raises(ValueError, match="set it in its decorator"):
        target.with_retries(cf.Retries(when=ValueError))


def test_a_sensors_copies_are_checked_as_well() -> None:
    @cf.sensor
    def watch() -> None: ...

    with pytest.raises(TypeError, match="takes no option 'cache'"):
        watch.with_cache(True)
