"""`coflux cache`: why a lookup hit or missed, and forgetting entries. Nothing else belongs here."""

from __future__ import annotations

import json
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import clean, emit


@click.group()
def cache() -> None:
    """Explain cache lookups, and forget entries."""


@cache.command()
@click.argument("id", metavar="RUN:STEP[:ATTEMPT]")
@common
def explain(call: Invocation, id: str) -> None:
    """Tell why a step took an earlier outcome, or why it did not."""
    explanation = call.client.explain_cache(id)
    if call.as_json:
        emit(explanation)
        return
    for line in _lines(explanation):
        click.echo(clean(line))


@cache.command()
@click.argument("target", metavar="REPOSITORY/TARGET", required=False)
@click.option("--execution", metavar="RUN:STEP:ATTEMPT", help="Forget this one's outcome only.")
@common
def forget(call: Invocation, target: str | None, execution: str | None) -> None:
    """Make the cache entries of a target unusable from now on; runs stay as they are."""
    if (target is None) == (execution is None):
        raise click.UsageError("Give either REPOSITORY/TARGET or --execution RUN:STEP:ATTEMPT.")
    forgotten = call.client.forget_cache(target=target, execution=execution)
    if call.as_json:
        emit({"forgotten": forgotten})
    else:
        entries = "1 entry" if len(forgotten) == 1 else f"{len(forgotten)} entries"
        click.echo(f"forgot {entries} of {target or execution} in the cache")


def _lines(explanation: Any) -> list[str]:
    if not isinstance(explanation, dict):
        return [str(explanation) if explanation else "This step has no cache option."]
    head = explanation.get("text") or explanation.get("kind") or explanation.get("outcome") or ""
    rest = {k: v for k, v in explanation.items() if k not in ("text",) and v not in (None, "", [])}
    return [str(head), *(f"  {k}: {_plain(v)}" for k, v in rest.items())]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
