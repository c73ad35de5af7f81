"""A thousand seeds end well, of every kind of history."""

from __future__ import annotations

import pytest

from tests.simulation.world import simulate

#: Seeds in one test: enough tests that they share the processors.
AT_ONCE = 25


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 11_000, AT_ONCE))
def test_many_seeds_end_well(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        simulate(seed, asks=seed % 2 == 0, operates=seed % 4 >= 2, collects=seed % 8 >= 4)
