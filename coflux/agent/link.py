"""The agent's end of one executor process: its channel and its output.

Belongs here: reading, writing, and closing of three descriptors on the event loop. Does not belong
here: what the frames mean (`pool`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from coflux.agent import channel
from coflux.agent.control import Line
from coflux.agent.output import Journal, Stream

if TYPE_CHECKING:
    from coflux.agent.pool import Assignment

_RECEIVE = 256 * 1024

OnFrames = Callable[["Link", list[tuple[int, int, bytes]]], None]


class Link:
    """One executor process, seen from the agent."""

    def __init__(
        self,
        ticket: int,
        generation: int,
        connection: socket.socket,
        streams: tuple[Stream, Stream],
        on_frames: OnFrames,
    ) -> None:
        self.ticket = ticket
        #: Of the code that it was forked with.
        self.generation = generation
        self.pid: int | None = None
        self.assignment: Assignment | None = None
        #: We killed it, so that its death is no crash.
        self.is_killed = False
        self.has_children = False
        self.is_dead = False
        #: How many it has been given.
        self.executions = 0
        self._socket = connection
        self._socket.setblocking(False)
        # Not the socket itself: the selector would format it again and again.
        self._descriptor = connection.fileno()
        self._streams = streams
        self._parser = channel.Parser()
        self._unsent = bytearray()
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._loop.add_reader(self._descriptor, self._on_channel)
        for stream in self._streams:
            self._loop.add_reader(stream.descriptor, self._on_output, stream)

    # --- writing --------------------------------------------------------------------------------

    def send(self, kind: int, key: int, body: bytes) -> None:
        """Write a frame; what the socket does not take at once follows when it does."""
        self.send_bytes(channel.pack(kind, key, body))

    def send_bytes(self, data: bytes) -> None:
        """Write bytes that are framed already."""
        if not self._is_open:
            return
        sent = 0
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                pass
            except OSError:
                # It is dead; the zygote's news of it is on the way.
                return
            if sent == len(data):
                return
            self._loop.add_writer(self._descriptor, self._on_writable)
        self._unsent += data[sent:]

    def _on_writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
            sent = 0
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)

    # --- reading --------------------------------------------------------------------------------

    def _on_channel(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._descriptor)
            return
        self._on_frames(self, self._parser.feed(data))

    def _on_output(self, stream: Stream) -> None:
        stream.read()
        if stream.is_at_end:
            self._loop.remove_reader(stream.descriptor)

    def hold(self, number: int, line: Line) -> None:
        """A structured line has come; it is written where its mark stands in stdout."""
        self._streams[0].hold(number, line)

    def write_to(self, journal: Journal | None) -> None:
        """Output belongs to this journal from now on."""
        for stream in self._streams:
            stream.journal = journal

    def read_output(self) -> None:
        """Take the output that has been written up to now."""
        for stream in self._streams:
            stream.read()

    def finish_output(self) -> None:
        """Take all output, also a last line without an end."""
        for stream in self._streams:
            stream.finish()

    def pause_output(self, is_paused: bool) -> None:
        """Let the pipes fill up, or read them again."""
        for stream in self._streams:
            if stream.is_at_end:
                continue
            if is_paused:
                self._loop.remove_reader(stream.descriptor)
            else:
                self._loop.add_reader(stream.descriptor, self._on_output, stream)

    # --- ending ---------------------------------------------------------------------------------

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the executor and what it started in its process group."""
        if self.pid is None:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def drain(self) -> None:
        """The process is dead: handle what it had written to its channel."""
        while self._is_open:
            try:
                data = self._socket.recv(_RECEIVE)
            except OSError:
                return
            if not data:
                return
            self._on_frames(self, self._parser.feed(data))

    def close(self) -> None:
        """Close the descriptors."""
        if not self._is_open:
            return
        self._is_open = False
        # The number may be given to another process.
        self.pid = None
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._socket.close()
        for stream in self._streams:
            self._loop.remove_reader(stream.descriptor)
            stream.close()
