"""`coflux blobs`: bytes by their SHA-256. Nothing else belongs here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit

_CHUNK = 1024 * 1024


@click.group()
def blobs() -> None:
    """Fetch and store blobs."""


@blobs.command()
@click.argument("sha256")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE.")
@common
def get(call: Invocation, sha256: str, to: Path | None) -> None:
    """Write the blob SHA256 to stdout, or to a new file."""
    if to is not None and to.exists():
        raise click.UsageError(f"{to} exists already; name another file.")
    pieces = call.client.fetch_blob(sha256)
    if to is None:
        _copy(pieces, click.get_binary_stream("stdout"))
        return
    written = call.client.save_blob(sha256, to)
    if call.as_json:
        emit({"blob": sha256, "path": str(to), "size": written})


@blobs.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common
def put(call: Invocation, file: Path) -> None:
    """Store the content of FILE and print its SHA-256."""
    key = call.client.store_blob(file)
    if call.as_json:
        emit({"blob": key, "size": file.stat().st_size})
    else:
        click.echo(key)


def _copy(pieces: Iterator[bytes], out: BinaryIO) -> None:
    for piece in pieces:
        out.write(piece)
