"""`coflux assets`: files that executions persisted. Nothing else belongs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, moment, size, table


@click.group()
def assets() -> None:
    """Show and download assets."""


@assets.command("list")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--name", metavar="TEXT", help="Only assets whose name or files' paths have TEXT.")
@click.option("--limit", type=click.IntRange(1, 1000), default=30, show_default=True, metavar="N",
              help="Show at most N.")  # fmt: skip
@click.option("--before", metavar="ASSET", help="Only assets older than ASSET.")
@common
def list_(
    call: Invocation, run: str | None, name: str | None, limit: int, before: str | None
) -> None:
    """List the assets of a run, or else the environment's, newest first."""
    if run is not None and (name is not None or before is not None):
        raise click.UsageError("--name and --before are for lists without RUN.")
    found = call.client.assets(run, name=name, limit=limit, before=before)
    if call.as_json:
        emit(found)
        return
    columns = ["asset", "name", "files", "size", "made by"]
    if run is not None:
        table(columns, map(_row, found), f"{run} has no assets.")
        return
    rows = ([*_row(a), a.get("target"), moment(a["created_at"])] for a in found)
    empty = "There is no such asset in this environment." if name or before else (
        "There is no asset in this environment.")  # fmt: skip
    table([*columns, "run of", "created"], rows, empty)


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


def _row(asset: dict[str, Any]) -> list[Any]:
    entries = asset["entries"]
    files = asset.get("files", len(entries))
    total = asset.get("size", sum(entry["size"] for entry in entries))
    return [asset["id"], _title(asset), files, size(total), asset.get("execution")]


def _title(asset: dict[str, Any]) -> str | None:
    """Its name, or where it was."""
    name = asset.get("name")
    if name or not asset.get("path") or asset["path"] == ".":
        return name
    return str(asset["path"])
