"""Taking old lines and points out of the file of logs and metrics, in small steps.

A line counts as old by when it came in, by the server's clock: now and then a mark is set that says
how far the file was at that moment. Belongs here: marks, deletions. Does not belong here: whose
lines are kept how long.
"""

from __future__ import annotations

from typing import NamedTuple

from peewee import IntegerField, Model, SqliteDatabase

#: Two marks are at least so far apart, in ms, unless one asks for more.
APART_MS = 3_600_000
#: What a line and a point look like that are of no run.
_EMPTY_LINE = "run = '', step = 0, attempt = 0, seq = id, at = 0, template = '', \"values\" = NULL"
_EMPTY_POINT = 'metric = 0, "at" = id, value = NULL'


class ArrivalRow(Model):
    """At this instant (ms UTC) the newest line and the newest point had these numbers."""

    at = IntegerField(primary_key=True)
    line = IntegerField()
    point = IntegerField()

    class Meta:
        table_name = "arrival"


class Mark(NamedTuple):
    """Everything up to these numbers had come in."""

    line: int
    point: int


class Trimming:
    """Removes lines and points from the database of a project's logs."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        database.bind([ArrivalRow])
        database.create_tables([ArrivalRow])

    def mark(self, now: int, apart_ms: int = APART_MS) -> None:
        """Remember how far the file is now."""
        newest = self._one("SELECT COALESCE(MAX(at), 0) FROM arrival")
        if now - newest >= apart_ms:
            self._database.execute_sql(
                "INSERT OR IGNORE INTO arrival (at, line, point) SELECT ?,"
                " (SELECT COALESCE(MAX(id), 0) FROM log),"
                " (SELECT COALESCE(MAX(id), 0) FROM metric_point)",
                (now,),
            )

    def mark_at(self, instant: int) -> Mark:
        """What had come in at that instant at the latest."""
        sql = "SELECT line, point FROM arrival WHERE at <= ? ORDER BY at DESC LIMIT 1"
        found = self._database.execute_sql(sql, (instant,)).fetchone()
        return Mark(*found) if found is not None else Mark(0, 0)

    def forget_marks(self, before: int) -> None:
        """Marks that nobody asks for any more: all but the last before an instant."""
        self._database.execute_sql(
            "DELETE FROM arrival WHERE at < (SELECT MAX(at) FROM arrival WHERE at <= ?)", (before,)
        )

    def runs(self) -> set[str]:
        """Runs that have lines or metrics; in any thread."""
        found: set[str] = set()
        for table in ("log", "metric"):
            rows = self._database.execute_sql(f"SELECT DISTINCT run FROM {table}")
            found.update(run for (run,) in rows if run)
        return found

    def trim(self, run: str, upto: Mark, most: int) -> int:
        """Take up to `most` lines and points of a run out that had come in; gives how many."""
        with self._database.atomic():
            gone = self._trim_lines(run, upto.line, most)
            return gone + self._trim_points(run, upto.point, most - gone)

    def clear(self, run: str, most: int) -> int:
        """Take up to `most` lines and points of a run that is no more out; gives how many."""
        gone = self.trim(run, Mark(2**62, 2**62), most)
        if gone < most:
            self._database.execute_sql("DELETE FROM metric WHERE run = ?", (run,))
        return gone

    def blobs(self) -> set[str]:
        """Blobs that hold values of lines; in any thread."""
        return {blob for (blob,) in self._database.execute_sql("SELECT blob FROM log_blob")}

    def _trim_lines(self, run: str, upto: int, most: int) -> int:
        sql = "SELECT id FROM log WHERE run = ? AND id <= ? LIMIT ?"
        ids = [id for (id,) in self._database.execute_sql(sql, (run, upto, most))]
        many = self._database.connection().executemany
        many("DELETE FROM log_blob WHERE line = ?", [(id,) for id in ids])
        return self._delete("log", ids, _EMPTY_LINE, "run = ''")

    def _trim_points(self, run: str, upto: int, most: int) -> int:
        metrics = self._database.execute_sql("SELECT id FROM metric WHERE run = ?", (run,))
        gone = 0
        for (metric,) in metrics.fetchall():
            # In the order of their places, in which they came in: none is looked at in vain.
            sql = 'SELECT id FROM metric_point WHERE metric = ? ORDER BY "at" LIMIT ?'
            rows = self._database.execute_sql(sql, (metric, max(0, most - gone)))
            ids = [id for (id,) in rows if id <= upto]
            gone += self._delete("metric_point", ids, _EMPTY_POINT, "metric = 0")
        return gone

    def _delete(self, table: str, ids: list[int], empty: str, is_empty: str) -> int:
        """Take rows out, but empty the newest of the table: its number must not be given again.

        Else who follows by numbers would miss what gets it, and marks would take that for old.
        """
        if not ids:
            return 0
        newest = self._one(f"SELECT MAX(id) FROM {table}")
        rows = [(id,) for id in ids if id != newest]
        self._database.connection().executemany(f"DELETE FROM {table} WHERE id = ?", rows)
        if newest in ids:
            self._database.execute_sql(f"UPDATE {table} SET {empty} WHERE id = ?", (newest,))
        self._database.execute_sql(f"DELETE FROM {table} WHERE {is_empty} AND id < ?", (newest,))
        return len(ids)

    def _one(self, sql: str) -> int:
        return int(self._database.execute_sql(sql).fetchone()[0])
