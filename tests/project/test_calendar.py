"""When schedules are due, over twenty years of every time zone (SD-1, SD-3)."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coflux.errors import InvalidRequest
from coflux.server.project.calendar import Calendar, calendar_of, upcoming

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
ZONES = sorted(zoneinfo.available_timezones())


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def local(zone: str, *parts: int, fold: int = 0) -> int:
    """The instant of a local time."""
    return ms(datetime(*parts, tzinfo=zoneinfo.ZoneInfo(zone), fold=fold))  # type: ignore[arg-type]


def utc(*parts: int) -> int:
    return ms(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type]


@functools.lru_cache
def changes(zone: str) -> list[datetime]:
    """Instants between 2005 and 2025 shortly after which the clocks of a zone have changed."""
    info, moment = zoneinfo.ZoneInfo(zone), datetime(2005, 1, 1, tzinfo=UTC)
    found = []
    offset = moment.astimezone(info).utcoffset()
    while moment.year < 2026:
        moment += timedelta(hours=12)
        if (now := moment.astimezone(info).utcoffset()) != offset:
            found.append(moment)
            offset = now
    return found


@st.composite
def windows(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and a moment in it that is likely to be near a change of its clocks."""
    zone = draw(st.sampled_from(ZONES))
    days = st.integers(0, 365 * 20).map(
        lambda n: datetime(2005, 1, 1, tzinfo=UTC) + n * 1440 * MINUTE
    )
    near = st.sampled_from(changes(zone)) if changes(zone) else days
    return zone, draw(st.one_of(near, near, days))


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        number.map(str),
        st.lists(number, min_size=2, max_size=3).map(lambda n: ",".join(map(str, n))),
        st.tuples(number, number).map(lambda n: f"{min(n)}-{max(n)}"),
    )


def wall_clock(zone: str, middle: datetime) -> list[tuple[datetime, datetime]]:
    """Every minute for four days around a moment: the instant, and what the clocks show."""
    info, start = zoneinfo.ZoneInfo(zone), middle.replace(second=0, microsecond=0) - 2880 * MINUTE
    moments = [start + n * MINUTE for n in range(5760)]
    return [(moment, moment.astimezone(info).replace(tzinfo=None)) for moment in moments]


def instants(calendar: Calendar, start: datetime, end: datetime) -> list[datetime]:
    """Those of a calendar in a span, found one after another."""
    found, at = [], ms(start) - 1
    while (at := calendar.after(at) or 2**62) < ms(end):
        found.append(datetime.fromtimestamp(at / 1000, UTC))
    return found


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(windows(), field(0, 59), st.sampled_from(["*", "*/2", "*/3"]))
def test_with_a_star_for_the_hour_every_instant_fires_whose_local_time_fits(
    window: tuple[str, datetime], minutes: str, hours: str
) -> None:
    """SD-3: firing follows elapsed time through both changes."""
    zone, middle = window
    calendar = Calendar(f"{minutes} {hours} * * *", zone)
    shown = wall_clock(zone, middle)
    fields = calendar._fields
    expected = [
        at for at, clock in shown if clock.minute in fields.minutes and clock.hour in fields.hours
    ]
    assert instants(calendar, shown[0][0], shown[-1][0] + MINUTE) == expected


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(windows(), field(0, 59), field(0, 23))
def test_with_a_fixed_hour_each_local_time_fires_once(
    window: tuple[str, datetime], minutes: str, hours: str
) -> None:
    """SD-3: a skipped one after the gap, a repeated one at its first passing."""
    zone, middle = window
    calendar = Calendar(f"{minutes} {hours} * * *", zone)
    shown = wall_clock(zone, middle)
    fields = calendar._fields
    expected: set[datetime] = set()
    newest = shown[0][1] - MINUTE
    for at, clock in shown:
        # What the clocks jumped over becomes due now; what they show again has been.
        skipped = newest + MINUTE
        while skipped <= clock:
            if skipped.minute in fields.minutes and skipped.hour in fields.hours:
                expected.add(at)
            skipped += MINUTE
        newest = max(newest, clock)
    # Whether the first times are repeated ones cannot be seen from within.
    start = shown[0][0] + 1440 * MINUTE
    found = instants(calendar, start, shown[-1][0] + MINUTE)
    assert found == sorted(at for at in expected if at >= start)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(windows(), field(0, 59), st.one_of(field(0, 23), st.just("*")), st.integers(1, 30))
def test_backwards_gives_the_newest_of_what_forwards_gives(
    window: tuple[str, datetime], minutes: str, hours: str, count: int
) -> None:
    """SD-4."""
    zone, middle = window
    calendar = Calendar(f"{minutes} {hours} * * *", zone)
    start, end = middle - 4000 * MINUTE, middle + 4000 * MINUTE
    forwards = [ms(at) for at in instants(calendar, start + timedelta(milliseconds=1), end)]
    assert calendar.newest(ms(start), ms(end) - 1, count) == forwards[-count:]


class TestExamples:
    @pytest.mark.parametrize(
        ("cron", "after", "expected"),
        [
            ("30 2 * * *", utc(2026, 3, 28, 12), utc(2026, 3, 29, 1)),  # 02:30 is skipped
            ("30 2 * * *", utc(2026, 10, 24, 12), utc(2026, 10, 25, 0, 30)),  # shown twice
            ("30 2 * * *", utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)),
            ("*/30 2 * * *", utc(2026, 3, 29, 0), utc(2026, 3, 29, 1)),
            ("*/30 2 * * *", utc(2026, 3, 29, 1), utc(2026, 3, 30, 0)),
            ("0 * * * *", utc(2026, 3, 29, 0), utc(2026, 3, 29, 1)),
            ("0 * * * *", utc(2026, 10, 25, 0), utc(2026, 10, 25, 1)),
            ("0 9 * * MON-FRI", utc(2026, 1, 2, 12), utc(2026, 1, 5, 8)),
            ("0 0 29 2 *", utc(2025, 1, 1), utc(2028, 2, 28, 23)),
            ("15 10 L * *", utc(2026, 2, 1), utc(2026, 2, 28, 9, 15)),
        ],
    )
    def test_berlin(self, cron: str, after: int, expected: int) -> None:
        assert calendar_of(cron, "Europe/Berlin").after(after) == expected

    def test_a_day_that_a_zone_skipped_fires_after_it(self) -> None:
        """Samoa had no 30 December 2011."""
        calendar = calendar_of("0 9 30 12 *", "Pacific/Apia")
        assert calendar.after(utc(2011, 12, 1)) == local("Pacific/Apia", 2011, 12, 31)
        assert calendar.newest(utc(2011, 12, 1), utc(2012, 1, 9), 5) == [utc(2011, 12, 30, 10)]

    def test_half_an_hour_of_daylight_saving(self) -> None:
        """Lord Howe moves its clocks by thirty minutes."""
        calendar = calendar_of("15 2 * * *", "Australia/Lord_Howe")
        gap = calendar.after(utc(2025, 10, 4, 0))
        assert gap == local("Australia/Lord_Howe", 2025, 10, 5, 2, 30)

    def test_a_year_of_minutes_is_not_gone_through_for_the_newest_hundred(self) -> None:
        """SD-4."""
        calendar = calendar_of("* * * * *", "UTC")
        newest = calendar.newest(utc(2020, 1, 1), utc(2026, 1, 1), 100)
        assert len(newest) == 100
        assert newest[-1] == utc(2026, 1, 1)

    def test_the_next_few(self) -> None:
        found = list(upcoming(calendar_of("0 0 1 1 *", "UTC"), utc(2026, 6, 1), 3))
        assert found == [utc(2027, 1, 1), utc(2028, 1, 1), utc(2029, 1, 1)]


@pytest.mark.parametrize(
    ("cron", "zone", "field", "message"),
    [
        ("* * * *", "UTC", "cron", "five fields"),
        ("0 * * * * *", "UTC", "cron", "five fields"),
        ("61 * * * *", "UTC", "cron", "Bad minute"),
        ("0 0 30 2 *", "UTC", "cron", "Bad day-of-month"),
        ("nonsense", "UTC", "cron", "five fields"),
        ("0 0 * * *", "Europe/Berln", "zone", "did you mean 'Europe/Berlin'?"),
        ("0 0 * * *", "../etc/passwd", "zone", "There is no time zone"),
        ("0 0 * * *", "", "zone", "There is no time zone"),
    ],
)
def test_what_cannot_be_is_refused(cron: str, zone: str, field: str, message: str) -> None:
    """SD-1."""
    with pytest.raises(InvalidRequest, match=message.replace("?", r"\?")) as caught:
        calendar_of(cron, zone)
    assert caught.value.fields["field"] == field
