"""Messages between the agent and its zygote, and between the agent's parts about processes.

Belongs here: data and its encoding. Does not belong here: sockets and processes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

import msgspec

from coflux.model import Error, Level, Record
from coflux.wire import Repository


class Settings(Record):
    """What executors need to know about where they work."""

    #: URL of the server, project and token, for blobs.
    url: str
    project: str
    token: str
    #: Folder of the project's blobs, where it is on this machine.
    blobs: str | None
    #: The executions' directories are made here.
    directory: str
    #: Begins the marks on stdout (`channel.mark`).
    secret: bytes
    #: Executors serve one execution after another.
    reuse: bool = False


# --- agent → zygote (packets, with descriptors) -----------------------------------------------


class Begin(Record, tag="begin"):
    """First message: load these repositories."""

    repositories: tuple[str, ...]
    directory: str
    #: Modules to import ahead, so that executors need not; one that fails is left out.
    preload: tuple[str, ...] = ()


class Configure(Record, tag="configure"):
    """Executors forked from now on work with these settings."""

    settings: Settings


class Fork(Record, tag="fork"):
    """Fork an executor; comes with its descriptors: channel, stdout, stderr."""

    ticket: int


class Beginning(Record):
    """What the agent writes to a spawned executor first: length, then this."""

    begin: Begin
    settings: Settings
    ticket: int


Order = Union[Begin, Configure, Fork]


# --- zygote → agent (a stream) ------------------------------------------------------------------


class Loaded(Record, tag="loaded"):
    """The repositories have been imported, or failed to be."""

    repositories: tuple[Repository, ...]
    #: Repositories that were asked for, as opposed to those whose targets are only re-exported.
    named: tuple[str, ...] = ()
    #: Files of the project that were imported.
    files: tuple[str, ...] = ()
    #: The process that imported them was killed, or crashed, before it was done.
    is_cut_short: bool = False


class Forked(Record, tag="forked"):
    """The executor lives; its process group has the same number."""

    ticket: int
    pid: int


class Exited(Record, tag="exited"):
    """A process has been reaped; nothing of its group lives."""

    pid: int
    exit_code: int | None = None
    signal: int | None = None
    #: Most memory it had, in bytes.
    peak_memory: int | None = None
    #: Its directories have been looked after.
    is_tidy: bool = False


News = Union[Loaded, Forked, Exited]


# --- in executor frames -------------------------------------------------------------------------


class Line(Record):
    """A structured log line from user code; `values` are encoded `model.Value`s by label."""

    at: int
    level: Level
    template: str
    values: msgspec.Raw


class Given(Record):
    """The content of a secret; without one, `problem` says why."""

    content: str | None = None
    problem: str = ""


class Failure(Record):
    """Why a repository's targets cannot be run."""

    error: Error


_encoder = msgspec.msgpack.Encoder()
_orders = msgspec.msgpack.Decoder(Order)
_news = msgspec.msgpack.Decoder(News)
_LENGTH = struct.Struct("<I")


def encode_order(order: Order) -> bytes:
    """One packet."""
    return _encoder.encode(order)


def decode_order(packet: bytes) -> Order:
    """The order in a packet."""
    order: Order = _orders.decode(packet)
    return order


def encode_beginning(beginning: Beginning) -> bytes:
    """With its length in front."""
    body = _encoder.encode(beginning)
    return len(body).to_bytes(4, "big") + body


def decode_beginning(body: bytes) -> Beginning:
    """Without its length."""
    return msgspec.msgpack.decode(body, type=Beginning)


def encode_news(news: News) -> bytes:
    """One message for the stream."""
    body = _encoder.encode(news)
    return _LENGTH.pack(len(body)) + body


class NewsReader:
    """Cuts the zygote's stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[News]:
        """The messages that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            stop = _LENGTH.size + length
            if len(self._buffer) < stop:
                return
            body = bytes(self._buffer[_LENGTH.size : stop])
            del self._buffer[:stop]
            yield _news.decode(body)
