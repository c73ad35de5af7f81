"""Which points leave an executor: definitions, order, throttling (MT-1, MT-2)."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from coflux.agent.measuring import Measuring
from coflux.model import Measurement, MetricAxis, MetricDefinition

PLAIN = MetricDefinition()
_decode = msgspec.msgpack.Decoder(Measurement).decode


class Bench:
    """Metrics of one execution, by a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[Measurement] = []
        self.warnings: list[str] = []
        self.arrived = threading.Event()
        self.measuring = Measuring(
            "R:1:1", self._keep, self.warnings.append, began=100.0, clock=lambda: self.now
        )

    def _keep(self, body: bytes) -> None:
        self.sent.append(_decode(body))
        self.arrived.set()

    def record(self, value: float, at: float | None = None, throttle: float | None = None) -> None:
        self.measuring.record("loss", value, at, PLAIN, throttle)

    @property
    def points(self) -> list[tuple[float | None, float | None]]:
        return [(each.at, each.value) for each in self.sent]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_record_defines_the_metric_and_others_must_agree_MT_1(bench: Bench) -> None:
    bench.record(1)
    bench.record(2, at=5)
    assert [each.definition for each in bench.sent] == [PLAIN, None]
    other = MetricDefinition(group=MetricAxis("training"))
    with pytest.raises(ValueError, match="metric 'loss' is defined otherwise in this execution"):
        bench.measuring.record("loss", 3, None, other, None)


def test_at_is_seconds_since_the_start_and_grows_MT_1(bench: Bench) -> None:
    bench.now = 102.5
    bench.record(1)
    bench.record(2)
    (first, _), (second, _) = bench.points
    assert first == 2.5
    assert second is not None
    assert second > 2.5


def test_a_point_that_does_not_come_after_is_dropped_with_one_warning_MT_1(bench: Bench) -> None:
    for at in (1, 1, 0, 2):
        bench.record(at, at=at)
    assert bench.points == [(1, 1), (2, 2)]
    assert len(bench.warnings) == 1
    assert "a point at 1 is dropped, since one at 1 came before" in bench.warnings[0]


def test_nan_and_inf_are_gaps_MT_1(bench: Bench) -> None:
    bench.record(float("nan"), at=1)
    bench.record(float("inf"), at=2)
    assert bench.points == [(1, None), (2, None)]


def test_the_first_the_last_of_a_window_and_the_last_of_all_are_kept_MT_2(bench: Bench) -> None:
    for step in range(35):
        bench.now = 100 + step / 10
        bench.record(step, at=step, throttle=1)
    bench.measuring.close()
    values = [value for _, value in bench.points]
    assert (values[0], values[-1]) == (0, 34)
    # One for each further second.
    assert 4 <= len(values) <= 6


def test_a_held_point_goes_out_when_its_window_ends_MT_2(bench: Bench) -> None:
    began = time.monotonic()
    real = Measuring("R:1:1", bench._keep, bench.warnings.append, began)
    real.record("loss", 1, 1, PLAIN, 50)
    bench.arrived.clear()
    real.record("loss", 2, 2, PLAIN, 50)
    assert bench.arrived.wait(10)
    assert bench.points == [(1, 1), (2, 2)]
    real.close()


def test_progress_bars_have_keys_of_their_own_while_they_are_open(bench: Bench) -> None:
    measuring = bench.measuring
    assert measuring.open("rows", "a") == "rows"
    assert measuring.open("rows", "a") == "rows 2"
    measuring.close_bar("rows")
    assert measuring.open("rows", "a") == "rows"
    bench.record(1)
    assert measuring.open("loss", "a") == "loss 2"


def test_bars_of_two_places_in_the_code_have_keys_of_their_own_one_of_an_inner_loop_has_one(
    bench: Bench,
) -> None:
    measuring = bench.measuring
    for place, key in (("a", "rows"), ("b", "rows 2"), ("b", "rows 2"), ("a", "rows")):
        assert measuring.open("rows", place) == key
        measuring.close_bar(key)


def test_the_total_of_progress_may_change_and_is_told_with_the_next_point(bench: Bench) -> None:
    for count, total in ((1, 10.0), (2, 10.0), (3, 20.0)):
        definition = MetricDefinition("progress", total=total)
        bench.measuring.record("bar", count, None, definition, None)
    totals = [each.definition and each.definition.total for each in bench.sent]
    assert totals == [10.0, None, 20.0]
