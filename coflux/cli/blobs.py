"""`coflux blobs`: bytes by their SHA-256. Nothing else belongs here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit


@click.group()
def blobs() -> None:
    """Fetch and store blobs."""


@blobs.command()
@click.argument("sha256")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE.")
@common
def get(call: Invocation, sha256: str, to: Path | None) -> None:
    """Write the blob SHA256 to stdout, or to a new file."""
    from coflux.blobs import copy

    if to is None:
        if call.as_json:
            raise click.UsageError("--json needs --to FILE; stdout has room for one of the two.")
        stdout = sys.stdout.buffer
        with call.client.blobs.open(sha256) as reader:
            copy(reader, stdout)
        return
    if to.exists():
        raise click.UsageError(f"{to} exists already; name another file.")
    call.client.blobs.fetch_to(sha256, to)
    if call.as_json:
        emit({"blob": sha256, "path": str(to), "size": to.stat().st_size})


@blobs.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common
def put(call: Invocation, file: Path) -> None:
    """Store the content of FILE and print its SHA-256."""
    key, size = call.client.blobs.put_file(file)
    if call.as_json:
        emit({"blob": key, "size": size})
    else:
        click.echo(key)
