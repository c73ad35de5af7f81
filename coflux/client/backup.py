"""Fetching a backup of a project. Nothing else belongs here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coflux.client.client import Client


def download(client: Client, path: Path) -> Iterator[int]:
    """Write a consistent copy of the client's project to `path`.

    Yields the number of bytes so far. The file appears whole or not at all.

    Raises `FileExistsError` where there is one already.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    written = 0
    try:
        with (
            temporary.open("xb") as file,
            client.transport.stream("POST", f"{client.prefix}/backup") as (_, pieces),
        ):
            for piece in pieces:
                file.write(piece)
                written += len(piece)
                yield written
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, replaces nothing.
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
