"""`coflux register` and `coflux manifests`: which targets may be submitted by name.

Belongs here: registering repositories and looking at what is registered. Does not belong here:
finding targets in a repository, which is the agent's.
"""

from __future__ import annotations

import difflib
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import clean, emit, table
from coflux.errors import NotFound


@click.command()
@click.argument("repositories", metavar="REPOSITORY...", nargs=-1, required=True)
@common
def register(call: Invocation, repositories: tuple[str, ...]) -> None:
    """Register the workflows and sensors of repositories in the environment.

    A REPOSITORY is a dotted module, or a path to a .py file.
    """
    from coflux.cli.repositories import load_manifests

    found = load_manifests(repositories)
    answer = call.client.register(found)
    if call.as_json:
        emit(answer)
        return
    for name, targets in found.items():
        names = ", ".join(target.name for target in targets) or "nothing (now archived)"
        click.echo(f"registered {name} in {call.config.environment}: {names}")


@click.group()
def manifests() -> None:
    """Show and archive registered repositories."""


@manifests.command("list")
@common
def list_(call: Invocation) -> None:
    """List the registered repositories with their targets."""
    found = call.client.manifests()
    if call.as_json:
        emit(found)
        return
    rows = (
        (f"{repository}/{target['name']}", target.get("type", "task"), signature(target),
         str(target.get("doc", "")).partition("\n")[0])
        for repository, manifest in sorted(found.items())
        for target in manifest.get("targets", ())
    )  # fmt: skip
    empty = "Nothing is registered here; `coflux register REPOSITORY` does it."
    table(("target", "type", "parameters", "about"), rows, empty)


@manifests.command()
@click.argument("repository")
@common
def inspect(call: Invocation, repository: str) -> None:
    """Show the targets of REPOSITORY with their parameters and options."""
    found = call.client.manifests()
    if repository not in found:
        nearest = difflib.get_close_matches(repository, found, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
        raise NotFound(f"{repository} is not registered in this environment{hint}")
    if call.as_json:
        emit(found[repository])
        return
    for target in found[repository].get("targets", ()):
        click.echo(f"{target.get('type', 'task')} {target['name']}({signature(target)})")
        for line in str(target.get("doc", "")).splitlines():
            click.echo(f"    {clean(line)}")
        for name, value in target.get("options", {}).items():
            click.echo(f"    {name}: {value}")


@manifests.command()
@click.argument("repository")
@common
def archive(call: Invocation, repository: str) -> None:
    """Hide the targets of REPOSITORY until it is registered again; running work goes on."""
    call.client.archive_manifest(repository)
    if call.as_json:
        emit({"archived": repository})
    else:
        click.echo(f"archived {repository}")


def signature(target: dict[str, Any]) -> str:
    """The parameters of a definition, as Python writes them."""
    return ", ".join(map(_parameter, target.get("parameters", ())))


def _parameter(parameter: dict[str, Any]) -> str:
    stars = {"args": "*", "kwargs": "**"}.get(parameter.get("kind", "normal"), "")
    annotation = f": {parameter['annotation']}" if parameter.get("annotation") else ""
    default = parameter.get("default")
    given = f" = {default.get('preview', '…')}" if default else ""
    return f"{stars}{parameter['name']}{annotation}{given}"
