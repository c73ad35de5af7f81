"""The command line as a whole: complete help, a current reference, a quick start."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

from coflux.cli.root import COMMANDS, coflux

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "docs" / "tools" / "cli_reference.py"


def all_commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []

    def walk(group: click.Group, path: str) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found.append((f"{path} {name}", command))
            if isinstance(command, click.Group):
                walk(command, f"{path} {name}")

    walk(coflux, "coflux")
    return found


@pytest.mark.parametrize(("path", "command"), all_commands())
def test_every_command_and_option_has_help(path: str, command: click.Command) -> None:
    assert command.help, path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize(
    ("path", "command"),
    [pair for pair in all_commands() if not isinstance(pair[1], click.Group)],
)
def test_every_command_takes_the_common_options(path: str, command: click.Command) -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    if path == "coflux server":
        # It is what the others address; its --host is where it listens.
        assert {"--host", "--json"} <= options
    else:
        common = {"--host", "--project", "-p", "--environment", "-e", "--token", "--json"}
        assert common <= options


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_in_the_table_is_the_commands_own(name: str) -> None:
    command = coflux.get_command(click.Context(coflux), name)
    assert command is not None
    assert inspect.cleandoc(command.help or "").partition("\n")[0] == COMMANDS[name][1]


def test_the_reference_is_up_to_date() -> None:
    subprocess.run([sys.executable, str(TOOL), "--check"], check=True)


def test_the_start_imports_nothing_heavy() -> None:
    """A command that asks the server one thing has no use for any of these."""
    code = (
        "import sys\n"
        "from coflux import cli\n"
        "code = cli.execute(['queue', '--host', '127.0.0.1:1'])\n"
        "heavy = {'tornado', 'rich', 'asyncio', 'peewee', 'cloudpickle', 'watchfiles', 'psutil'}\n"
        "assert code == 3, code\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
