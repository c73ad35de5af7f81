"""`coflux logs`: what an execution printed and logged. Nothing else belongs here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import clean, emit

if TYPE_CHECKING:
    from coflux.client import Client

_COLOURS = {"error": "red", "stderr": "yellow", "warning": "yellow", "debug": "bright_black"}
_FOLLOW_S = 5.0


@click.command()
@click.argument("id", metavar="RUN[:STEP[:ATTEMPT]]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--level", type=click.Choice(["debug", "stdout", "info", "stderr", "warning", "error"]),
    help="Only entries of this level.",
)  # fmt: skip
@common
def logs(call: Invocation, id: str, follow: bool, level: str | None) -> int:
    """Show what a run, step or execution logged, oldest first."""
    try:
        for entry in _entries(call.client, id, level, follow):
            if call.as_json:
                emit(entry)
            else:
                click.echo(_line(entry))
    except KeyboardInterrupt:
        return 130
    return 0


def _entries(client: Client, id: str, level: str | None, follow: bool) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        # Asked before the page, so that what was logged until the end is on it.
        is_over = not follow or client.outcome(id).kind is not None
        page, cursor = client.logs(
            id, after=cursor, level=level, wait_s=0.0 if is_over else _FOLLOW_S
        )
        yield from page
        if is_over and not page:
            return


def _line(entry: dict[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(entry["at"] / 1000))
    level = entry["level"]
    place = click.style(f"{at}.{entry['at'] % 1000:03d} {entry['execution']}", dim=True)
    text = clean(entry["text"])
    colour = _COLOURS.get(level)
    return f"{place} {level:<7} {click.style(text, fg=colour) if colour else text}"
