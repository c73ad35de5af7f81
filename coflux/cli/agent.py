"""`coflux agent`: start an agent. Nothing else belongs here."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from coflux.cli.embedded import AGENT_READY
from coflux.cli.options import Duration, Invocation, common, read_tags
from coflux.cli.output import emit, note


@click.command()
@click.argument("repositories", metavar="[REPOSITORY]...", nargs=-1)
@click.option("--dev", is_flag=True, help="As --register --reload; creates the environment.")
@click.option("--reload", is_flag=True, help="Load the repositories again when their files change.")
@click.option("--register", is_flag=True, help="Register the workflows when they are loaded.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N",
              help="Executions at once (default: CPUs + 4, at most 32).")  # fmt: skip
@click.option("--isolation", type=click.Choice(["fork", "reuse", "spawn"]),
              help="fork: a fresh process for each execution; reuse: processes stay.")  # fmt: skip
@click.option("--provides", multiple=True, metavar="K:V",
              help="Tag that executions may require (repeatable).")  # fmt: skip
@click.option("--accepts", multiple=True, metavar="K:V",
              help="Tag that executions must require to be run here (repeatable).")  # fmt: skip
@click.option("--secret", "secrets", multiple=True, metavar="NAME=FILE",
              help="File with the content of a secret (repeatable).")  # fmt: skip
@click.option("--drain-timeout", type=Duration(), default="120s", show_default=True,
              metavar="TIME", help="How long what runs may take to end.")  # fmt: skip
@click.option("--give-up", type=Duration(), metavar="TIME",
              help="End when no server could be reached for so long.")  # fmt: skip
@click.option("--exit-on-stdin-eof", is_flag=True, help="End when stdin does.")
@common
def agent(
    call: Invocation,
    repositories: tuple[str, ...],
    dev: bool,
    reload: bool,
    register: bool,
    concurrency: int | None,
    isolation: str | None,
    provides: tuple[str, ...],
    accepts: tuple[str, ...],
    secrets: tuple[str, ...],
    drain_timeout: int,
    give_up: int | None,
    exit_on_stdin_eof: bool,
) -> int:
    """Start an agent that hosts repositories, until Ctrl-C.

    A REPOSITORY is a dotted module, or a path to a .py file. Without one, the agent runs targets
    that notebooks send (a generic agent).
    """
    from coflux.agent.config import AgentConfig
    from coflux.agent.main import run_agent

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = call.config
    for name in repositories:
        # A file may be mended while the agent runs; a name that is wrong stays wrong.
        if name.endswith(".py") and not Path(name).is_file():
            raise click.UsageError(f"There is no file {name}.")
    given: dict[str, Any] = {"concurrency": concurrency, "isolation": isolation}
    return run_agent(
        AgentConfig(
            host=settings.host,
            token=settings.token,
            renew_token=lambda: Invocation(**call.flags, as_json=False).config.token,
            project=settings.project,
            environment=settings.environment,
            repositories=repositories,
            provides=read_tags(provides),
            accepts=dict(read_tags(accepts)),
            secrets=_secret_files(secrets),
            drain_timeout_s=drain_timeout / 1000,
            give_up_s=give_up / 1000 if give_up is not None else None,
            register=register,
            reload=reload,
            dev=dev,
            ends_with_stdin=exit_on_stdin_eof,
            notice=note if call.as_json else click.echo,
            ready=_announce_json if call.as_json else _announce,
            **{name: value for name, value in given.items() if value is not None},
        )
    )


def _secret_files(texts: tuple[str, ...]) -> dict[str, Path]:
    from coflux.secret import check_name

    files: dict[str, Path] = {}
    for text in texts:
        name, _, file = text.partition("=")
        try:
            check_name(name)
        except ValueError as error:
            raise click.UsageError(f"--secret {text}: {error}; write NAME=FILE.") from error
        try:
            Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--secret {name}: {error}.") from error
        files[name] = Path(file).absolute()
    return files


def _announce(session: str) -> None:
    click.echo(f"{AGENT_READY} {session}")
    sys.stdout.flush()


def _announce_json(session: str) -> None:
    emit({"session": session})
    sys.stdout.flush()
