"""`coflux queue`: what is queued, and why. Nothing else belongs here."""

from __future__ import annotations

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, table


@click.command()
@common
def queue(call: Invocation) -> None:
    """Show what is queued and why it is not running."""
    found = call.client.queue()
    if call.as_json:
        emit(found)
        return
    rows = ((q["execution"], q["target"], q["reason"]["code"], q["reason"]["text"]) for q in found)
    table(("execution", "target", "reason", "why"), rows, "Nothing is queued.")
