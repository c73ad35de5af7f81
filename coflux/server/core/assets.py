"""Assets as the core knows them: an id for a content, who made it, who used it (AS-4)."""

from __future__ import annotations

from coflux.server.core import bounds
from coflux.server.core.changes import AssetRecorded, CheckpointSaved, Depended
from coflux.server.core.effects import Confirm, GiveAsset
from coflux.server.core.events import AssetPersisted, AssetRequested, CheckpointRequested
from coflux.server.core.ownership import owned
from coflux.server.core.turn import Turn


def persisted(turn: Turn, event: AssetPersisted) -> None:
    """Running code stored files; equal content and entries give one id."""
    execution = owned(turn, event.to)
    if execution is None:
        return
    asset = turn.state.asset_ids.get(event.digest) or turn.source.id("A")
    if asset not in execution.assets:
        turn.record(AssetRecorded(asset, event.digest, event.manifest, execution.id, turn.now))
    turn.send(GiveAsset(event.to, asset))


def requested(turn: Turn, event: AssetRequested) -> None:
    """Running code wants the files of an asset."""
    execution = owned(turn, event.to)
    if execution is None:
        return
    asset = turn.state.assets.get(event.asset)
    if asset is None:
        turn.refuse(event.to, "not_found", f"there is no asset {event.asset}")
        return
    if asset.id not in execution.dependencies:
        turn.record(Depended(execution.id, (asset.id,), turn.now))
    turn.send(GiveAsset(event.to, asset.id, asset.manifest))


def checkpoint_requested(turn: Turn, event: CheckpointRequested) -> None:
    """Running code stores what later attempts start with (RC-5)."""
    execution = owned(turn, event.to)
    if execution is None:
        return
    problem = bounds.problem_of_arguments(event.arguments)
    if problem is not None:
        turn.refuse(event.to, "invalid", problem.message, problem.field)
        return
    if event.to.key not in execution.checkpoint_keys:  # sent again, it must not become the newest
        turn.record(CheckpointSaved(execution.id, event.arguments, turn.now, event.to.key))
    turn.send(Confirm(event.to))
