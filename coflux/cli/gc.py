"""`coflux gc`: remove now what nobody needs any more. Nothing else belongs here."""

from __future__ import annotations

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, size


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@common
def gc(call: Invocation, dry_run: bool) -> None:
    """Remove finished runs, logs and blobs that are past their time.

    The server does so by itself every hour; `coflux env settings` says how long what is kept.
    Pinned runs stay, and all that runs which are kept refer to.
    """
    import sys

    shown = sys.stderr.isatty() and not call.as_json
    found = None
    for found in call.client.collect(dry_run=dry_run):
        if shown and not found["done"]:
            click.echo(f"\r{_what(found)} so far ", err=True, nl=False)
    assert found is not None
    if shown:
        click.echo("\r\x1b[K", err=True, nl=False)
    if call.as_json:
        kept = ("project", "dry_run", "runs", "assets", "lines", "blobs", "bytes")
        told = {**found, "project": call.config.project}
        emit({name: told[name] for name in kept})
    else:
        click.echo(f"{'would remove' if dry_run else 'removed'} {_what(found)}")


def _what(found: dict[str, int]) -> str:
    words = (
        ("runs", "run", "runs"),
        ("assets", "asset", "assets"),
        ("lines", "line of logs or point of a metric", "lines of logs and points of metrics"),
        ("blobs", "blob", "blobs"),
    )
    parts = []
    for name, one, many in words:
        number = found[name]
        if number or name in ("runs", "blobs"):
            parts.append(f"{number:,} {one if number == 1 else many}")
    return f"{', '.join(parts)} ({size(found['bytes'])})"
