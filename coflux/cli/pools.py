"""`coflux pools`: agents that the server starts on demand.

Belongs here: the commands. Does not belong here: the files of export and import (`pool_files`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coflux.cli.options import Invocation, common, read_tags
from coflux.cli.output import emit, moment, note, status, table

_KEPT = click.Choice(["process", "docker", "kubernetes"])


def _fields(function: Any) -> Any:
    """The options that create and update share."""
    for option in reversed(
        (
            click.option("--repository", "repositories", multiple=True, metavar="R",
                         help="Repository to serve: module, or package.* (repeatable)."),
            click.option("--launcher", type=_KEPT, help="How agents are started."),
            click.option("--min", "least", type=click.IntRange(0), metavar="N",
                         help="Agents that are always there."),
            click.option("--max", "most", type=click.IntRange(1), metavar="N",
                         help="Agents at most."),
            click.option("--concurrency", type=click.IntRange(1), metavar="N",
                         help="Executions of one agent at once."),
            click.option("--provides", multiple=True, metavar="K:V",
                         help="Tag that executions may require (repeatable)."),
            click.option("--accepts", multiple=True, metavar="K:V",
                         help="Tag that executions must require (repeatable)."),
            click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
                         help="Setting of the launcher, such as image=… (repeatable)."),
            click.option("--env", "variables", multiple=True, metavar="NAME=VALUE",
                         help="Variable of its agents (repeatable)."),
            click.option("--secret", "secrets", multiple=True, metavar="NAME=FILE",
                         help="Variable whose value is in FILE and never shown (repeatable)."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.group()
def pools() -> None:
    """Manage pools: agents that are started when work waits for them."""


@pools.command("list")
@common
def list_(call: Invocation) -> None:
    """List the environment's pools."""
    found = call.client.pools.list()
    if call.as_json:
        emit(found)
        return
    rows = (
        (p["name"], status(p["state"]), p["launcher"], p["repositories"],
         f"{len(p['launches'])} of {p['min']}..{p['max']}", p.get("error"))
        for p in found
    )  # fmt: skip
    columns = ("name", "state", "launcher", "repositories", "agents", "last failure")
    table(columns, rows, "There is no pool in this environment.")


@pools.command()
@click.argument("name")
@common
def inspect(call: Invocation, name: str) -> None:
    """Show the pool NAME with its agents and its last failure."""
    pool = call.client.pools.get(name)
    if call.as_json:
        emit(pool)
        return
    for key in ("name", "id", "state", "launcher", "repositories", "min", "max", "concurrency"):
        value = pool[key]
        click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    for key in ("settings", "provides", "accepts", "env", "secrets"):
        for name_, value in pool[key].items():
            shown = ",".join(value) if isinstance(value, list) else value
            click.echo(f"{key} {name_}: {shown}")
    if pool.get("error"):
        click.echo(f"last failure: {pool['error']}")
        for line in pool["lines"]:
            click.echo(f"    {line}")
        if pool.get("retry_at"):
            click.echo(f"next try: {moment(pool['retry_at'])}")
    rows = (
        (each["launch"], each["status"], each.get("session"), moment(each["created_at"]))
        for each in pool["launches"]
    )
    table(("launch", "status", "session", "started"), rows, "It has no agent at the moment.")


@pools.command()
@click.argument("name")
@_fields
@common
def create(call: Invocation, name: str, **options: Any) -> None:
    """Create the pool NAME."""
    if not options["repositories"]:
        raise click.UsageError("Say what its agents serve: --repository MODULE or PACKAGE.*.")
    _report(call, call.client.pools.create(name, **_given(options)), "created")


@pools.command()
@click.argument("name")
@_fields
@click.option("--no-secret", "gone", multiple=True, metavar="NAME", help="Remove a secret.")
@common
def update(call: Invocation, name: str, gone: tuple[str, ...], **options: Any) -> None:
    """Change the pool NAME; what is not given stays. Its agents are replaced."""
    fields = _given(options)
    if gone:
        fields["secrets"] = {**fields.get("secrets", {}), **dict.fromkeys(gone)}
    if not fields:
        raise click.UsageError("There is nothing to change; see --help.")
    _report(call, call.client.pools.update(name, **fields), "updated")


@pools.command()
@click.argument("name")
@common
def enable(call: Invocation, name: str) -> None:
    """Let the pool NAME start agents again."""
    _report(call, call.client.pools.enable(name), "enabled")


@pools.command()
@click.argument("name")
@common
def disable(call: Invocation, name: str) -> None:
    """Start no more agents of the pool NAME, and drain those that run."""
    _report(call, call.client.pools.disable(name), "disabled")


@pools.command()
@click.argument("name")
@common
def delete(call: Invocation, name: str) -> None:
    """Delete the pool NAME and drain its agents."""
    call.client.pools.delete(name)
    if call.as_json:
        emit({"deleted": name})
    else:
        click.echo(f"deleted pool {name}")


@pools.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@common
def export(call: Invocation, names: tuple[str, ...]) -> None:
    """Write the environment's pools, or these, as TOML to stdout; secrets without their values."""
    from coflux.cli.pool_files import to_toml

    found = [call.client.pools.get(name) for name in names] or call.client.pools.list()
    if call.as_json:
        emit(found)
    else:
        click.echo(to_toml(found), nl=False)


@pools.command("import")
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--only", "names", multiple=True, metavar="NAME",
              help="Leave pools of other names alone (repeatable).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--force", is_flag=True, help="Also where pools were changed since the export.")
@common
def import_(
    call: Invocation, file: Path, names: tuple[str, ...], dry_run: bool, force: bool
) -> None:
    """Make the environment's pools those of FILE: create, update and delete what differs."""
    from coflux.cli.pool_files import read_toml

    steps = call.client.pools.replace(
        read_toml(file), names=names or None, dry_run=dry_run, force=force
    )
    if call.as_json:
        emit(steps)
        return
    rows = ((s["action"], s["name"], s.get("fields")) for s in steps)
    table(("action", "pool", "fields"), rows, "There is nothing to do.")
    if dry_run:
        note("Nothing was done; leave out --dry-run.")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of options that were given."""
    read: dict[str, Any] = {
        "repositories": options["repositories"],
        "launcher": options["launcher"],
        "min": options["least"],
        "max": options["most"],
        "concurrency": options["concurrency"],
        "provides": read_tags(options["provides"]),
        "accepts": read_tags(options["accepts"]),
        "settings": _pairs(options["settings"], "--set"),
        "env": _pairs(options["variables"], "--env"),
        "secrets": _contents(_pairs(options["secrets"], "--secret")),
    }
    return {name: value for name, value in read.items() if value not in (None, (), {})}


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.UsageError(f"{option} {text!r} is no pair; write NAME=VALUE.")
        pairs[name] = value
    return pairs


def _contents(files: dict[str, str]) -> dict[str, str]:
    values = {}
    for name, file in files.items():
        try:
            values[name] = Path(file).read_text("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--secret {name}: {error}.") from error
    return values


def _report(call: Invocation, pool: dict[str, Any], done: str) -> None:
    if call.as_json:
        emit(pool)
    else:
        click.echo(f"{done} pool {pool['name']} ({pool['id']}) in {pool['environment']}")
