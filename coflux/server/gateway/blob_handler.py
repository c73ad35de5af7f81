"""Blobs over HTTP: `PUT` checks and stores, `HEAD` and `GET` read, with ranges.

Belongs here: methods, headers and statuses (AS-5). Does not belong here: files.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from coflux.errors import InvalidRequest, NotFound
from coflux.server.gateway.blobs import MAX_BLOB, PIECE, Upload, is_key
from coflux.server.gateway.handler import RouteHandler

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@stream_request_body
class BlobHandler(RouteHandler):
    """All that can be done with one blob."""

    max_body = MAX_BLOB
    _upload: Upload | None = None

    async def admitted(self) -> None:
        key = self.path_kwargs["sha256"]
        if not is_key(key):
            if self.route.name == "put_blob":
                raise InvalidRequest(
                    "A blob's key is its SHA-256 as 64 lower-case hex digits.", field="sha256"
                )
            raise NotFound("There is no such blob.")
        if self.route.name == "put_blob":
            length = self.request.headers.get("Content-Length", "0")
            self.project.blobs.check_space(int(length) if length.isdigit() else 0)
            self._upload = self.project.blobs.upload(key)

    async def body_received(self, chunk: bytes) -> None:
        if self._upload is not None:
            await self._upload.write(chunk)

    async def serve(self) -> None:
        if self._upload is not None:
            size = await self._upload.finish()
            self.set_status(201)
            self.answer({"sha256": self.path_kwargs["sha256"], "size": size})
            return
        path, size = await self.project.blobs.find(
            self.path_kwargs["sha256"], touch=self.request.method == "HEAD"
        )
        self._describe()
        span = self._span(size)
        if span is None:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return
        self.set_header("Content-Length", str(span[1] - span[0]))
        if self.request.method == "GET":
            with self.gateway.live.track(self.identity, self._break):
                await self._send(path, *span)

    def _describe(self) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Cache-Control", "private, immutable, max-age=31536000")
        # Bytes of users share the origin of the pages: they must never run there.
        self.set_header("Content-Disposition", "attachment")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")

    def _span(self, size: int) -> tuple[int, int] | None:
        """First byte and the one after the last to send; None if the range lies outside."""
        match = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        if match is None or match[1] == match[2] == "":
            return 0, size
        if match[1] == "":
            first, last = max(0, size - int(match[2])), size - 1
        else:
            first, last = int(match[1]), min(size - 1, int(match[2] or size - 1))
        if first >= size or first > last:
            return None
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {first}-{last}/{size}")
        return first, last + 1

    async def _send(self, path: Path, start: int, end: int) -> None:
        try:
            descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise NotFound(f"There is no blob {path.name}.") from error
        try:
            while start < end:
                length = min(PIECE, end - start)
                piece = await asyncio.to_thread(os.pread, descriptor, length, start)
                if not piece:
                    self._break()
                    return
                start += len(piece)
                self.write(piece)
                await self.flush()
        except StreamClosedError:
            pass
        finally:
            os.close(descriptor)

    def _break(self) -> None:
        self.break_off()

    def _abort(self) -> None:
        if self._upload is not None:
            upload, self._upload = self._upload, None
            self.gateway.in_background(upload.abort())

    def on_finish(self) -> None:
        self._abort()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._abort()
