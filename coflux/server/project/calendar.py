"""When a schedule is due: cron fields in a time zone, through changes of the clocks (SD-1, SD-3).

Belongs here: instants from a cron expression, forwards and backwards. Does not belong here: what
happens at an instant (core), and waiting for it (`timetable`).

With a fixed hour each local time is one instant: one that the clocks skip is the first after the
gap, one that they repeat its first passing. With an hour field that begins with `*` every instant
whose local time fits counts, so firing follows elapsed time.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from coflux.errors import InvalidRequest
from coflux.server.core.submission import nearest

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
#: How far ahead a next instant is looked for.
HORIZON = timedelta(days=366 * 50)
#: A skipped local time is at most so far from the instant that stands for it (Samoa skipped a day).
LONGEST_GAP = timedelta(days=2)


class Calendar:
    """A cron expression of five fields in an IANA time zone."""

    def __init__(self, cron: str, zone: str) -> None:
        self.zone = find_zone(zone)
        self._fields = _parse(cron)
        self._hours, self._minutes = sorted(self._fields.hours), sorted(self._fields.minutes)
        self._follows_elapsed_time = cron.split()[1].startswith("*")
        if self.after(0) is None:
            raise InvalidRequest(f"The cron expression {cron!r} never fits a date.", field="cron")

    def after(self, instant: int) -> int | None:
        """The first instant later than this one, both in ms UTC; None within fifty years."""
        moment = _datetime(instant)
        if self._follows_elapsed_time:
            found = self._next_fitting(moment)
        else:
            found = self._next_of_days(moment)
        return _milliseconds(found) if found is not None else None

    def newest(self, since: int, until: int, count: int) -> list[int]:
        """At most `count` instants later than `since` and not later than `until`, the newest."""
        first, last = _datetime(since), _datetime(until)
        found: set[datetime] = set()
        day, stop = self._local(last).date() + DAY, self._local(first).date() - LONGEST_GAP
        is_enough = False
        while day >= stop:
            found |= {instant for instant in self._on(day) if first < instant <= last}
            if len(found) >= count and not is_enough:
                is_enough = True
                # What an earlier day skipped may come up to two days later.
                stop = max(stop, day - LONGEST_GAP)
            day -= DAY
        return [_milliseconds(instant) for instant in sorted(found)[-count:]]

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone)

    def _fits(self, day: date) -> bool:
        return day.month in self._fields.months and self._fields.match_day(day)

    def _next_of_days(self, moment: datetime) -> datetime | None:
        start = self._local(moment).date() - LONGEST_GAP
        best: datetime | None = None
        for number in range(HORIZON.days):
            day = start + number * DAY
            later = [i for i in self._on(day) if i > moment]
            if later and (best is None or later[0] < best):
                best = later[0]
            # What a day skipped may come after what the next one has.
            if best is not None and day > self._local(best).date():
                return best
        return best

    def _next_fitting(self, moment: datetime) -> datetime | None:
        moment = moment.replace(second=0, microsecond=0) + MINUTE
        end = moment + HORIZON
        while moment < end:
            local = self._local(moment)
            if not self._fits(local.date()):
                moment = max(self._midnight_after(local), moment + MINUTE)
            elif local.hour not in self._fields.hours:
                moment = self._step(moment, (60 - local.minute) * MINUTE)
            elif local.minute not in self._fields.minutes:
                moment += MINUTE
            else:
                return moment
        return None

    def _step(self, moment: datetime, by: timedelta) -> datetime:
        """A step, but no further than a minute where the clocks change on the way."""
        is_even = self._local(moment + by).utcoffset() == self._local(moment).utcoffset()
        return moment + (by if is_even else MINUTE)

    def _midnight_after(self, local: datetime) -> datetime:
        midnight = datetime.combine(local.date() + DAY, time())
        passings = [self._passing(midnight, fold) for fold in (0, 1)]
        there = [p for p in passings if p is not None]
        return there[0] if there else self._end_of_gap(midnight)

    def _on(self, day: date) -> list[datetime]:
        """The instants of a local day, in order."""
        return _instants(self, day) if self._fits(day) else []

    def instants_on(self, day: date) -> list[datetime]:
        """As `_on`, for a day that fits."""
        found: set[datetime] = set()
        for hour in self._hours:
            for minute in self._minutes:
                local = datetime.combine(day, time(hour, minute))
                first, second = self._passing(local, 0), self._passing(local, 1)
                if self._follows_elapsed_time:
                    found |= {passing for passing in (first, second) if passing is not None}
                else:
                    found.add(first or self._end_of_gap(local))
        return sorted(found)

    def _passing(self, local: datetime, fold: int) -> datetime | None:
        """The instant at which the clocks show a local time, the first or the second time."""
        moment = local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
        return moment if self._local(moment).replace(tzinfo=None, fold=0) == local else None

    def _end_of_gap(self, local: datetime) -> datetime:
        """The first instant after the gap that a local time falls into."""
        # By the offset after the gap it lies before the change, by the one before it after.
        low = local.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        high = local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        offset = self._local(high).utcoffset()
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            middle = middle.replace(microsecond=0)
            if self._local(middle).utcoffset() == offset:
                high = middle
            else:
                low = middle
        return high


@functools.lru_cache(maxsize=4096)
def _instants(calendar: Calendar, day: date) -> list[datetime]:
    return calendar.instants_on(day)


@functools.lru_cache(maxsize=1024)
def calendar_of(cron: str, zone: str) -> Calendar:
    """The calendar of an expression and a zone; raises `InvalidRequest` naming the field."""
    return Calendar(cron, zone)


def find_zone(name: str) -> ZoneInfo:
    """The IANA zone; raises `InvalidRequest` naming the nearest."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        hint = nearest(name, sorted(zoneinfo.available_timezones()))
        raise InvalidRequest(
            f"There is no time zone {name!r}{hint or ', such as Europe/Berlin or UTC.'}",
            field="zone",
        ) from None


def _parse(cron: str) -> CronSim:
    if len(cron.split()) != 5:
        raise InvalidRequest(
            f"A cron expression has five fields (minute, hour, day, month, weekday), not {cron!r}.",
            field="cron",
        )
    try:
        return CronSim(cron, datetime(2000, 1, 1))
    except CronSimError as error:
        raise InvalidRequest(f"{cron!r} is no cron expression: {error}.", field="cron") from None


def _datetime(instant: int) -> datetime:
    return datetime.fromtimestamp(instant // 1000, UTC) + timedelta(milliseconds=instant % 1000)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def upcoming(calendar: Calendar, after: int, count: int) -> Iterator[int]:
    """The next instants, in order."""
    instant: int | None = after
    for _ in range(count):
        instant = calendar.after(instant) if instant is not None else None
        if instant is None:
            return
        yield instant
