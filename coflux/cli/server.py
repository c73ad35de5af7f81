"""`coflux server`: start the server. Nothing else belongs here."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coflux.cli.output import emit

if TYPE_CHECKING:
    from coflux.server.main import RunningServer


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on; 0.0.0.0 = all.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), metavar="N",
              help="Port to listen on (default 7777; 0 = any free one).")  # fmt: skip
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where everything is kept (default: COFLUX_DATA_DIR, or .coflux).")  # fmt: skip
@click.option("--base-url", default="/", show_default=True, metavar="/PREFIX/",
              help="Path that all addresses begin with, behind a proxy.")  # fmt: skip
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
              help="Name that clients may call the server by (repeatable; * = any).")  # fmt: skip
@click.option("--no-auth", is_flag=True, help="Ask for no token; on loopback addresses only.")
@click.option("--force", is_flag=True, help="Allow --no-auth on every address.")
@click.option("--exit-on-stdin-eof", is_flag=True, help="End when stdin does.")
@click.option("--verbose", is_flag=True, help="Log each request.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON only, once it is ready.")
def server(
    host: str,
    port: int | None,
    data_dir: Path | None,
    base_url: str,
    allowed_hosts: tuple[str, ...],
    no_auth: bool,
    force: bool,
    exit_on_stdin_eof: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Start the server; Ctrl-C ends it.

    Commands, notebooks and agents of the same user on this machine find it by themselves.
    """
    from coflux import config
    from coflux.server.main import DEFAULT_PORT, ServerConfig, serve

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("asyncio", "tornado.access", "peewee"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return serve(
        ServerConfig(
            host=host,
            port=DEFAULT_PORT if port is None else port,
            data_dir=config.resolve(data_dir=data_dir).data_dir,
            base_url=base_url,
            allowed_hosts=allowed_hosts,
            no_auth=no_auth,
            force=force,
            exit_on_stdin_eof=exit_on_stdin_eof,
            ready=_announce_json if as_json else _announce,
        )
    )


def _announce(running: RunningServer) -> None:
    click.echo(f"Coflux is ready at {running.url} (data in {running.data_dir})")
    # Only for eyes: what is not a terminal is a log, where tokens have no business (AU-5).
    if sys.stdout.isatty() and running.token:
        click.echo(f"Open {running.sign_in_url}")
    sys.stdout.flush()


def _announce_json(running: RunningServer) -> None:
    emit({"url": running.url, "pid": os.getpid(), "data_dir": str(running.data_dir)})
    sys.stdout.flush()
