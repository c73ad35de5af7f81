"""Seeds end well, on a list and on the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.world import simulate

#: Seeds that once failed; they are kept for ever.
KNOWN, KNOWN_OPERATED = (
    [int(line) for line in Path(__file__).with_name(name).read_text().split()]
    for name in ("seeds.txt", "seeds_operated.txt")
)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_whatever_breaks_every_history_ends_well(first: int) -> None:
    """SE-5, SE-9, SE-10, EN-4, RS-1, ST-5: see `oracles`."""
    for seed in range(first, first + 20):
        simulate(seed)


@pytest.mark.parametrize("first", range(1_000, 1_030, 15))
def test_people_may_be_asked_whatever_breaks(first: int) -> None:
    """IN-2, IN-3, IN-6, SE-9: asked once, answered once, and what was answered stays so."""
    for seed in range(first, first + 15):
        simulate(seed, database=seed % 3 == 0, asks=True)


@pytest.mark.parametrize("first", range(2_000, 2_030, 15))
def test_it_may_be_operated_whatever_breaks(first: int) -> None:
    """SD-2, SD-4, SD-5, SC-7 to SC-9, RC-4, RC-5, PO-2, PO-3, PO-5, EN-7: see `operated`."""
    for seed in range(first, first + 15):
        simulate(seed, database=seed % 3 == 0, operates=True)


@pytest.mark.parametrize("first", range(3_000, 3_045, 15))
def test_runs_may_be_removed_whatever_breaks(first: int) -> None:
    """DM-2, ID-1, ID-4, SE-10: what is there has all that it reaches, see `collecting`."""
    for seed in range(first, first + 15):
        others = {"asks": seed % 4 == 1, "operates": seed % 4 >= 2}
        simulate(seed, database=seed % 3 == 0, collects=True, **others)


@pytest.mark.slow
def test_what_once_failed_does_not_fail_again() -> None:
    for seed in KNOWN:
        simulate(seed)
        simulate(seed, database=True)
        simulate(seed, asks=True)
    for seed in KNOWN_OPERATED:
        simulate(seed, operates=True)
        simulate(seed, operates=True, database=True)
        simulate(seed, operates=True, asks=True)


def test_the_real_store_remembers_what_the_list_does() -> None:
    """SE-10, DM-1: restarts and finished runs are read from SQLite."""
    for seed in range(200, 215):
        simulate(seed, database=True)


def test_the_same_seed_gives_the_same_history() -> None:
    """STYLE 6: order is part of the answer."""
    assert simulate(7).story == simulate(7).story
    assert simulate(7, operates=True).story == simulate(7, operates=True).story
