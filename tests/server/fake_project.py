"""A project process that says what it was asked, and dies when told to.

It keeps the process contract (arguments, `ready`, end with stdin), so that the gateway is tested
with real processes and sockets before and without the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class Echo(RequestHandler):
    """Answers with the request; the query parameter `before` makes it misbehave."""

    def initialize(self, project: str) -> None:
        self.project = project

    async def _serve(self) -> None:
        action = self.get_query_argument("before", "")
        if action == "die":
            os._exit(7)
        if action == "half":
            self.set_header("Content-Length", "1000")
            self.write(b"half")
            await self.flush()
            os._exit(7)
        if action == "hang":
            await asyncio.Event().wait()
        if action == "big":
            for _ in range(64):
                self.write(b"x" * 1_000_000)
                await self.flush()
            return
        if action == "conflict":
            self.set_status(409)
            self.finish({"error": {"code": "conflict", "message": "no"}})
            return
        self.finish(
            {
                "project": self.project,
                "pid": os.getpid(),
                "method": self.request.method,
                "uri": self.request.uri,
                "headers": dict(self.request.headers.get_all()),
                "body": self.request.body.decode("latin1"),
            }
        )

    get = post = patch = delete = put = head = _serve


class Authenticate(RequestHandler):
    """Knows one session: `cfs_<project>.S123.good`."""

    def initialize(self, project: str) -> None:
        self.project = project

    def post(self) -> None:
        token = json.loads(self.request.body)["token"]
        if token != f"cfs_{self.project}.S123.good":
            self.set_status(404)
            self.finish({"error": {"code": "not_found", "message": "no such session"}})
            return
        scopes = [{"environment": "dev", "right": "run"}]
        self.finish({"principal": {"name": "session S123", "id": "S123", "scopes": scopes}})


class Backup(RequestHandler):
    """Writes the two databases."""

    def initialize(self, directory: Path) -> None:
        self.directory = directory

    def post(self) -> None:
        target = Path(json.loads(self.request.body)["directory"])
        for name in ("store.db", "logs.db"):
            target.joinpath(name).write_bytes(self.directory.joinpath(name).read_bytes())
        self.finish({})


class Socket(WebSocketHandler):
    """Says who connected, then sends everything back; `die` ends the process."""

    def open(self, *args: Any) -> None:
        self.write_message(
            json.dumps({"uri": self.request.uri, "headers": dict(self.request.headers.get_all())})
        )

    def on_message(self, message: str | bytes) -> None:
        if message == "die":
            os._exit(7)
        self.write_message(message, binary=isinstance(message, bytes))


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--project", "--directory", "--socket"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    directory = Path(arguments.directory)
    if (directory / "refuse").exists():
        sys.exit("the store is broken")
    for name in ("store.db", "logs.db"):
        with sqlite3.connect(directory / name) as database:
            database.execute("CREATE TABLE IF NOT EXISTS marks (mark TEXT)")
        database.close()
    echo = {"project": arguments.project}
    application = Application(
        [
            ("/agent|/topics", Socket),
            ("/internal/authenticate", Authenticate, echo),
            ("/internal/backup", Backup, {"directory": directory}),
            (".*", Echo, echo),
        ],
        log_function=lambda handler: None,
    )
    server = HTTPServer(application)
    server.add_socket(bind_unix_socket(arguments.socket, mode=0o600))
    end = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch_stdin() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(end.set)

    threading.Thread(target=watch_stdin, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await end.wait()


asyncio.run(main())
