"""`coflux hooks`: who is told how runs ended. Nothing else belongs here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, moment, table

_OUTCOMES = click.Choice(["succeeded", "failed", "cancelled"])


@click.group()
def hooks() -> None:
    """Manage hooks: commands, requests and messages when runs end."""


@hooks.command("list")
@common
def list_(call: Invocation) -> None:
    """List the environment's hooks."""
    found = call.client.hooks.list()
    if call.as_json:
        emit(found)
        return
    rows = (
        (h["name"], h["kind"], "on" if h["enabled"] else "off", h["outcomes"], h.get("target"),
         shlex.join(h["command"]) or h["url"])
        for h in found
    )  # fmt: skip
    columns = ("hook", "kind", "state", "outcomes", "target", "what")
    table(columns, rows, "There is no hook in this environment.")


@hooks.command()
@click.argument("name")
@click.option("--command", metavar="COMMAND", help="Run this on the server's machine.")
@click.option("--webhook", metavar="URL", help="Send a POST request there.")
@click.option("--apprise", metavar="URL", help="Send a message by apprise (e-mail, chat, …).")
@click.option("--on", "outcomes", type=_OUTCOMES, multiple=True,
              help="Of runs that end so (repeatable; default: failed).")  # fmt: skip
@click.option("--target", metavar="TARGET", help="Only of REPOSITORY/TARGET, or of a REPOSITORY.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE",
              help="Header of the request (repeatable).")  # fmt: skip
@common
def create(
    call: Invocation,
    name: str,
    command: str | None,
    webhook: str | None,
    apprise: str | None,
    outcomes: tuple[str, ...],
    target: str | None,
    headers: tuple[str, ...],
) -> None:
    """Create the hook NAME, of one kind.

    A URL or header value that is @FILE is read from FILE, so that a secret in it is on no command
    line. The message is a JSON object, which a command reads from its standard input.
    """
    if sum(each is not None for each in (command, webhook, apprise)) != 1:
        raise click.UsageError("Give one of --command, --webhook and --apprise.")
    created = call.client.hooks.create(
        name,
        command=shlex.split(command) if command is not None else (),
        webhook=_content(webhook),
        apprise=_content(apprise),
        outcomes=outcomes or ("failed",),
        target=target,
        headers={key: _content(value) or "" for key, value in map(_pair, headers)},
    )
    _report(call, created, f"created hook {name} in {created['environment']}")


@hooks.command()
@click.argument("name")
@common
def enable(call: Invocation, name: str) -> None:
    """Tell the hook NAME again."""
    _report(call, call.client.hooks.enable(name), f"enabled hook {name}")


@hooks.command()
@click.argument("name")
@common
def disable(call: Invocation, name: str) -> None:
    """Tell the hook NAME no more."""
    _report(call, call.client.hooks.disable(name), f"disabled hook {name}")


@hooks.command()
@click.argument("name")
@common
def test(call: Invocation, name: str) -> None:
    """Tell the hook NAME of a run that there is not, and say whether it worked."""
    call.client.hooks.test(name)
    _report(call, {"ok": True}, f"hook {name} was told")


@hooks.command()
@click.argument("name")
@common
def delete(call: Invocation, name: str) -> None:
    """Delete the hook NAME, with what it is owed."""
    call.client.hooks.delete(name)
    _report(call, {"deleted": name}, f"deleted hook {name}")


@hooks.command()
@click.argument("name")
@common
def deliveries(call: Invocation, name: str) -> None:
    """Show what the hook NAME was told and is owed, the newest first."""
    found = call.client.hooks.deliveries(name)
    if call.as_json:
        emit(found)
        return
    rows = (
        (d["run"], d["status"], d["state"], d["attempts"], moment(d.get("next_at")), d.get("error"))
        for d in found
    )
    columns = ("run", "status", "state", "attempts", "next", "last problem")
    table(columns, rows, "It has been told nothing yet.")


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.UsageError(f"--header {text!r} is no pair; write NAME=VALUE.")
    return name, value


def _content(text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{text}: {error}.") from error


def _report(call: Invocation, body: dict[str, Any], text: str) -> None:
    if call.as_json:
        emit(body)
    else:
        click.echo(text)
