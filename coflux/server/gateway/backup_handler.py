"""A backup over HTTP, streamed while it is taken.

Belongs here: the steps between the project process, the snapshot and the client's connection.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from coflux.errors import Forbidden, Unavailable
from coflux.server import answers, bodies
from coflux.server.gateway.backup import link_blobs, write_archive
from coflux.server.gateway.handler import JsonHandler


@stream_request_body
class BackupHandler(JsonHandler):
    """The whole project, so it takes the admin right over all of its environments."""

    async def admitted(self) -> None:
        if not self.principal.may("admin", "*"):
            raise Forbidden("A backup needs the admin right over all environments.")

    async def serve(self) -> None:
        # In the project's folder: the same file system, so that blobs can be linked, and private.
        self.project.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot = Path(tempfile.mkdtemp(prefix="backup-", dir=self.project.directory))
        try:
            await self._take(snapshot)
            self.set_header("Content-Type", "application/x-tar")
            self.set_header(
                "Content-Disposition", f'attachment; filename="{self.project.name}.tar"'
            )
            await self._stream(snapshot)
        finally:
            await asyncio.to_thread(shutil.rmtree, snapshot, True)

    async def _take(self, snapshot: Path) -> None:
        blobs = self.project.blobs.folder
        await asyncio.to_thread(link_blobs, blobs, snapshot / "blobs")
        request = bodies.BackupRequest(directory=str(snapshot))
        answer = await self.gateway.ask(self.project, "/backup", request)
        if answer.status != 200:
            raise Unavailable(f"The databases cannot be copied: {_message(answer.content)}")
        await asyncio.to_thread(link_blobs, blobs, snapshot / "blobs")

    async def _stream(self, snapshot: Path) -> None:
        loop = asyncio.get_running_loop()

        async def send(piece: bytes) -> None:
            self.write(piece)
            await self.flush()

        def write(piece: bytes) -> int:
            # In the archiving thread: wait for the client to take each piece.
            asyncio.run_coroutine_threadsafe(send(piece), loop).result()
            return len(piece)

        try:
            await asyncio.to_thread(write_archive, self.project.name, snapshot, write)
        except StreamClosedError:
            return


def _message(content: bytes | bytearray) -> str:
    try:
        return msgspec.json.decode(content, type=answers.Failure).error.message
    except msgspec.DecodeError:
        return "the project's process failed."
