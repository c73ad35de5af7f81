"""`coflux configure`: write coflux.toml. Nothing else belongs here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit


@click.command()
@common
def configure(call: Invocation) -> None:
    """Write coflux.toml in the working directory.

    Writes the common options that are given; without any, asks for each on a terminal.
    """
    from coflux import config

    given = {name: value for name, value in call.flags.items() if value is not None}
    settings = given or _ask(call)
    if "host" in settings:
        settings["host"] = config.address(settings["host"])
    path = Path(config.FILE_NAME)
    config.write_file(path, settings)
    if call.as_json:
        emit({"path": str(path), "settings": sorted(settings)})
        return
    click.echo(f"wrote {', '.join(sorted(settings))} to {path}")
    if "token" in settings:
        click.echo("It holds a token now, readable by you alone; keep it out of version control.")


def _ask(call: Invocation) -> dict[str, str]:
    if call.as_json or not sys.stdin.isatty():
        raise click.UsageError(
            "There is nobody to ask; give what to write: --host, --project, --environment, --token."
        )
    settings = {
        "host": click.prompt("Server", default=call.config.host),
        "project": click.prompt("Project", default=call.config.project),
        "environment": click.prompt("Environment", default=call.config.environment),
    }
    token = click.prompt("Token (empty: none)", default="", hide_input=True, show_default=False)
    return {**settings, "token": token} if token else settings
