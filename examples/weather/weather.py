"""What four years of weather in Seattle and New York were like: a project of one file."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

import coflux as cf

DATA = Path(__file__).with_name("weather.csv")
Day = dict[str, Any]


@cf.workflow()
def report(
    cities: tuple[str, ...] = ("Seattle", "New York"),
    years: tuple[int, ...] = (2012, 2013, 2014, 2015),
) -> dict[str, Any]:
    """Compare the climates of cities, from daily observations."""
    climates = []
    for city in cities:
        with cf.group(city):
            summaries = [summarise.submit(observations.submit(city, y), y) for y in years]
            climates.append(climate.submit(city, summaries))
    found = [each.result() for each in climates]
    tabulate(found)
    return {each["city"]: each for each in found}


@cf.task(cache=True)
def observations(city: str, year: int) -> list[Day]:
    """The days of a year."""
    with DATA.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["location"] == city]
    return [
        {
            "date": row["date"],
            "rain": float(row["precipitation"]),
            "high": float(row["temp_max"]),
            "weather": row["weather"],
        }
        for row in rows
        if row["date"].startswith(str(year))
    ]


@cf.task()
def summarise(days: cf.Execution[list[Day]], year: int) -> dict[str, Any]:
    """A year in numbers."""
    found = days.result()
    snow = [day["high"] for day in found if day["weather"] == "snow"]
    cf.log_info("{year}: {days} days, {snow} with snow", year=year, days=len(found), snow=len(snow))
    return {
        "year": year,
        "rain": round(sum(day["rain"] for day in found), 1),
        "hottest": max(day["high"] for day in found),
        "on_snow_days": statistics.fmean(snow),
    }


@cf.task()
def climate(city: str, years: list[cf.Execution[dict[str, Any]]]) -> dict[str, Any]:
    """The years of a city taken together."""
    found = [year.result() for year in years]
    snow = [year["on_snow_days"] for year in found if year["on_snow_days"] is not None]
    return {
        "city": city,
        "rain_per_year": round(statistics.fmean(year["rain"] for year in found), 1),
        "hottest": max(year["hottest"] for year in found),
        "on_snow_days": round(statistics.fmean(snow), 1) if snow else None,
    }


@cf.task()
def tabulate(climates: list[dict[str, Any]]) -> cf.Asset:
    """A table with a line for each city."""
    path = Path("climates.csv")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(climates[0]))
        writer.writeheader()
        writer.writerows(climates)
    return cf.persist_asset(path, name="climates")
