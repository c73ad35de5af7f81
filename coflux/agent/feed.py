"""What a program and the companion agent that it owns say to each other over two pipes.

Belongs here: messages and their encoding. Does not belong here: pipes, processes, and what is done
with the messages (`companion`; on the owner's side a notebook's kernel).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, Union

import msgspec

from coflux.model import Record
from coflux.wire import Repository

_LENGTH_BYTES = 4


# --- owner → companion ------------------------------------------------------------------------


class Begin(Record, tag="begin"):
    """First message: where to serve."""

    host: str
    token: str | None
    project: str
    environment: str
    concurrency: int | None = None
    directory: str = ""


class Offer(Record, tag="offer"):
    """The targets that the owner has now; replaces those offered before."""

    number: int
    repositories: tuple[Repository, ...] = ()
    #: The one whose workflows and sensors are registered; others are only hosted.
    own: str = ""
    #: Pickled targets that the definitions name and that were not sent before.
    pickles: tuple[bytes, ...] = ()
    #: Modules that the targets use.
    modules: tuple[str, ...] = ()
    #: Folders that the owner imports from, besides those of its Python.
    paths: tuple[str, ...] = ()


class Drain(Record, tag="drain"):
    """End when what runs has ended."""


# --- companion → owner ------------------------------------------------------------------------


class Ready(Record, tag="ready"):
    """Connected."""

    session: str
    concurrency: int


class Offered(Record, tag="offered"):
    """The server knows the targets of an offer; `problem`: why they are not registered."""

    number: int
    problem: str | None = None


class Notice(Record, tag="notice"):
    """Something that the owner's user should know."""

    text: str


class Failed(Record, tag="failed"):
    """The companion cannot serve, and ends."""

    reason: str


FromOwner = Union[Begin, Offer, Drain]
FromCompanion = Union[Ready, Offered, Notice, Failed]

from_owner: msgspec.msgpack.Decoder[FromOwner] = msgspec.msgpack.Decoder(FromOwner)
from_companion: msgspec.msgpack.Decoder[FromCompanion] = msgspec.msgpack.Decoder(FromCompanion)
_encode = msgspec.msgpack.Encoder().encode

M = TypeVar("M")


def pack(message: FromOwner | FromCompanion) -> bytes:
    """A message with its length in front."""
    body = _encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Parser(Generic[M]):
    """Cuts a stream into messages."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """The messages that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            stop = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if len(self._buffer) < stop:
                return
            body = bytes(self._buffer[_LENGTH_BYTES:stop])
            del self._buffer[:stop]
            yield self._decoder.decode(body)
