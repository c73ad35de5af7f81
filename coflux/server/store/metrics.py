"""Points of metrics, in the file of the logs, round the core: they decide nothing (MT).

Belongs here: keeping points once each, reading all of them by pages, or few of many for a chart.
Does not belong here: throttling (the executor).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
from peewee import BlobField, FloatField, IntegerField, Model, SqliteDatabase, TextField

from coflux.model import Measurement, MetricDefinition

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MetricDefinition).decode

#: Rows of metrics whose numbers are remembered.
_REMEMBERED = 10_000

Point = tuple[float, float | None]


class MetricRow(Model):
    """A metric of an execution; `definition` is the encoded `model.MetricDefinition`."""

    id = IntegerField(primary_key=True)
    run = TextField()
    step = IntegerField()
    attempt = IntegerField()
    key = TextField()
    definition = BlobField()

    class Meta:
        table_name = "metric"
        indexes = ((("run", "step", "attempt", "key"), True),)


class PointRow(Model):
    """A point, numbered by arrival; unique by metric and place."""

    id = IntegerField(primary_key=True)
    metric = IntegerField()
    at = FloatField()
    value = FloatField(null=True)

    class Meta:
        table_name = "metric_point"
        indexes = ((("metric", "at"), True),)


class Series(NamedTuple):
    """A metric with some or all of its points, in the order of their places."""

    execution: str
    key: str
    definition: MetricDefinition
    size: int
    last: Point | None
    points: list[Point]


class Page(NamedTuple):
    """Metrics with points, the number of the newest point, and whether there are more."""

    series: list[Series]
    cursor: int
    more: bool


class MetricStore:
    """The metrics of a project, in the database of its logs."""

    def __init__(self, database: SqliteDatabase, path: Path) -> None:
        self._database = database
        self._path = path
        self._ids: dict[tuple[str, str], int] = {}
        database.bind([MetricRow, PointRow])
        database.create_tables([MetricRow, PointRow])

    def write(self, measurements: Iterable[Measurement]) -> None:
        """Keep points and definitions; points that are there already change nothing."""
        with self._database.atomic():
            rows = []
            for each in measurements:
                metric = self._metric(each)
                if metric is not None and each.at is not None and math.isfinite(each.at):
                    value = each.value
                    is_gap = value is None or not math.isfinite(value)
                    rows.append((metric, each.at, None if is_gap else value))
            self._database.connection().executemany(
                'INSERT OR IGNORE INTO metric_point (metric, "at", value) VALUES (?, ?, ?)', rows
            )

    def forget(self) -> None:
        """Metrics may have been removed: their numbers are looked up again."""
        self._ids.clear()

    def _metric(self, each: Measurement) -> int | None:
        known = self._ids.get((each.execution, each.key))
        if known is not None and each.definition is None:
            return known
        run, step, attempt = each.execution.split(":")
        place = (run, int(step), int(attempt), each.key)
        if each.definition is not None:
            self._database.execute_sql(
                "INSERT INTO metric (run, step, attempt, key, definition) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (run, step, attempt, key) DO UPDATE SET definition = ?",
                (*place, _encode(each.definition), _encode(each.definition)),
            )
        found = self._database.execute_sql(
            "SELECT id FROM metric WHERE run = ? AND step = ? AND attempt = ? AND key = ?", place
        ).fetchone()
        if found is None:
            # Its definition came before and was not kept (the store was restored, say).
            return self._metric(msgspec.structs.replace(each, definition=MetricDefinition()))
        if len(self._ids) >= _REMEMBERED:
            self._ids.clear()
        self._ids[each.execution, each.key] = found[0]
        return int(found[0])

    # --- reading: with connections of their own, so that a thread may do it ---------------------

    def chart(self, id: str, key: str | None, most: int) -> Page:
        """All metrics of a run, step or execution, each with about `most` of its points.

        Of more, the least and the greatest of each of `most` / 2 stretches are given.
        """
        with closing(self._open()) as connection:
            cursor = connection.execute("SELECT COALESCE(MAX(id), 0) FROM metric_point").fetchone()
            found = []
            for metric in _metrics(connection, id, key):
                count, low, high = _extent(connection, metric.id)
                points = list(_points(connection, metric.id, count, low, high, most))
                found.append(
                    Series(
                        metric.execution, metric.key, metric.definition, count,
                        _last(connection, metric.id), points,
                    )
                )  # fmt: skip
            return Page(found, cursor[0], False)

    def page(self, id: str, key: str | None, after: int, limit: int) -> Page:
        """Points that arrived after one, all of them, in pages of `limit`."""
        with closing(self._open()) as connection:
            metrics = _metrics(connection, id, key)
            points: dict[int, list[Point]] = {}
            rows = _arrived(connection, [metric.id for metric in metrics], after, limit)
            for _, metric_id, at, value in rows:
                points.setdefault(metric_id, []).append((at, value))
            found = [
                Series(
                    metric.execution, metric.key, metric.definition,
                    _extent(connection, metric.id)[0], _last(connection, metric.id),
                    points[metric.id],
                )
                for metric in metrics
                if metric.id in points
            ]  # fmt: skip
            return Page(found, rows[-1][0] if rows else after, len(rows) == limit)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)


class _Metric(NamedTuple):
    id: int
    execution: str
    key: str
    definition: MetricDefinition


def _metrics(connection: sqlite3.Connection, id: str, key: str | None) -> list[_Metric]:
    where, values = ["1 = 1"], []
    for column, part in zip(("run", "step", "attempt"), id.split(":"), strict=False):
        where.append(f"{column} = ?")
        values.append(part)
    if key is not None:
        where.append("key = ?")
        values.append(key)
    rows = connection.execute(
        "SELECT id, run, step, attempt, key, definition FROM metric"
        f" WHERE {' AND '.join(where)} ORDER BY id",
        values,
    )
    return [_Metric(row[0], f"{row[1]}:{row[2]}:{row[3]}", row[4], _decode(row[5])) for row in rows]


def _extent(connection: sqlite3.Connection, metric: int) -> tuple[int, float, float]:
    sql = 'SELECT COUNT(*), MIN("at"), MAX("at") FROM metric_point WHERE metric = ?'
    count, low, high = connection.execute(sql, (metric,)).fetchone()
    return count, low or 0.0, high or 0.0


def _last(connection: sqlite3.Connection, metric: int) -> Point | None:
    sql = 'SELECT "at", value FROM metric_point WHERE metric = ? ORDER BY "at" DESC LIMIT 1'
    found: Point | None = connection.execute(sql, (metric,)).fetchone()
    return found


def _points(
    connection: sqlite3.Connection, metric: int, count: int, low: float, high: float, most: int
) -> Iterator[Point]:
    if most <= 0:
        return
    if count <= most:
        sql = 'SELECT "at", value FROM metric_point WHERE metric = ? ORDER BY "at"'
        yield from connection.execute(sql, (metric,))
        return
    width = (high - low) / max(1, most // 2) or 1.0
    stretch = f"""
        FROM metric_point WHERE metric = {metric:d} AND value IS %s NULL
        GROUP BY CAST(("at" - ?) / ? AS INTEGER)"""
    ends = f'FROM metric_point WHERE metric = {metric:d} ORDER BY "at"'
    # Beside MIN or MAX, SQLite gives the other columns of the row that has it.
    sql = (
        f'SELECT "at", v FROM (SELECT "at", MIN(value) AS v {stretch % "NOT"})'
        f' UNION SELECT "at", v FROM (SELECT "at", MAX(value) AS v {stretch % "NOT"})'
        f' UNION SELECT "at", v FROM (SELECT MIN("at") AS "at", NULL AS v {stretch % ""})'
        f' UNION SELECT * FROM (SELECT "at", value {ends} LIMIT 1)'
        f' UNION SELECT * FROM (SELECT "at", value {ends} DESC LIMIT 1)'
        ' ORDER BY "at"'
    )
    yield from connection.execute(sql, (low, width) * 3)


def _arrived(
    connection: sqlite3.Connection, metrics: list[int], after: int, limit: int
) -> list[tuple[int, int, float, float | None]]:
    found: list[tuple[int, int, float, float | None]] = []
    for start in range(0, len(metrics), 500):
        chunk = metrics[start : start + 500]
        sql = (
            'SELECT id, metric, "at", value FROM metric_point'
            f" WHERE metric IN ({', '.join('?' * len(chunk))}) AND id > ? ORDER BY id LIMIT ?"
        )
        found += connection.execute(sql, (*chunk, after, limit)).fetchall()
    return sorted(found)[:limit]
