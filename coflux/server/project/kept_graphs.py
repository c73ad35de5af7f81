"""Documents of the topic `graph` of big finished runs, kept so that their pages open at once.

Belongs here: a folder of files that may be deleted at any time, each made again when it is needed.
Does not belong here: what a document says (`graph_feed`).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from coflux.model import run_of
from coflux.server.core import changes as c


class Kept(msgspec.Struct):
    """A document, and the id of the environment that the run belongs to."""

    environment: str
    document: dict[str, Any]
    #: Some attempts were made elsewhere, so that it looks different from there.
    has_others: bool


_decoder = msgspec.json.Decoder(Kept)


class KeptGraphs:
    """The folder `graphs` of a project."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "graphs"
        with contextlib.suppress(FileNotFoundError):
            self._known = {path.stem for path in self._directory.iterdir()}
            return
        self._known = set()

    def get(self, run: str) -> Kept | None:
        """The document of a run, as seen from its own environment."""
        if run not in self._known:
            return None
        try:
            return _decoder.decode((self._directory / f"{run}.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            self.drop(run)
            return None

    def put(self, run: str, kept: Kept) -> None:
        """Keep a document; it replaces an earlier one at once and whole."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        temporary = self._directory / f".{run}.new"
        temporary.write_bytes(msgspec.json.encode(kept))
        os.replace(temporary, self._directory / f"{run}.json")
        self._known.add(run)

    def drop(self, run: str) -> None:
        """Forget a document."""
        self._known.discard(run)
        with contextlib.suppress(FileNotFoundError):
            (self._directory / f"{run}.json").unlink()

    def known(self) -> list[str]:
        """Runs of which there is a document."""
        return list(self._known)

    def committed(self, changes: list[c.Change]) -> None:
        """A finished run that goes on, or is answered, looks different from now on."""
        if not self._known:
            return
        for change in changes:
            if isinstance(change, c.ExecutionCreated) and run_of(change.execution) in self._known:
                self.drop(run_of(change.execution))
            elif isinstance(change, c.InputEnded) and change.run in self._known:
                self.drop(change.run)
