"""`coflux backup` and `coflux restore`: a project as one file, and back.

Nothing else belongs here.
"""

from __future__ import annotations

from pathlib import Path

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, size


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common
def backup(call: Invocation, file: Path) -> None:
    """Write a consistent copy of the project, with its blobs, to a new FILE."""
    import sys

    written = 0
    shown = sys.stderr.isatty() and not call.as_json
    try:
        for written in call.client.backup(file):
            if shown:
                click.echo(f"\r{size(written)} ", err=True, nl=False)
    except FileExistsError:
        raise click.UsageError(f"{file} exists already; name another file.") from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}.") from error
    if shown:
        click.echo("\r", err=True, nl=False)
    if call.as_json:
        emit({"path": str(file), "size": written, "project": call.config.project})
    else:
        click.echo(f"wrote project {call.config.project} to {file} ({size(written)})")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True,
              metavar="DIR", help="Data directory of a server that is not running.")  # fmt: skip
@common
def restore(call: Invocation, file: Path, data_dir: Path) -> None:
    """Put the project of a backup into a data directory.

    It keeps its name unless --project gives another. A project that has data is not replaced.
    """
    from coflux.server.gateway import backup as backups
    from coflux.server.gateway import datadir

    folder = datadir.prepare(data_dir)
    lock = datadir.Lock(folder)
    try:
        name = backups.restore(file, folder, call.flags["project"])
    finally:
        lock.release()
    if call.as_json:
        emit({"project": name, "data_dir": str(data_dir)})
    else:
        click.echo(f"restored project {name}; start it with: coflux server --data-dir {data_dir}")
