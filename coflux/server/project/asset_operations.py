"""The operations on assets: of a run, by id, and the newest of an environment (AS).

Belongs here: which may be seen, and how one is shown. Does not belong here: the bytes of files
(the gateway's blobs).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from coflux.errors import InvalidRequest, NotFound
from coflux.model import target_id
from coflux.server.core.entities import AssetRecord
from coflux.server.project.calls import Call
from coflux.server.store.reader import AssetMade

#: Files of an asset that lists over many runs show; they say how many there are.
ENTRIES = 20


async def list_assets(call: Call) -> Any:
    """Those of a run, or the newest of an environment."""
    if call.query.get("run") is None:
        return await _list_newest(call)
    for name in ("name", "before"):
        if call.query.get(name) is not None:
            raise InvalidRequest(f"Give `run` or `{name}`, not both.", field=name)
    found = call.find_run(call.query["run"])
    reader = call.orchestrator.store.reader
    return [
        _show(asset, execution)
        for id, execution in reader.assets_of(found.run.id)
        if (asset := reader.asset(id=id)) is not None
    ]


async def get_asset(call: Call) -> Any:
    """Whoever may read a run that has persisted it may read it."""
    id = call.path["id"]
    reader = call.orchestrator.store.reader
    asset, places = reader.asset(id=id), reader.asset_places(id)
    readable = [places[e.id] for e in call.visible("read") if e.id in places]
    if asset is None or not readable:
        raise NotFound(f"There is no asset {id[:80]!r}.", field="id")
    return _show(asset, asset.execution if asset.execution in readable else readable[0])


async def _list_newest(call: Call) -> Any:
    names = {environment.id: environment.name for environment in call.chosen()}
    store = call.orchestrator.store

    def read() -> list[AssetMade]:
        try:
            return store.reader.newest_assets(
                tuple(names), call.query.get("name") or "", call.query["limit"],
                call.query.get("before"),
            )  # fmt: skip
        finally:
            store.release_thread()

    return [
        {
            **_show(made.asset, made.asset.execution, ENTRIES),
            "target": target_id(made.repository, made.target),
            "environment": names[made.environment],
            "created_at": made.at,
        }
        for made in await asyncio.to_thread(read)
    ]


def _show(asset: AssetRecord, execution: str, most: int | None = None) -> dict[str, Any]:
    entries = asset.manifest.entries
    return {
        "id": asset.id,
        "name": asset.manifest.name,
        "path": asset.manifest.path,
        "is_file": asset.manifest.is_file,
        "entries": [msgspec.structs.asdict(entry) for entry in entries[:most]],
        "files": len(entries),
        "size": sum(entry.size for entry in entries),
        "execution": execution,
    }


ALL = (list_assets, get_asset)
