"""The project's clock (EN-7)."""

from __future__ import annotations

from coflux.server.project.clock import Clock

SECOND = 1_000_000_000


class Hands:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.wall, self.awake = 1_000 * SECOND, 5 * SECOND

    def clock(self, newest: int = 0) -> Clock:
        return Clock(newest, lambda: self.wall, lambda: self.awake)

    def pass_time(self, wall_s: float, awake_s: float | None = None) -> None:
        self.wall += round(wall_s * SECOND)
        self.awake += round((wall_s if awake_s is None else awake_s) * SECOND)


def test_it_never_goes_back_also_across_restarts() -> None:
    hands = Hands()
    clock = hands.clock(newest=2_000_000)
    assert clock.now() == 2_000_000
    hands.pass_time(3_000)
    assert clock.now() == 4_000_000
    hands.pass_time(-50, 0)
    assert clock.now() == 4_000_000


def test_a_sleep_is_told_once_with_its_length() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_time(60)
    assert clock.take_sleep() == 0
    hands.pass_time(3_600, 10)
    clock.now()
    hands.pass_time(5)
    assert clock.take_sleep() == 3_590_000
    assert clock.take_sleep() == 0
    assert clock.awake_since == 4_660_000


def test_a_small_drift_is_no_sleep() -> None:
    hands = Hands()
    clock = hands.clock()
    for _ in range(100):
        hands.pass_time(10, 9)
        assert clock.take_sleep() == 0
