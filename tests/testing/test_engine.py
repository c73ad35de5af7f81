"""The in-memory engine for users' tests: same decisions, fake clock, fakes, under 20 ms a test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import coflux as cf
from coflux.testing import DISMISS, Engine, NothingLeft, fake
from coflux.testing.engine import BEGINNING


@cf.task()
def double(number: int) -> int:
    return 2 * number


@cf.workflow()
def total(numbers: list[int]) -> int:
    parts = [double.submit(number) for number in numbers]
    return sum(part.result() for part in parts)


@cf.stub("billing.rates")
def rate(country: str) -> float:
    return -1.0


@cf.workflow()
def price(amount: float, country: str = "NO") -> float:
    return amount * (1 + rate(country))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def test_a_workflow_runs_with_its_children_and_gives_its_value(engine: Engine) -> None:
    run = engine.submit(total, [1, 2, 3])
    assert run.status in ("queued", "running")
    assert run.result() == 12
    assert run.status == "succeeded"
    assert [step.name for step in run.steps()] == ["total", "double", "double", "double"]
    assert [step.arguments for step in run.steps(double)] == [{"number": n} for n in (1, 2, 3)]
    assert engine.calls(double) == [{"number": 1}, {"number": 2}, {"number": 3}]


def test_the_fixture_of_the_package_is_there(coflux_engine: Engine) -> None:
    assert coflux_engine.run(total, [5]) == 10


def test_a_fake_stands_for_a_target_with_the_arguments_of_the_call(engine: Engine) -> None:
    with engine.fake(double, lambda number: 100 + number):
        assert engine.run(total, [1, 2]) == 203
    assert engine.run(total, [1, 2]) == 6
    with fake(double, lambda number: 0), Engine() as other:
        assert other.run(total, [1]) == 0
    with Engine() as other:
        assert other.run(total, [1]) == 2
    with pytest.raises(TypeError, match="fake\\(\\) takes a target"):
        engine.fake("nonsense", print)


def test_a_stub_is_faked_by_object_or_name_and_otherwise_waited_for_in_vain(
    engine: Engine,
) -> None:
    with pytest.raises(NothingLeft) as raised:
        engine.run(price, 10.0)
    assert "billing.rates/rate is queued: waits for an agent that hosts" in str(raised.value)
    assert "can be faked: engine.fake(target, …)" in str(raised.value)
    engine.fake(rate, lambda country: {"NO": 0.5}[country])
    assert engine.run(price, 10.0) == 15.0
    engine.fake("billing.rates/rate", lambda country: 1.0)
    assert engine.run(price, 10.0, country="SE") == 20.0
    assert engine.calls("billing.rates/rate")[-1] == {"country": "SE"}


def test_an_error_is_raised_as_a_waiter_gets_it(engine: Engine) -> None:
    @cf.task()
    def fails() -> None:
        raise KeyError("gone")

    @cf.workflow()
    def catches() -> str:
        try:
            fails()
        except KeyError as error:
            return type(error).__mro__[1].__name__
        return "nothing"

    assert engine.run(catches) == "ExecutionError"
    with pytest.raises(KeyError, match="gone"):
        engine.run(fails)


def test_retries_wait_by_the_clock_of_the_engine_which_jumps_RE_4(engine: Engine) -> None:
    tries: list[float] = []

    @cf.task(retries=(3, 60, 600))
    def flaky() -> int:
        tries.append((engine.now - BEGINNING).total_seconds())
        if len(tries) < 4:
            raise ConnectionError
        return len(tries)

    run = engine.submit(flaky)
    assert run.result() == 4
    gaps = [round(b - a) for a, b in pairwise(tries)]
    assert gaps == [60, 330, 600]
    assert run.steps()[0].attempts == ("error", "error", "error", "value")


def test_delays_and_timeouts_of_waits_go_by_the_clock(engine: Engine) -> None:
    @cf.task(delay=3600)
    def later() -> str:
        return "done"

    @cf.workflow()
    def waits() -> tuple[bool, str]:
        handle = later.submit()
        try:
            handle.result(timeout=60)
            early = True
        except TimeoutError:
            early = False
        return early, handle.result()

    run = engine.submit(waits)
    engine.advance(timedelta(minutes=59))
    assert run.status == "running"
    engine.advance(61)
    assert run.status == "succeeded"
    assert run.result() == (False, "done")


def test_cache_and_memo_are_the_real_ones_CA_ME(engine: Engine) -> None:
    made: list[int] = []

    @cf.task(cache=60)
    def load(number: int) -> int:
        made.append(number)
        return number

    @cf.workflow()
    def uses() -> list[int]:
        return [load(1), load(1), load(2)]

    assert engine.run(uses) == [1, 1, 2]
    assert made == [1, 2]
    engine.advance(59)
    engine.run(uses)
    assert made == [1, 2]
    engine.advance(3600)
    run = engine.submit(uses)
    run.result()
    assert made == [1, 2, 1, 2]
    assert [step.status for step in run.steps(load)] == ["value", "cached", "value"]


def test_suspension_resumes_from_the_beginning_and_runs_nothing_after_WA_5(
    engine: Engine,
) -> None:
    seen: list[str] = []

    @cf.workflow()
    def sleeps() -> str:
        seen.append("begin")
        if len(seen) < 2:
            cf.suspend(timedelta(days=1))
            seen.append("never")
        return "awake"

    run = engine.submit(sleeps)
    engine.settle()
    assert run.status == "suspended"
    engine.advance(86_399)
    assert seen == ["begin"]
    engine.advance(1)
    assert run.result() == "awake"
    assert seen == ["begin", "begin"]


@pytest.mark.parametrize("until", [None, -5, timedelta(seconds=-5), datetime(2000, 1, 1)])
def test_a_suspension_until_what_is_past_goes_on_at_once_WA_4(engine: Engine, until: Any) -> None:
    seen: list[int] = []

    @cf.workflow()
    def sleeps() -> str:
        seen.append(1)
        if len(seen) < 2:
            cf.suspend(until)
        return "awake"

    run = engine.submit(sleeps)
    engine.settle()
    assert run.result() == "awake"
    assert run.steps()[0].attempts == ("suspended", "value")


def test_no_time_left_is_no_time_to_wait_WA_1_WA_2(engine: Engine) -> None:
    @cf.task()
    def slow() -> int:
        cf.suspend(60)
        return 1

    @cf.workflow()
    def hurried() -> list[Any]:
        handle, seen = slow.submit(), []
        for left in (0, -1, timedelta(seconds=-1)):
            seen.append(handle.poll(timeout=left, default="not yet"))
            with pytest.raises(TimeoutError):
                handle.result(timeout=left)
        return seen

    assert engine.submit(hurried).result() == ["not yet"] * 3


def test_suspense_and_select_are_answered_in_order(engine: Engine) -> None:
    @cf.task(memo=True)
    def after(hours: int) -> int:
        return hours

    @cf.workflow()
    def race() -> int:
        slow, quick = after.with_delay(7200).submit(2), after.with_delay(3600).submit(1)
        with cf.suspense():
            winner, others = cf.select([slow, quick], cancel_remaining=True)
        assert others == [slow]
        return winner.result()

    run = engine.submit(race)
    assert run.result() == 1
    assert run.steps(race)[0].attempts == ("suspended", "value")
    assert {step.arguments["hours"]: step.status for step in run.steps(after)} == {
        1: "value", 2: "cancelled",
    }  # fmt: skip


def test_what_does_not_end_is_told_apart_from_what_cannot_go_on(engine: Engine) -> None:
    @cf.task(recurrent=True, delay=24 * 3600)
    def daily() -> None:
        return None

    with pytest.raises(NothingLeft, match="has not ended after a year of the engine's clock"):
        engine.run(daily)


def test_cancelling_a_run_ends_code_that_waits_and_code_that_has_not_begun(
    engine: Engine,
) -> None:
    ended: list[str] = []

    @cf.task(delay=100)
    def child() -> None:
        return None

    @cf.workflow()
    def waits() -> None:
        try:
            child()
        finally:
            ended.append("waits")

    run = engine.submit(waits)
    engine.settle()
    run.cancel()
    engine.settle()
    assert run.status == "cancelled"
    assert ended == ["waits"]
    with pytest.raises(cf.ExecutionCancelled):
        run.result()


def test_async_targets_wait_for_several_at_once(engine: Engine) -> None:
    order: list[int] = []

    @cf.task()
    def slow(seconds: int) -> int:
        order.append(seconds)
        return seconds

    @cf.workflow()
    async def gathers() -> list[int]:
        handles = [slow.with_delay(s).submit(s) for s in (30, 10, 20)]
        return list(await asyncio.gather(*handles))

    assert engine.run(gathers) == [30, 10, 20]
    assert order == [10, 20, 30]


def test_recurrent_targets_and_sensors_repeat_as_time_passes_RC(engine: Engine) -> None:
    ticks: list[int] = []

    @cf.task(recurrent=True, delay=60)
    def poll() -> int | None:
        ticks.append(1)
        return len(ticks) if len(ticks) == 3 else None

    assert engine.run(poll) == 3

    @cf.sensor(delay=30)
    def watches(count: int = 0) -> None:
        ticks.append(count)
        cf.checkpoint(count + 1)

    run = engine.submit(watches)
    engine.advance(100)
    # The delay comes before the first as well.
    assert ticks[3:] == [0, 1, 2]
    assert run.status in ("queued", "running")
    run.cancel()


def test_assets_logs_metrics_and_secrets_are_at_hand(engine: Engine) -> None:
    @cf.task()
    def writes() -> cf.Asset:
        Path("report.txt").write_text("written")
        return cf.persist_asset("report.txt")

    @cf.workflow()
    def reads() -> str:
        cf.log_info("reading for {who}", who=cf.Secret("USER_NAME").get())
        for value in cf.progress([1, 2]):
            cf.Metric("loss").record(value, at=value)
        return writes().restore().read_text()

    here = Path.cwd()
    engine.secrets["USER_NAME"] = "Ada"
    assert engine.run(reads) == "written"
    assert Path.cwd() == here
    assert [(entry.level, entry.values) for entry in engine.logs] == [("info", {"who": "Ada"})]
    assert engine.metrics["loss"] == [(1.0, 1.0), (2.0, 2.0)]


def test_a_call_that_does_not_fit_is_a_type_error_for_the_caller_SU_1(engine: Engine) -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        engine.submit(total)
    with pytest.raises(TypeError, match="decorated functions"):
        engine.run(len, [1])  # type: ignore[arg-type]


def test_outside_of_the_engine_targets_are_plain_functions(engine: Engine) -> None:
    assert engine.run(total, [1]) == 2
    assert double(3) == 6


def test_user_threads_may_call_targets(engine: Engine) -> None:
    @cf.workflow()
    def threads() -> list[int]:
        found: list[int] = []
        workers = [threading.Thread(target=lambda n=n: found.append(double(n))) for n in range(3)]
        for worker in workers:
            worker.start()
            worker.join()
        return sorted(found)

    assert engine.run(threads) == [0, 2, 4]


def test_the_same_test_goes_the_same_way_each_time() -> None:
    def history() -> list[Any]:
        with Engine(seed=7) as engine:

            @cf.task(retries=cf.Retries(limit=None, jitter=0.5))
            def flaky(n: int) -> float:
                if len(engine.calls(flaky)) < 4:
                    raise OSError
                return (engine.now - BEGINNING).total_seconds()

            return [engine.run(flaky, 1), engine.calls(flaky)]

    assert history() == history()


def test_a_test_takes_less_than_20_ms_on_average() -> None:
    with Engine() as engine:
        engine.run(total, [1])
    # Of the processor's time, since the machine may be busy with others.
    began = time.process_time()
    for _ in range(20):
        with Engine() as engine:
            assert engine.run(total, [1, 2, 3]) == 12
    took_ms = (time.process_time() - began) / 20 * 1000
    assert took_ms < 20, took_ms


# --- people -----------------------------------------------------------------------------------


@dataclass
class Order:
    """What a person decides."""

    count: int
    note: str = ""


ship = cf.Prompt("Ship {count} boxes?", model=bool, key="ship")
how_many = cf.Prompt("How many?", model=Order)


@cf.workflow()
def shipping(count: int) -> str:
    try:
        return "shipped" if ship(count=count) else "kept"
    except cf.InputDismissed:
        return "nobody decides"


@cf.workflow()
def ordering() -> Order:
    with cf.suspense():
        return how_many(initial={"note": "soon"})


@pytest.mark.parametrize("which", [ship, "ship", "Ship {count} boxes?"], ids=["it", "key", "text"])
def test_a_person_answers_at_once_what_a_test_has_answers_for(which: Any) -> None:
    with Engine(answers={which: True}) as engine:
        assert engine.run(shipping, 3) == "shipped"


def test_an_answer_may_depend_on_the_placeholders_or_be_none_at_all(engine: Engine) -> None:
    engine.people.answers[ship] = lambda count: count < 10
    assert [engine.run(shipping, n) for n in (3, 30)] == ["shipped", "kept"]
    engine.people.answers[ship] = DISMISS
    assert engine.run(shipping, 3) == "nobody decides"


def test_a_test_answers_later_and_sees_what_is_asked(engine: Engine) -> None:
    run = engine.submit(ordering)
    engine.settle()
    assert run.status == "suspended"
    (asked,) = engine.inputs()
    assert (asked.id, asked.message) == (f"{run.id}/i1", "How many?")
    with pytest.raises(cf.InvalidRequest, match=r"value\.count"):
        engine.respond(how_many, {"count": "three"})
    engine.respond(how_many, Order(3))
    assert run.result() == Order(3)
    assert engine.inputs() == []
    assert run.steps()[0].attempts == ("suspended", "value")


def test_a_question_that_nobody_answers_is_named(engine: Engine) -> None:
    run = engine.submit(shipping, 3)
    with pytest.raises(NothingLeft, match=r"input R1/i1 is open: 'Ship 3 boxes\?'") as raised:
        run.result()
    assert " is waiting\n" in str(raised.value)
    assert "faked" not in str(raised.value)
    with pytest.raises(LookupError, match="no open question for 'other'"):
        engine.respond("other", 1)
    engine.dismiss("ship")
    assert run.result() == "nobody decides"
