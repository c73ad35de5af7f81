"""A weather office: a climate bulletin every month, from real observations, in one file."""

from __future__ import annotations

import csv
import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import coflux as cf

ARCHIVE = Path(__file__).with_name("weather.csv")
CITIES = ("Seattle", "New York")
#: The archive's copies, with the seconds that each takes to answer.
MIRRORS = {"near": 0.1, "far": 3.0}
Month = dict[str, Any]


@dataclass
class Verdict:
    """What the editor says."""

    publish: bool
    remark: str = ""


APPROVAL = cf.Prompt(
    "Publish the bulletin of {month}? The warmest day was {high} °C in {city}.",
    model=Verdict,
    title="Bulletin",
    actions=("Decide", "Not this month"),
)


@cf.workflow(schedule=cf.Schedule("0 6 1 * *", "America/New_York", catch_up="latest"))
def bulletin(year: int = 2015, month: int = 12) -> str:
    """What the month was like. On the first of each month, at six in New York."""
    with cf.group("cities"):
        handles = describe.submit_many(CITIES, year=year, month=month)
    months = [handle.result() for handle in cf.progress(handles)]
    chart = draw.submit(months)
    warmest = max(months, key=lambda found: found["high"])
    try:
        with cf.suspense():
            verdict = APPROVAL(
                month=f"{year}-{month:02}", high=warmest["high"], city=warmest["city"]
            )
    except cf.InputDismissed:
        return "held back"
    if not verdict.publish:
        return f"held back: {verdict.remark}"
    publish(chart.result(), verdict.remark)
    return "published"


@cf.task(cache=cf.Cache(code=True))
def describe(city: str, year: int, month: int) -> Month:
    """A month of a city in numbers. Cached for as long as the code is the same."""
    days = [day for day in fetch(city) if day["date"].startswith(f"{year}-{month:02}")]
    high = cf.Metric("high", scale=cf.MetricScale("temperature", units="°C"), throttle=None)
    for number, day in enumerate(days, 1):
        high.record(day["high"], at=number)
    return {
        "city": city,
        "high": max(day["high"] for day in days),
        "rain": round(sum(day["rain"] for day in days), 1),
        "high_on_rainy_days": mean(day["high"] for day in days if day["rain"]),
    }


def mean(numbers: Any) -> float:
    """To one digit."""
    return round(statistics.fmean(numbers), 1)


@cf.task(memo=True)
def fetch(city: str) -> list[Month]:
    """All days of a city, from whichever mirror answers first."""
    key = cf.Secret("ARCHIVE_KEY")
    handles = [download.submit(mirror, city, key) for mirror in MIRRORS]
    winner, _ = cf.select(handles, cancel_remaining=True)
    days: list[Month] = winner.result()
    return days


@cf.task(slots="archive", timeout=timedelta(minutes=2), retries=(2, 1, 10), priority=1)
def download(mirror: str, city: str, key: cf.Secret) -> list[Month]:
    """Ask a mirror, which takes its time."""
    print(f"asking the {mirror} mirror with {key.get()}")
    time.sleep(MIRRORS[mirror])
    with ARCHIVE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["location"] == city]
    return [
        {"date": r["date"], "high": float(r["temp_max"]), "rain": float(r["precipitation"])}
        for r in rows
    ]


@cf.task(memo=True, requires={"plots": True})
def draw(months: list[Month]) -> cf.Asset:
    """A bar for each city: its warmest day."""
    bars = "".join(
        f'<rect y="{20 * n}" height="16" width="{4 * found["high"]:.0f}"/>'
        f'<text x="4" y="{20 * n + 12}" fill="white" font-size="10">{found["city"]}</text>'
        for n, found in enumerate(months)
    )
    path = Path("warmest.svg")
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40">{bars}</svg>')
    return cf.persist_asset(path, name="warmest")


@cf.task()
def publish(chart: cf.Asset, remark: str) -> None:
    """Put the chart where readers look."""
    cf.log_info("published {files} file(s) {remark}", files=len(chart.entries()), remark=remark)


@cf.sensor()
def watch(inbox: str, seen: int = 0) -> None:
    """See to the stations' reports as they come in, and go on where it was."""
    for number, line in enumerate(Path(inbox).read_text().splitlines()[seen:], seen + 1):
        city, _, reading = line.partition(": ")
        refresh.submit(city, reading)
        cf.checkpoint(inbox, number)


@cf.workflow(defer=cf.Defer(params=["city"]), delay=0.5)
def refresh(city: str, reading: str) -> str:
    """Of several reports from one city that come close together, the last counts."""
    return f"{city} shows {reading}"
