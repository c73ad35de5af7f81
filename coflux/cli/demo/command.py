"""`coflux demo`: the bundled example, run and shown. Nothing else belongs here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, note

if TYPE_CHECKING:
    from coflux.cli.embedded import Embedded
    from coflux.client import Run

_REPOSITORY = "coflux.cli.demo.weather"


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server running until Ctrl-C.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where the demo keeps its data (default: a folder of the user's).")  # fmt: skip
@common
def demo(call: Invocation, keep: bool, data_dir: Path | None) -> int:
    """Run a bundled example on real weather data.

    It compares the climates of Seattle and New York: years side by side, a source that fails once
    and is tried again, a chart and tables as assets. The second time, the cache spares the reading.
    """
    from coflux.cli.embedded import Embedded

    folder = data_dir or _default_folder()
    with Embedded(call, folder) as server:
        # While the server starts.
        from coflux.cli.demo.weather import report
        from coflux.cli.watch import wait_for_run

        server.ready()
        agent = server.start_agent(_REPOSITORY, "--register")
        run = call.client.start(report)
        server.agent_ready(agent)
        server.cancel_without(agent, run)
        code = wait_for_run(run, as_json=call.as_json)
        if code == 0 and not call.as_json:
            _point_out(run)
        if code != 130:
            code = _finish(server, folder, run, keep, call.as_json) or code
    return code


def _default_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("coflux") / "demo"


def _point_out(run: Run) -> None:
    """Say what there is to see besides the result."""
    steps = run.steps()
    cached = sum(1 for step in steps for a in step.executions if a.status == "cached")
    retried = sum(1 for step in steps if len(step.executions) > 1)
    note(f"\n{len(steps)} steps, {cached} from the cache, {retried} retried.")
    for asset in run.client.assets(run.id):
        files = ", ".join(entry["path"] for entry in asset["entries"])
        note(f"asset {asset.get('name') or ''} {asset['id']}: {files}")


def _finish(server: Embedded, folder: Path, run: Run, keep: bool, as_json: bool) -> int:
    from coflux.cli.embedded import sign_in_url

    address = sign_in_url(server.config)
    show: Any = emit if as_json else note
    if not keep:
        if not as_json:
            note(f"UI: {address}" + ("" if server.is_attached else " (ended with this command)"))
            note(f"To look at it: coflux demo --keep, or coflux server --data-dir '{folder}'")
        return 0
    show({"url": address} if as_json else f"UI: {address}  (Ctrl-C ends the server)")
    try:
        note(f"{server.wait()} has ended")
    except KeyboardInterrupt:
        return 0
    return 3
