"""`coflux projects`: the projects of the server. Nothing else belongs here."""

from __future__ import annotations

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, table


@click.group()
def projects() -> None:
    """Manage the projects of the server."""


@projects.command("list")
@common
def list_(call: Invocation) -> None:
    """List the projects that you may see."""
    found = call.client.projects()
    if call.as_json:
        emit(found)
        return
    rows = ((p["name"], p["state"], p.get("reason") or "") for p in found)
    table(("name", "process", "reason"), rows, "There is no project that you may see.")


@projects.command()
@click.argument("name")
@common
def create(call: Invocation, name: str) -> None:
    """Create the project NAME, with an environment `default`."""
    info = call.client.create_project(name)
    if call.as_json:
        emit(info)
    else:
        click.echo(f"created project {name}")
