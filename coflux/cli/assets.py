"""`coflux assets`: files that executions persisted. Nothing else belongs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, size, table


@click.group()
def assets() -> None:
    """Show and download assets."""


@assets.command("list")
@click.argument("run", metavar="RUN")
@common
def list_(call: Invocation, run: str) -> None:
    """List the assets of a run."""
    found = call.client.assets(run)
    if call.as_json:
        emit(found)
        return
    rows = (
        (a["id"], a.get("name"), len(a["entries"]), size(_total(a)), a.get("execution"))
        for a in found
    )
    columns = ("asset", "name", "files", "size", "made by")
    table(columns, rows, f"{run} has no assets.")


@assets.command()
@click.argument("id", metavar="ASSET")
@common
def inspect(call: Invocation, id: str) -> None:
    """Show the files of an asset."""
    found = call.client.asset(id)
    if call.as_json:
        emit(found)
        return
    rows = ((e["path"], size(e["size"]), e.get("media_type"), e["blob"]) for e in found["entries"])
    table(("path", "size", "type", "blob"), rows, f"{id} has no files.")


@assets.command()
@click.argument("id", metavar="ASSET")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              default=Path(), help="Where to write (default: here).")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@common
def download(call: Invocation, id: str, to: Path, overwrite: bool) -> None:
    """Write the files of an asset below a directory."""
    from coflux import assets as files

    client = call.client
    written = files.download(client.asset_manifest(id), to, client.blobs, overwrite)
    if call.as_json:
        emit({"asset": id, "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)


def _total(asset: dict[str, Any]) -> int:
    return sum(entry["size"] for entry in asset["entries"])
