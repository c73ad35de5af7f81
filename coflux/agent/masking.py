"""Hiding the content of secrets in what leaves the agent (IN-7).

Belongs here: what counts as the content, and taking it out of text, values and errors. Does not
belong here: where secrets come from (`secrets`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from coflux import values
from coflux.blobs import Blobs
from coflux.errors import NotSerialisable
from coflux.model import Error, Question, Value

MASK = "***"
#: Shorter lines are not hidden: they would be found everywhere.
_SHORTEST = 3
#: A value that holds this many bytes of a secret or more holds it for certain.
_CERTAIN = 8


class Masks:
    """The contents to hide, with the forms in which they are usually printed."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        #: The contents themselves, by name.
        self._contents: dict[str, bytes] = {}
        #: Bytes of the longest.
        self.longest = 0

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, name: str, content: str) -> None:
        """Hide this from now on."""
        lines = {line.strip("\r") for line in (content, *content.split("\n"))}
        forms = {
            form
            for line in lines
            for form in (line, repr(line)[1:-1], json.dumps(line)[1:-1], quote(line, safe=""))
            if len(line) >= _SHORTEST
        }
        # The longest first: one may contain another.
        self._texts = sorted({*self._texts, *forms}, key=lambda text: (-len(text), text))
        self.longest = max((len(text.encode()) for text in self._texts), default=0)
        if len(content) >= _CERTAIN:
            self._contents[name] = content.encode("utf-8", "surrogateescape")

    def text(self, text: str) -> str:
        """The text without any of them."""
        for each in self._texts:
            if each in text:
                text = text.replace(each, MASK)
        return text

    def data(self, data: bytes) -> bytes:
        """The same for UTF-8."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def error(self, error: Error) -> Error:
        """An error without any of them, nor in its causes."""
        return msgspec.structs.replace(
            error,
            message=self.text(error.message),
            notes=tuple(map(self.text, error.notes)),
            frames=tuple(
                msgspec.structs.replace(frame, source=self.text(frame.source))
                for frame in error.frames
            ),
            cause=self.error(error.cause) if error.cause is not None else None,
        )

    def question(self, question: Question) -> Question:
        """A question without the contents in its texts."""
        texts = ("template", "message", "title", "schema", "initial")
        found = {name: getattr(question, name) for name in texts}
        hidden = {name: self.text(text) for name, text in found.items() if text is not None}
        return msgspec.structs.replace(question, **hidden)

    def check(self, data: bytes, path: str) -> None:
        """Raise `NotSerialisable` for an encoded value that holds a secret's content."""
        for name, content in self._contents.items():
            if content in data:
                raise NotSerialisable(
                    f"{path} holds the content of the secret {name!r}, which must not leave the"
                    f" agent; pass cf.Secret({name!r}) on instead"
                )


class CheckedBlobs:
    """Blobs that refuse encoded values with a secret's content."""

    def __init__(self, blobs: Blobs, masks: Masks, path: str) -> None:
        self._blobs = blobs
        self._masks = masks
        self._path = path

    def put_bytes(self, data: bytes) -> str:
        """Store the bytes, unless they hold a secret."""
        self._masks.check(data, self._path)
        return self._blobs.put_bytes(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


def encode(obj: object, blobs: Blobs, path: str, masks: Masks) -> Value:
    """As `values.encode`; raises `NotSerialisable` for a value that holds a secret's content."""
    checked: Any = CheckedBlobs(blobs, masks, path)
    value = values.encode(obj, blobs=checked, path=path)
    if value.data is not None:
        masks.check(value.data, path)
    return value


class Secrets:
    """The secrets that an agent can give: files by name, and environment variables."""

    def __init__(self, files: dict[str, Path], variables: Any) -> None:
        self._files = files
        self._variables = variables
        #: All that was given, and what is in the files.
        self.masks = Masks()
        for name in files:
            self.find(name)

    def find(self, name: str) -> str | None:
        """The content of a secret as it is now, hidden from then on; None where there is none.

        Raises `OSError` where its file cannot be read.
        """
        path = self._files.get(name)
        if path is not None:
            content: str | None = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        else:
            content = self._variables.get(name)
        if content is not None:
            self.masks.add(name, content)
        return content
