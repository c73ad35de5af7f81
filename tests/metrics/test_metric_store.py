"""Keeping points once each, and reading them by pages or as a chart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coflux.model import Measurement, MetricDefinition
from coflux.server.store.logs import LogStore
from coflux.server.store.metrics import MetricStore

RUN = "Rbcdfgh"
FIRST = f"{RUN}:1:1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    logs = LogStore(tmp_path)
    yield MetricStore(logs.database, logs.path)
    logs.close()


def _points(count: int, execution: str = FIRST, key: str = "loss") -> list[Measurement]:
    return [
        Measurement(execution, key, float(n), float(n % 100), MetricDefinition() if not n else None)
        for n in range(count)
    ]


def test_points_that_come_twice_are_kept_once(store: MetricStore) -> None:
    store.write(_points(3))
    store.write(_points(4))
    (series,) = store.chart(RUN, None, 500).series
    assert series.points == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert (series.size, series.last) == (4, (3, 3))


def test_a_chart_of_many_points_keeps_their_extremes_and_ends(store: MetricStore) -> None:
    store.write(_points(10_000))
    store.write([Measurement(FIRST, "loss", 5_000.5, -7.0)])
    (series,) = store.chart(FIRST, "loss", 100).series
    assert len(series.points) <= 104
    values = [value for _, value in series.points if value is not None]
    assert (min(values), max(values)) == (-7.0, 99.0)
    assert (series.points[0][0], series.points[-1][0]) == (0.0, 9_999.0)
    assert series.points == sorted(series.points)


def test_pages_follow_the_order_of_arrival_and_miss_nothing(store: MetricStore) -> None:
    store.write(_points(5))
    store.write(_points(5, f"{RUN}:2:1", "rows"))
    seen, cursor, more = [], 0, True
    while more:
        page = store.page(RUN, None, cursor, 3)
        seen += [(s.execution, s.key, p) for s in page.series for p in s.points]
        cursor, more = page.cursor, page.more
    assert len(seen) == len(set(seen)) == 10
    assert store.page(f"{RUN}:2", "rows", 0, 100).series[0].size == 5
    assert store.page("Rzzzzzz", None, 0, 100).series == []


def test_gaps_stay_gaps(store: MetricStore) -> None:
    store.write([Measurement(FIRST, "loss", 1.0, None, MetricDefinition())])
    store.write([Measurement(FIRST, "loss", 2.0, float("nan"))])
    assert store.chart(RUN, None, 10).series[0].points == [(1.0, None), (2.0, None)]


def test_a_point_without_its_definition_is_kept_all_the_same(store: MetricStore) -> None:
    store.write([Measurement(FIRST, "loss", 1.0, 4.0)])
    (series,) = store.chart(RUN, None, 10).series
    assert series.definition == MetricDefinition()
    assert series.points == [(1.0, 4.0)]
