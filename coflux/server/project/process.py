"""A project's process: `python -m coflux.server.project.process`, started by the supervisor.

Belongs here: start, readiness, end. It prints `ready` once its socket listens, and ends on SIGTERM,
when its standard input does (the supervisor is gone), or `--linger` seconds later (`lingering`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import sys
import traceback
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application

from coflux.blobs import LocalBlobs
from coflux.errors import CofluxError
from coflux.server.bodies import MAX_BODY
from coflux.server.core.changes import Change
from coflux.server.launchers.available import launchers
from coflux.server.project.api import UnknownHandler, rules
from coflux.server.project.calls import Project
from coflux.server.project.collecting import Collector
from coflux.server.project.hooks import Hooks
from coflux.server.project.keeping import Keeping
from coflux.server.project.lingering import End
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.pools import Pools
from coflux.server.project.settings import limits_from
from coflux.server.project.timetable import Timetable

#: Browsers are pinged as often, and disconnected when they do not answer in that time. (Agents
#: have a rhythm of their own.)
PING_S = 15
#: Changes of the story told when a decision fails.
STORY = 50


def main(arguments: list[str] | None = None) -> int:
    """Run a project until its supervisor is gone; the exit status."""
    parser = argparse.ArgumentParser(prog="coflux-project")
    parser.add_argument("--project", required=True)
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--linger", type=float, default=0.0)
    options = parser.parse_args(arguments)
    os.nice(options.nice)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(options.project, options.directory, options.socket, options.linger))
    except CofluxError as error:
        print(f"coflux: {error}", file=sys.stderr)  # noqa: T201 - the supervisor shows it
        return 2
    return 0


async def _serve(name: str, directory: Path, socket_path: str, linger_s: float) -> None:
    orchestrator = Orchestrator(directory, limits_from(os.environ))
    orchestrator.on_failure = _die
    blobs = LocalBlobs(directory / "blobs")
    project = Project(name, directory, socket_path, orchestrator, blobs)
    hooks = project.hooks = Hooks(name, directory, orchestrator, os.environ)
    pools = project.pools = Pools(
        name, directory, orchestrator, launchers(os.environ, directory / "launches"), os.environ
    )
    keeping = Keeping(project)
    collector = project.collector = Collector(orchestrator, directory / "blobs", project.graphs)
    application = Application(
        rules(project),
        default_handler_class=UnknownHandler,
        websocket_ping_interval=PING_S,
        log_function=lambda handler: None,
    )
    server = HTTPServer(application, max_body_size=MAX_BODY + 4096, max_buffer_size=2 * MAX_BODY)
    server.add_socket(bind_unix_socket(socket_path, mode=0o600, backlog=512))
    orchestrator.start()
    pools.start()
    hooks.start()
    timetable = Timetable(orchestrator, blobs)
    timetable.start()
    collector.start()
    # Live work is many small objects that stay: looking through them often would cost more than
    # all decisions. Cycles come from finished runs only.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    end = End(Path(socket_path), linger_s)
    # What the supervisor waits for; should it be gone already, the end of stdin says so as well.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), b"ready\n")
    await end.wait()
    server.stop()
    await server.close_all_connections()
    keeping.close()
    await collector.close()
    timetable.close()
    await pools.close()
    await hooks.close()
    orchestrator.close()


def _die(error: BaseException, changes: list[Change]) -> None:
    """Memory and disk may differ: say what led here, and start again from the disk."""
    try:
        traceback.print_exception(type(error), error, error.__traceback__)
        for change in changes[-STORY:]:
            print(f"  {change}", file=sys.stderr)  # noqa: T201 - as the traceback
        sys.stderr.flush()
    finally:
        # Also where it cannot be said, as the log is on the disk that is full (SE-11).
        os._exit(70)


if __name__ == "__main__":
    sys.exit(main())
