"""Schedules as code declares them, and many calls at once (SD-1, SD-6, PY-1)."""

from __future__ import annotations

from typing import Any

import pytest

import coflux as cf


def greet(name: str) -> str:
    return f"hello {name}"


class TestDeclarations:
    def test_an_expression_alone_is_a_schedule_in_utc(self) -> None:
        target = cf.workflow(schedule="30 6 * * MON-FRI")(cf_function())
        (schedule,) = target.definition().schedules
        assert (schedule.cron, schedule.zone, schedule.name) == ("30 6 * * MON-FRI", "UTC", None)
        assert (schedule.catch_up, schedule.overlap) == ("none", "skip")

    def test_several_with_arguments(self) -> None:
        target = cf.workflow(
            schedule=[
                cf.Schedule("0 6 * * *", "Europe/Berlin", {"days": 3}, catch_up="all"),
                cf.Schedule("0 7 * * *", name="late", overlap="queue", paused=True),
            ]
        )(cf_function())
        first, second = target.definition().schedules
        assert first.arguments["days"].preview == "3"
        assert (second.name, second.overlap, second.paused) == ("late", "queue", True)

    @pytest.mark.parametrize(
        ("schedule", "message"),
        [
            ("* * * *", "five fields"),
            ("99 * * * *", "no cron expression"),
            (cf.Schedule("0 0 * * *", "Mars/Phobos"), "no time zone"),
            (cf.Schedule("0 0 * * *", catch_up="some"), "none, latest, all"),
            (cf.Schedule("0 0 * * *", overlap="some"), "skip, queue, allow"),
            (cf.Schedule("0 0 * * *", arguments={"dayz": 1}), "unexpected keyword"),
            (["0 0 * * *", "0 1 * * *"], "a name of its own"),
            (5, "must be a cron expression"),
            ([5], "must be a cron expression"),
        ],
    )
    def test_a_wrong_one_is_refused_where_it_is_declared(self, schedule: Any, message: str) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            cf.workflow(schedule=schedule)(cf_function())

    def test_only_workflows_have_one(self) -> None:
        with pytest.raises(TypeError, match="only workflows"):
            cf.task(schedule="0 0 * * *")(greet)  # type: ignore[call-overload]


class TestManyCalls:
    def test_outside_an_execution_it_calls_the_function_once_for_each(self) -> None:
        handles = cf.task()(greet).submit_many(["a", "b"])
        assert [handle.result() for handle in handles] == ["hello a", "hello b"]

    def test_iterables_side_by_side_are_equally_long(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            cf.task()(cf_function()).submit_many([1, 2], [3])

    def test_what_does_not_fit_is_refused_before_anything_is_called(self) -> None:
        with pytest.raises(TypeError, match="nam"):
            cf.task()(greet).submit_many(["a"], nam="b")


def test_an_instant_is_asked_for_inside_an_execution() -> None:
    with pytest.raises(cf.NotInExecution):
        cf.scheduled_at()


def cf_function() -> Any:
    """A fresh function, since one can be decorated once."""

    def report(days: int = 1, extra: int = 0) -> int:
        return days

    return report
