"""`coflux agents`: who is connected. Nothing else belongs here."""

from __future__ import annotations

from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import clean, emit, table


@click.command()
@common
def agents(call: Invocation) -> None:
    """Show the agents and what they do."""
    found = call.client.agents()
    if call.as_json:
        emit(found)
        return
    rows = (
        (
            a["session"],
            _state(a),
            f"{_count(a.get('running'))}/{a['concurrency']}",
            ", ".join(_repositories(a.get("targets"))) or "any (generic)",
            _tags(a.get("provides")),
            _tags(a.get("accepts")),
        )
        for a in found
    )
    columns = ("session", "state", "running", "repositories", "provides", "accepts")
    empty = (
        f"No agent is connected to {call.config.environment};"
        f" start one with `coflux agent -e {call.config.environment} REPOSITORY`."
    )
    table(columns, rows, empty)
    for each in found:
        for repository, traceback in (each.get("failures") or {}).items():
            click.echo(f"\n{repository} cannot be imported by {each['session']}:")
            click.echo(click.style(clean(traceback.rstrip()), fg="red"))
        for text in remarks(each):
            click.echo(click.style(f"\n{each['session']}: {clean(text)}", fg="yellow"))


def remarks(agent: dict[str, Any]) -> list[str]:
    """What an agent says of how it runs things, one line each."""
    found: dict[str, list[str]] = agent.get("remarks") or {}
    return [f"{repository}: {text}" for repository, texts in found.items() for text in texts]


def _state(agent: dict[str, Any]) -> str:
    if not agent["connected"]:
        return "away"
    return "draining" if agent.get("draining") else "connected"


def _count(running: Any) -> int:
    return running if isinstance(running, int) else len(running or ())


def _repositories(targets: Any) -> list[str]:
    """Repositories of targets, which come as {repository: names} or as `repository/name`."""
    if isinstance(targets, dict):
        return sorted(targets)
    return sorted({str(target).partition("/")[0] for target in targets or ()})


def _tags(tags: Any) -> str:
    pairs = (tags or {}).items()
    return " ".join(
        f"{k}:{','.join(map(str, v)) if isinstance(v, list) else 'any'}" for k, v in pairs
    )
