"""`coflux env`: the environments of the project. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import Duration, Invocation, Size, common
from coflux.cli.output import duration, emit, size, status, table


@click.group()
def env() -> None:
    """Manage the environments of the project."""


@env.command("list")
@click.option("--all", "everything", is_flag=True, help="Show archived ones as well.")
@common
def list_(call: Invocation, everything: bool) -> None:
    """List the environments."""
    found = call.client.environments.list()
    if not everything:
        found = [info for info in found if info["state"] != "archived"]
    if call.as_json:
        emit(found)
        return
    rows = ((e["name"], e.get("base"), status(e["state"]), e["id"]) for e in found)
    table(("name", "base", "state", "id"), rows, "There is no environment that you may see.")


@env.command()
@click.argument("name")
@click.option("--base", metavar="NAME", help="Environment to inherit from.")
@common
def create(call: Invocation, name: str, base: str | None) -> None:
    """Create the environment NAME."""
    _report(call, call.client.environments.create(name, base), "created")


@env.command()
@click.argument("name")
@click.option("--name", "new_name", metavar="NAME", help="New name.")
@click.option("--base", metavar="NAME", help="New environment to inherit from.")
@click.option("--no-base", is_flag=True, help="Inherit from nothing.")
@common
def update(
    call: Invocation, name: str, new_name: str | None, base: str | None, no_base: bool
) -> None:
    """Rename the environment NAME or change its base."""
    if base is not None and no_base:
        raise click.UsageError("--base and --no-base exclude each other.")
    changes: dict[str, Any] = {}
    if new_name is not None:
        changes["name"] = new_name
    if base is not None or no_base:
        changes["base"] = base
    if not changes:
        raise click.UsageError("There is nothing to change; give --name, --base or --no-base.")
    _report(call, call.client.environments.update(name, **changes), "updated")


@env.command()
@click.argument("name")
@common
def pause(call: Invocation, name: str) -> None:
    """Assign no more work in the environment NAME; what runs goes on."""
    _report(call, call.client.environments.pause(name), "paused")


@env.command()
@click.argument("name")
@common
def resume(call: Invocation, name: str) -> None:
    """Assign work in the environment NAME again."""
    _report(call, call.client.environments.resume(name), "resumed")


@env.command()
@click.argument("name")
@common
def archive(call: Invocation, name: str) -> None:
    """End the environment NAME for good: unfinished work is cancelled, past runs stay readable."""
    _report(call, call.client.environments.archive(name), "archived")


@env.command()
@click.argument("name")
@click.option(
    "--set", "given", multiple=True, metavar="SETTING=VALUE",
    help="Set a limit: a number, a time such as 10m or a size such as 5GB (repeatable).",
)  # fmt: skip
@click.option(
    "--reset", multiple=True, metavar="SETTING", help="Give a limit its default (repeatable)."
)
@common
def settings(
    call: Invocation, name: str, given: tuple[str, ...], reset: tuple[str, ...]
) -> None:  # fmt: skip
    """Show or change the limits of the environment NAME."""
    values: dict[str, int | None] = dict.fromkeys(reset)
    for text in given:
        setting, separator, value = text.partition("=")
        if not separator:
            raise click.UsageError(f"{text!r} sets nothing; write SETTING=VALUE.")
        values[setting] = _limit(setting, value)
    environments = call.client.environments
    found = environments.change_settings(name, values) if values else environments.settings(name)
    if call.as_json:
        emit(found)
        return
    rows = ((s["name"], _shown(s, "value"), _shown(s, "default"), s["summary"]) for s in found)
    table(("setting", "value", "default", "meaning"), rows, "There are no settings.")


def _limit(setting: str, text: str) -> int:
    if setting.endswith("_ms"):
        return Duration().convert(text, None, None)
    if setting.endswith("_bytes"):
        return Size().convert(text, None, None)
    if not text.isdigit():
        raise click.UsageError(f"{setting} is a whole number, not {text!r}.")
    return int(text)


def _shown(setting: dict[str, Any], field: str) -> str:
    value: int = setting[field]
    shown = {"ms": duration, "bytes": size}.get(setting["unit"], str) if value else str
    return shown(value)


def _report(call: Invocation, info: dict[str, Any], done: str) -> None:
    if call.as_json:
        emit(info)
        return
    base = f", based on {info['base']}" if info.get("base") else ""
    click.echo(f"{done} environment {info['name']} ({info['id']}{base})")
