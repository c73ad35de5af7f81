"""`%coflux` itself, and its commands about the notebook: connection, agent, environment, targets.

Belongs here: what each takes, does and shows. Does not belong here: commands about runs
(`run_commands`), the notebook's state (`notebook`), larger pieces of work (`exporting`, `forms`).
"""

from __future__ import annotations

from typing import Any

import click

from coflux.errors import InvalidRequest
from coflux.jupyter.context import Context, find_target, pass_context
from coflux.jupyter.notebook import warn
from coflux.jupyter.run_commands import COMMANDS
from coflux.jupyter.tables import Table


@click.group(
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
def coflux() -> None:
    """Define workflows in cells, run them in other processes, watch them here."""


# --- connecting -------------------------------------------------------------------------------


@coflux.command()
@click.option("--host", metavar="H", help="Address of the server, as host:port or URL.")
@click.option("--project", "-p", metavar="P", help="Project; `default` if not given.")
@click.option("--environment", "-e", metavar="E", help="Environment; `default` if not given.")
@click.option("--token", metavar="T", help="Token; better in COFLUX_TOKEN than in a notebook.")
@click.option(
    "--repository", metavar="NAME", help="Repository of this notebook's targets; its file's name."
)
@click.option("--local", "is_local", is_flag=True, help="A server over ./.coflux, started here.")
@click.option("--no-agent", is_flag=True, help="Only as a client; runs wait for another agent.")
@pass_context
def connect(context: Context, /, is_local: bool, no_agent: bool, **given: str | None) -> None:
    """Connect to a server, and let this kernel run the notebook's targets.

    Without options: the Jupyter server's own Coflux, or another that runs on this machine.
    """
    notebook = context.notebook
    client = notebook.connect(is_local=is_local, **given)
    if no_agent:
        notebook.stop_agent()
    else:
        notebook.start_agent()
    click.echo(
        f"Connected to {client.host}, project {client.project}, environment"
        f" {client.environment}. This notebook is the repository {notebook.repository}."
    )


@coflux.command()
@pass_context
def status(context: Context) -> Table:
    """Show the connection, the agent, and the targets of this notebook."""
    notebook = context.notebook
    if not notebook.is_connected:
        return Table((), (), empty="Not connected; `%coflux connect` does that.")
    client, agent = notebook.client, notebook.agent
    rows: list[tuple[str, Any]] = [
        ("server", client.host),
        ("project", client.project),
        ("environment", client.environment),
        ("repository", notebook.repository),
    ]
    if agent is None or not agent.is_alive:
        rows.append(("agent", "not running; `%coflux agent start` starts it"))
    else:
        session = agent.wait_ready(10.0)
        rows.append(("agent", f"session {session}, pid {agent.pid}, {agent.concurrency} at once"))
    rows += [(target.type, name) for name, target in sorted(notebook.namespace.targets().items())]
    rows += [("note", text) for text in notebook.remarks()]
    return Table(("", ""), rows)


@coflux.group()
def agent() -> None:
    """Start or stop the agent of this kernel."""


@agent.command("start")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Executions at once.")
@pass_context
def agent_start(context: Context, concurrency: int | None) -> None:
    """Let this kernel run the notebook's targets."""
    found = context.notebook.start_agent(concurrency)
    session = found.wait_ready(15.0)
    click.echo(f"The agent runs: session {session}, {found.concurrency} executions at once.")
    for text in context.notebook.remarks():
        warn(text)


@agent.command("stop")
@pass_context
def agent_stop(context: Context) -> None:
    """End it; what it runs is abandoned, what is queued waits for another agent."""
    was_there = context.notebook.agent is not None
    context.notebook.stop_agent()
    click.echo("The agent has ended." if was_there else "No agent was running.")


@coflux.command()
@pass_context
def register(context: Context) -> None:
    """Register the workflows and sensors of this notebook now."""
    for problem in context.notebook.synchronise():
        raise InvalidRequest(problem)
    targets = context.notebook.namespace.targets().items()
    names = sorted(key for key, target in targets if target.type != "task")
    click.echo(f"Registered: {', '.join(names) or 'nothing (there are no workflows)'}.")


# --- environments -----------------------------------------------------------------------------


@coflux.group()
def env() -> None:
    """List, create and choose environments."""


@env.command("list")
@pass_context
def env_list(context: Context) -> Table:
    """List the environments of the project."""
    client = context.notebook.client
    rows = [
        (
            "→" if each["name"] == client.environment else "",
            each["name"],
            each["base"],
            each["state"],
        )
        for each in client.environments.list()
    ]
    return Table(("", "name", "base", "state"), rows)


@env.command("create")
@click.argument("name")
@click.option("--base", metavar="B", help="Environment that it inherits from.")
@pass_context
def env_create(context: Context, name: str, base: str | None) -> None:
    """Create an environment."""
    created = context.notebook.client.environments.create(name, base)
    click.echo(f"Created {created['name']}" + (f", based on {base}." if base else "."))


@env.command("use")
@click.argument("name")
@pass_context
def env_use(context: Context, name: str) -> None:
    """Work in an environment from now on, with client and agent."""
    context.notebook.use_environment(name)
    click.echo(f"This notebook works in {name} now.")


@coflux.command(context_settings={"ignore_unknown_options": True})
@click.argument("target")
@pass_context
def form(context: Context, target: str) -> Any:
    """Show a form for a target's arguments, with a button that runs it."""
    from coflux.jupyter.forms import make_form

    return make_form(context, find_target(context, target))


@coflux.command()
@click.argument("path", metavar="PATH.py")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@pass_context
def export(context: Context, path: str, force: bool) -> None:
    """Write the notebook's targets as a module: same repository, targets and options."""
    from coflux.jupyter.exporting import export_module

    names = export_module(context.notebook, path, force=force)
    click.echo(f"Wrote {path}: {', '.join(names)}.")


for command in COMMANDS:
    coflux.add_command(command)
