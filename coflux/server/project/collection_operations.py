"""The operations behind `coflux gc`: have what nobody needs removed, and say what there is.

Nothing else belongs here.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from coflux.blobs import sweeping
from coflux.errors import Forbidden, NotFound, Unavailable
from coflux.server.project.calls import Call


async def collect(call: Call) -> Any:
    """Begin a pass, or look at one that was begun; waits for it as long as it is told to."""
    if not call.principal.may("admin", "*"):
        raise Forbidden("Removing needs the admin right over all environments of the project.")
    collector, number = call.project.collector, call.query["collection"]
    if collector is None:
        raise Unavailable("The project is starting or stopping; send the request again.")
    found = collector.get(number) if number else collector.begin(call.query["dry_run"])
    if found is None:
        raise NotFound(f"There is no collection {number} any more; begin another.")
    if call.query["wait_ms"]:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(found.done.wait(), call.query["wait_ms"] / 1000)
    if found.problem is not None:
        raise Unavailable(f"Removing has stopped: {found.problem}; the next time goes on with it.")
    return {
        "collection": found.number,
        "done": found.done.is_set(),
        "dry_run": found.is_dry,
        "runs": found.runs,
        "assets": found.assets,
        "lines": found.lines,
        "blobs": found.blobs,
        "bytes": found.bytes,
    }


async def get_storage(call: Call) -> Any:
    """Sizes of files; in a thread, for there may be very many blobs."""
    directory = call.project.directory

    def measure() -> dict[str, int]:
        sizes = list(sweeping.sizes(directory / "blobs"))
        return {
            "rows": _size(directory, "store.db"),
            "logs": _size(directory, "logs.db"),
            "blobs": sum(sizes),
            "blob_count": len(sizes),
        }

    return await asyncio.to_thread(measure)


def _size(directory: Path, name: str) -> int:
    """A database with its write-ahead log."""
    found = (directory / f"{name}{end}" for end in ("", "-wal"))
    return sum(path.stat().st_size for path in found if path.exists())


ALL = (collect, get_storage)
