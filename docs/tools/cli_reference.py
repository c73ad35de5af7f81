"""Writes docs/reference/cli.md from the commands themselves.

python docs/tools/cli_reference.py            write it
python docs/tools/cli_reference.py --check    fail when it is not up to date
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import generated

from coflux.cli.root import coflux

PAGE = Path(__file__).parent.parent / "reference" / "cli.md"
COMMON = ("host", "project", "environment", "token", "as_json")

HEAD = """\
# Command line

<!-- Written by docs/tools/cli_reference.py; change the commands' help instead. -->

`coflux COMMAND --help` says the same. A target's arguments are JSON, or text where they are not
JSON; `name=ARG` binds by name. Commands that wait show a live tree on a terminal and plain lines
elsewhere. With `--json` stdout holds JSON only.

| exit code | when |
|---|---|
| 0 | success |
| 1 | the run failed, was cancelled, or has no result yet |
| 2 | the command was not written correctly |
| 3 | the server refuses, or cannot be reached |
| 130 | interrupted; a run that was waited for goes on |

## Options of all commands

Every command takes these, where its own list does not say otherwise. What is not given comes from
`COFLUX_HOST`, `COFLUX_TOKEN`, `COFLUX_PROJECT`, `COFLUX_ENVIRONMENT` and `COFLUX_DATA_DIR`, then
from the nearest `coflux.toml` (the same names in lower case), then from a server of the same user
that runs on this machine. A token that stands beside an address counts for that address only.

"""


def page() -> str:
    """The whole page."""
    context = click.Context(coflux, info_name="coflux")
    common = next(command for path, command in commands(context, coflux) if path == "coflux queue")
    parts = [HEAD, _options(o for o in common.params if o.name in COMMON)]
    for path, command in commands(context, coflux):
        parts.append(_section(path, command))
    return "\n".join(parts)


def commands(context: click.Context, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group with their full names, in the order of `--help`."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, parent=context, info_name=name)
        yield below.command_path, command
        if isinstance(command, click.Group):
            yield from commands(below, command)


def _section(path: str, command: click.Command) -> str:
    level = "##" if path.count(" ") == 1 else "###"
    text = inspect.cleandoc(command.help or "")
    lines = [f"{level} {path}", ""]
    if not isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        lines += ["```", " ".join([path, *command.collect_usage_pieces(context)]), "```", ""]
    lines += [text, ""]
    own = [p for p in command.params if p.name not in COMMON or not _is_common(command, p)]
    options = _options(own)
    return "\n".join([*lines, options] if options else lines)


def _is_common(command: click.Command, parameter: click.Parameter) -> bool:
    """Whether it is the option that all commands have, and not one that shares its name."""
    return not (command.name == "server" and parameter.name == "host")


def _options(parameters: Iterator[click.Parameter] | list[click.Parameter]) -> str:
    rows = []
    for parameter in parameters:
        if isinstance(parameter, click.Option):
            record = parameter.get_help_record(click.Context(coflux))
            if record is not None:
                rows.append(f"| `{record[0]}` | {record[1].replace('|', chr(92) + '|')} |")
    return "\n".join(["| option | |", "|---|---|", *rows, ""]) if rows else ""


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, page()))
