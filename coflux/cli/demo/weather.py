"""The demo: what four years of weather in Seattle and New York were like.

Belongs here: the workflow and its tasks, in plain Python. Does not belong here: drawing (`chart`),
and running it (`command`).
"""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coflux as cf

DATA = Path(__file__).with_name("weather.csv")
CITIES = ("Seattle", "New York")
YEARS = (2012, 2013, 2014, 2015)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Day = dict[str, Any]


@cf.workflow()
def report(cities: Sequence[str] = CITIES, years: Sequence[int] = YEARS) -> dict[str, Any]:
    """Compare the climates of two cities, from daily observations."""
    climates = []
    for city in cities:
        with cf.group(city):
            summaries = [summarise.submit(observations.submit(city, y), y) for y in years]
            climates.append(climate.submit(city, summaries))
    sky = [almanac.submit(city) for city in cities[:1]]
    chart = draw.submit(climates)
    tables = tabulate.submit(climates)
    comparison = compare(climates)
    chart.result()
    tables.result()
    return {**comparison, "daylight_hours": dict(each.result() for each in sky)}


@cf.task(cache=True)
def observations(city: str, year: int) -> list[Day]:
    """The days of a year; reading them again takes no time, thanks to the cache."""
    with DATA.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["location"] == city]
    days = [
        {
            "date": row["date"],
            "rain": float(row["precipitation"]),
            "high": float(row["temp_max"]),
            "low": float(row["temp_min"]),
            "wind": float(row["wind"]),
            "weather": row["weather"],
        }
        for row in rows
        if row["date"].startswith(str(year))
    ]
    cf.log_info("{city} {year}: {days} days", city=city, year=year, days=len(days))
    return days


@cf.task()
def summarise(days: cf.Execution[list[Day]], year: int) -> dict[str, Any]:
    """A year in numbers, and month by month."""
    found = days.result()
    months: dict[int, list[Day]] = defaultdict(list)
    for day in found:
        months[int(day["date"][5:7])].append(day)
    hottest = max(found, key=lambda day: day["high"])
    cf.log_info("hottest day of {year}: {date} with {high} °C", year=year, **_named(hottest))
    return {
        "year": year,
        "rain": round(sum(day["rain"] for day in found), 1),
        "wet_days": sum(day["rain"] >= 1 for day in found),
        "hottest": {"date": hottest["date"], "high": hottest["high"]},
        "months": {
            month: {
                "high": statistics.fmean(day["high"] for day in days_),
                "low": statistics.fmean(day["low"] for day in days_),
                "rain": sum(day["rain"] for day in days_),
            }
            for month, days_ in sorted(months.items())
        },
    }


@cf.task()
def climate(city: str, years: list[cf.Execution[dict[str, Any]]]) -> dict[str, Any]:
    """The years of a city taken together."""
    found = [year.result() for year in years]
    months = {
        month: {
            name: round(statistics.fmean(year["months"][month][name] for year in found), 1)
            for name in ("high", "low", "rain")
        }
        for month in range(1, 13)
    }
    return {
        "city": city,
        "rain_per_year": round(statistics.fmean(year["rain"] for year in found), 1),
        "wet_days_per_year": round(statistics.fmean(year["wet_days"] for year in found)),
        "hottest": max((year["hottest"] for year in found), key=lambda day: day["high"]),
        "months": months,
    }


@cf.task(retries=(2, 0.2))
def almanac(city: str, is_reachable: bool = False) -> tuple[str, float]:
    """Hours of daylight on the longest day, from a source that is down at the first attempt."""
    if not is_reachable:
        # The next attempt begins with these arguments.
        cf.checkpoint(city, is_reachable=True)
        raise ConnectionError(f"the almanac does not answer for {city}")
    return city, {"Seattle": 16.0, "New York": 15.1}[city]


@cf.task()
def compare(climates: list[cf.Execution[dict[str, Any]]]) -> dict[str, Any]:
    """Which city is wetter, and in which way."""
    found = [each.result() for each in climates]
    return {
        "most_rain": max(found, key=lambda c: c["rain_per_year"])["city"],
        "most_wet_days": max(found, key=lambda c: c["wet_days_per_year"])["city"],
        "cities": {
            c["city"]: {name: c[name] for name in ("rain_per_year", "wet_days_per_year", "hottest")}
            for c in found
        },
    }


@cf.task()
def draw(climates: list[cf.Execution[dict[str, Any]]]) -> cf.Asset:
    """A chart of the mean highest temperature and the rain of each month."""
    from coflux.cli.demo.chart import svg

    path = Path("climate.svg")
    path.write_text(svg([each.result() for each in climates], MONTHS), encoding="utf-8")
    return cf.persist_asset(path, name="chart")


@cf.task()
def tabulate(climates: list[cf.Execution[dict[str, Any]]]) -> cf.Asset:
    """A table for each city."""
    folder = Path("tables")
    folder.mkdir()
    for each in climates:
        found = each.result()
        name = found["city"].lower().replace(" ", "-")
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("month", "high", "low", "rain"))
            for month, values in found["months"].items():
                writer.writerow((MONTHS[month - 1], values["high"], values["low"], values["rain"]))
    return cf.persist_asset(folder, name="tables")


def _named(day: Day) -> dict[str, Any]:
    return {"date": day["date"], "high": day["high"]}
