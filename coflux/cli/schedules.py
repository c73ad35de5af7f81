"""`coflux schedules`: runs started by the calendar. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import Invocation, TakesArguments, common, read_arguments
from coflux.cli.output import emit, moment, status, table

CATCH_UP = click.Choice(["none", "latest", "all"])
OVERLAP = click.Choice(["skip", "queue", "allow"])


@click.group()
def schedules() -> None:
    """Start runs by the calendar."""


@schedules.command("list")
@common
def list_(call: Invocation) -> None:
    """List the schedules of the environment."""
    found = call.client.schedules.list()
    if call.as_json:
        emit(found)
        return
    rows = (
        (s["name"], s["target"], s["cron"], s["zone"], status(s["state"]),
         moment(s["next"][0] if s.get("next") else None), s.get("problem"))
        for s in found
    )  # fmt: skip
    columns = ("schedule", "target", "cron", "zone", "state", "next (local time)", "problem")
    table(columns, rows, "There is no schedule.")


@schedules.command()
@click.argument("name")
@common
def inspect(call: Invocation, name: str) -> None:
    """Show the schedule NAME, and what its newest instants have come to."""
    found = call.client.schedules.get(name)
    if call.as_json:
        emit(found)
        return
    _print(found)
    rows = ((moment(h["instant"]), h.get("run"), h.get("reason")) for h in found["history"])
    table(("instant (local time)", "run", "why not"), rows, "It has not been due yet.")


@schedules.command(cls=TakesArguments)
@click.argument("name")
@click.argument("target", metavar="REPOSITORY/TARGET")
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--cron", required=True, metavar="EXPR",
    help="Minute, hour, day of month, month, weekday: '30 6 * * MON-FRI'.",
)  # fmt: skip
@click.option("--zone", default="UTC", metavar="ZONE", help="Time zone; UTC if not given.")
@click.option(
    "--catch-up", type=CATCH_UP, default="none",
    help="Which instants missed while the server was away still start a run.",
)  # fmt: skip
@click.option(
    "--overlap", type=OVERLAP, default="skip",
    help="What an instant does while the previous run is not finished.",
)  # fmt: skip
@click.option("--paused", is_flag=True, help="Start nothing until it is resumed.")
@common
def create(
    call: Invocation,
    name: str,
    target: str,
    arguments: tuple[str, ...],
    cron: str,
    zone: str,
    catch_up: str,
    overlap: str,
    paused: bool,
) -> None:
    """Create the schedule NAME, which starts REPOSITORY/TARGET.

    Each ARG is JSON, or a string where it is not JSON; `name=ARG` binds by name. After `--` nothing
    is an option.
    """
    positional, named = read_arguments(arguments)
    found = call.client.schedules.create(
        name, target, positional, named, cron=cron, zone=zone, catch_up=catch_up, overlap=overlap,
        paused=paused,
    )  # fmt: skip
    _report(call, found, "created")


@schedules.command()
@click.argument("name")
@click.option("--cron", metavar="EXPR", help="New rule.")
@click.option("--zone", metavar="ZONE", help="New time zone.")
@click.option("--catch-up", type=CATCH_UP, help="New policy for missed instants.")
@click.option("--overlap", type=OVERLAP, help="New policy for overlapping runs.")
@click.option(
    "--argument", "arguments", multiple=True, metavar="ARG",
    help="New arguments, all of them (repeatable): JSON or text, name=ARG by name.",
)  # fmt: skip
@common
def update(call: Invocation, name: str, arguments: tuple[str, ...], **given: str | None) -> None:
    """Change the schedule NAME; what is not given stays as it is."""
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if arguments:
        positional, named = read_arguments(arguments)
        changes["arguments"], changes["keyword_arguments"] = list(positional), named
    if not changes:
        raise click.UsageError("There is nothing to change; give --cron, --zone or another option.")
    _report(call, call.client.schedules.update(name, **changes), "updated")


@schedules.command()
@click.argument("name")
@common
def pause(call: Invocation, name: str) -> None:
    """Start nothing by the schedule NAME; what comes meanwhile is dropped."""
    _report(call, call.client.schedules.pause(name), "paused")


@schedules.command()
@click.argument("name")
@common
def resume(call: Invocation, name: str) -> None:
    """Start runs by the schedule NAME again."""
    _report(call, call.client.schedules.resume(name), "resumed")


@schedules.command()
@click.argument("name")
@common
def delete(call: Invocation, name: str) -> None:
    """End the schedule NAME; its runs stay."""
    call.client.schedules.delete(name)
    if call.as_json:
        emit({"schedule": name})
    else:
        click.echo(f"deleted schedule {name}")


def _report(call: Invocation, found: dict[str, Any], done: str) -> None:
    if call.as_json:
        emit(found)
        return
    coming = f", next {moment(found['next'][0])}" if found.get("next") else ""
    click.echo(f"{done} schedule {found['name']} ({found['id']}{coming})")


def _print(found: dict[str, Any]) -> None:
    arguments = ", ".join(f"{name}={text}" for name, text in found["arguments"].items())
    lines = [
        ("schedule", f"{found['name']} ({found['id']}), {found['state']}"),
        ("starts", f"{found['target']}({arguments}) in {found['environment']}"),
        ("when", f"{found['cron']} in {found['zone']}"),
        ("missed", f"catch-up {found['catch_up']}"),
        ("overlap", found["overlap"]),
        ("declared", "in code" if found.get("declared") else f"by {found['created_by']}"),
        ("next", ", ".join(moment(at) for at in found.get("next", ())) or "never"),
    ]
    for name, text in lines:
        click.echo(f"{name:9} {text}")
