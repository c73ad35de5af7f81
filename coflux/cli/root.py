"""The `coflux` command itself: which commands there are and where each is found.

Belongs here: the table of commands and their lazy loading, so that `coflux --version` imports
none of them. Does not belong here: what a command does.
"""

from __future__ import annotations

import difflib
from importlib import import_module

import click

#: Name of a command -> where it is (module below `coflux.cli`, attribute) and its one-line help.
#: The help stands here as well, so that `coflux --help` loads nothing; a test compares the two.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo.command:demo", "Run a bundled example on real weather data."),
    "run": ("run:run", "Run one target and print its result."),
    "dev": ("dev:dev", "Server, reloading agent and UI in one terminal, until Ctrl-C."),
    "server": ("server:server", "Start the server; Ctrl-C ends it."),
    "agent": ("agent:agent", "Start an agent that hosts repositories, until Ctrl-C."),
    "register": (
        "manifests:register",
        "Register the workflows and sensors of repositories in the environment.",
    ),
    "manifests": ("manifests:manifests", "Show and archive registered repositories."),
    "submit": ("submit:submit", "Start a run of REPOSITORY/TARGET and wait for its result."),
    "runs": ("runs:runs", "Show, re-run and cancel runs."),
    "logs": ("logs:logs", "Show what a run, step or execution logged, oldest first."),
    "debug": (
        "debug:debug",
        "Run a step in the foreground with its saved arguments, and look at it where it fails.",
    ),
    "inputs": ("inputs:inputs", "Show and answer questions that running code has asked."),
    "metrics": ("metrics:metrics", "Show what a run, step or execution measured."),
    "env": ("env:env", "Manage the environments of the project."),
    "projects": ("projects:projects", "Manage the projects of the server."),
    "assets": ("assets:assets", "Show and download assets."),
    "blobs": ("blobs:blobs", "Fetch and store blobs."),
    "queue": ("queue:queue", "Show what is queued and why it is not running."),
    "schedules": ("schedules:schedules", "Start runs by the calendar."),
    "slots": ("slots:slots", "Show and define named slots and rate limits."),
    "agents": ("agents:agents", "Show the agents and what they do."),
    "pools": ("pools:pools", "Manage pools: agents that are started when work waits for them."),
    "hooks": ("hooks:hooks", "Manage hooks: commands, requests and messages when runs end."),
    "cache": ("cache:cache", "Explain cache lookups, and forget entries."),
    "tokens": ("tokens:tokens", "Manage access tokens."),
    "configure": ("configure:configure", "Write coflux.toml in the working directory."),
    "backup": (
        "backup:backup",
        "Write a consistent copy of the project, with its blobs, to a new FILE.",
    ),
    "restore": ("backup:restore", "Put the project of a backup into a data directory."),
    "gc": ("gc:gc", "Remove finished runs, logs and blobs that are past their time."),
    "doctor": (
        "doctor:doctor",
        "Check the configuration and the server, step by step, and say what to do.",
    ),
    "completion": ("completion:completion", "Print the completion script for SHELL."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, if there is one of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"coflux.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the nearest name."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            nearest = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "`coflux --help` lists them."
            raise click.UsageError(f"There is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"coflux {version('coflux-jupyter')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def coflux(ctx: click.Context) -> None:
    """Orchestrate and observe workflows written as plain Python functions.

    Begin with `coflux demo`.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
