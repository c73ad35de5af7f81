"""`coflux tokens`: access tokens of the project. Nothing else belongs here."""

from __future__ import annotations

import click

from coflux.cli.options import Duration, Invocation, common, read_tags
from coflux.cli.output import emit, moment, note, table


@click.group()
def tokens() -> None:
    """Manage access tokens."""


@tokens.command("list")
@common
def list_(call: Invocation) -> None:
    """List the tokens in force; their values are not kept anywhere."""
    found = call.client.tokens()
    if call.as_json:
        emit(found)
        return
    rows = (
        (t["id"], t["name"], t["right"], t["environment"], moment(t.get("created_at")),
         moment(t.get("expires_at")) or "never")
        for t in found
    )  # fmt: skip
    columns = ("id", "name", "right", "environment", "created", "expires")
    table(columns, rows, "There is no token.")


@tokens.command()
@click.option("--name", required=True, metavar="NAME", help="What the token is for.")
@click.option(
    "--right", required=True, type=click.Choice(["read", "run", "admin"]),
    help="What it allows; each right includes the ones before.",
)  # fmt: skip
@click.option(
    "--expires", type=Duration(), metavar="TIME", help="When it ends, from now: 12h, 90d."
)
@click.option("--tag", "tags", multiple=True, metavar="KEY:VALUE",
              help="It may answer questions that require this; repeat for more.")  # fmt: skip
@common
def create(
    call: Invocation, name: str, right: str, expires: int | None, tags: tuple[str, ...]
) -> None:
    """Create a token and show its value, this once.

    --environment limits it to a pattern of environments: a name, `prefix/*`, or `*` (the default).
    """
    pattern = call.flags["environment"] or "*"
    created = call.client.create_token(name, right, pattern, expires, read_tags(tags))
    if call.as_json:
        emit(created)
        return
    note(f"created token {created['id']}; its value is shown this once:")
    click.echo(created["token"])


@tokens.command()
@click.argument("id")
@common
def revoke(call: Invocation, id: str) -> None:
    """Revoke the token ID; it stops working at once."""
    call.client.revoke_token(id)
    if call.as_json:
        emit({"id": id, "revoked": True})
    else:
        click.echo(f"revoked token {id}")
