"""`coflux inputs`: questions to people. Nothing else belongs here."""

from __future__ import annotations

import json
from typing import Any

import click

from coflux.cli.options import Invocation, common, read_value
from coflux.cli.output import clean, emit, moment, table

#: Characters of a question in a list.
_WIDTH = 60


@click.group()
def inputs() -> None:
    """Show and answer questions that running code has asked."""


@inputs.command("list")
@click.option("--all", "is_all", is_flag=True, help="Also those that have ended.")
@click.option("--run", metavar="RUN", help="Only those of this run.")
@common
def list_(call: Invocation, is_all: bool, run: str | None) -> None:
    """List the questions that can be answered, newest first."""
    found = call.client.inputs.list(run=run, all=is_all)
    if call.as_json:
        emit(found)
        return
    rows = (
        (i["input"], i["state"], _line(i["title"] or i["message"]), i["target"], _waits(i),
         moment(i["created_at"]))
        for i in found
    )  # fmt: skip
    columns = ("input", "state", "question", "asked by", "awaited", "asked")
    table(columns, rows, "Nothing is asked." if is_all else "No question is open.")


@inputs.command()
@click.argument("id", metavar="INPUT")
@common
def inspect(call: Invocation, id: str) -> None:
    """Show a question, what an answer must look like, and what became of it."""
    found = call.client.inputs.get(id)
    if call.as_json:
        emit(found)
        return
    for text in (found["title"], found["message"]):
        if text:
            click.echo(clean(text))
    click.echo(f"\nasked by {found['execution']} ({found['target']}) in {found['environment']}")
    for label, part in (("schema", found["schema"]), ("requires", found["requires"])):
        if part:
            click.echo(f"{label}: {json.dumps(part, ensure_ascii=False)}")
    if found["has_initial"]:
        click.echo(f"initial: {json.dumps(found['initial'], ensure_ascii=False)}")
    click.echo(_ended(found))


@inputs.command()
@click.argument("id", metavar="INPUT")
@click.argument("answer", metavar="JSON")
@common
def respond(call: Invocation, id: str, answer: str) -> None:
    """Answer a question. What is not JSON is taken as a string.

    The answer must fit the schema of the question, if it has one; the first one counts.
    """
    _report(call, call.client.inputs.respond(id, read_value(answer)), f"answered {id}")


@inputs.command()
@click.argument("id", metavar="INPUT")
@common
def dismiss(call: Invocation, id: str) -> None:
    """Refuse to answer a question; the code that waits for it gets InputDismissed."""
    _report(call, call.client.inputs.dismiss(id), f"dismissed {id}")


def _report(call: Invocation, found: dict[str, Any], done: str) -> None:
    if call.as_json:
        emit(found)
    else:
        click.echo(done)


def _line(text: str) -> str:
    line = clean(" ".join(text.split()))
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _waits(row: dict[str, Any]) -> str:
    return "yes" if row["awaited"] else ""


def _ended(found: dict[str, Any]) -> str:
    if found["state"] == "open":
        return "open, and awaited" if found["awaited"] else "open"
    by = f" by {found['by']}" if found["by"] else ""
    why = f" ({found['cause']})" if found["cause"] else ""
    answer = json.dumps(found["answer"], ensure_ascii=False)
    rest = f": {answer}" if found["state"] == "answered" else ""
    return f"{found['state']}{by} at {moment(found['ended_at'])}{why}{rest}"
