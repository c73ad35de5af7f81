"""`coflux slots`: named limits on what runs at a time, or starts in a period. Nothing else."""

from __future__ import annotations

import click

from coflux.cli.options import Duration, Invocation, common
from coflux.cli.output import duration, emit, table


@click.group()
def slots() -> None:
    """Show and define named slots and rate limits."""


@slots.command("list")
@common
def list_(call: Invocation) -> None:
    """List the slots of the environment and who holds them."""
    found = call.client.slots.list()
    if call.as_json:
        emit(found)
        return
    rows = (
        (s["name"], _of(s["in_use"], s.get("limit")), _rate(s), s["scope"], s["ready"],
         s["holders"])
        for s in found
    )  # fmt: skip
    columns = ("slot", "in use", "rate", "defined", "waiting", "holders")
    table(columns, rows, "No slot is defined or used.")


@slots.command("set")
@click.argument("name")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Units in use at a time.")
@click.option("--rate", metavar="N/TIME", help="Starts in a period: 100/1m.")
@click.option("--everywhere", is_flag=True, help="For the project, not one environment.")
@common
def set_(
    call: Invocation, name: str, limit: int | None, rate: str | None, everywhere: bool
) -> None:
    """Define the slot NAME in the environment."""
    if limit is None and rate is None:
        raise click.UsageError("Give --limit, --rate or both.")
    count, period_ms = _read_rate(rate) if rate is not None else (None, None)
    call.client.slots.set(name, limit, rate=count, period_ms=period_ms, everywhere=everywhere)
    _report(call, name, "defined")


@slots.command()
@click.argument("name")
@click.option("--everywhere", is_flag=True, help="The project's definition.")
@common
def remove(call: Invocation, name: str, everywhere: bool) -> None:
    """Remove the definition of the slot NAME; without one, one unit is there."""
    call.client.slots.remove(name, everywhere=everywhere)
    _report(call, name, "removed")


def _read_rate(text: str) -> tuple[int, int]:
    count, separator, period = text.partition("/")
    if not separator or not count.isdigit():
        raise click.UsageError(f"{text!r} is no rate; write N/TIME, such as 100/1m.")
    if period and not period[0].isdigit():
        period = f"1{period}"
    return int(count), Duration().convert(period, None, None)


def _of(used: int, limit: int | None) -> str:
    return str(used) if limit is None else f"{used} of {limit}"


def _rate(slot: dict[str, int | None]) -> str | None:
    rate, period_ms = slot.get("rate"), slot.get("period_ms")
    return f"{rate} in {duration(period_ms)}" if rate and period_ms else None


def _report(call: Invocation, name: str, done: str) -> None:
    if call.as_json:
        emit({"slot": name})
    else:
        click.echo(f"{done} slot {name}")
