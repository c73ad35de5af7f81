"""Noticing that the project's files have changed. Loading them again does not belong here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from watchfiles import PythonFilter, awatch

from coflux.agent.config import AgentConfig


async def watch(
    config: AgentConfig, files: Callable[[], tuple[str, ...]], on_change: Callable[[], None]
) -> None:
    """Call `on_change` after each burst of changes to Python files of the project.

    `files` gives the files that are imported at the moment: their folders are watched, and the
    folders where repositories are looked for. Returns when cancelled.
    """
    while True:
        folders = _folders(config, files())
        stop = asyncio.Event()
        async for _ in awatch(
            *folders, watch_filter=PythonFilter(), stop_event=stop, debounce=200, step=50
        ):
            on_change()
            if _folders(config, files()) != folders:
                # Other files are imported now; begin again with their folders.
                stop.set()


def _folders(config: AgentConfig, files: tuple[str, ...]) -> list[Path]:
    folders = {Path(file).resolve().parent for file in files}
    for name in config.repositories:
        path = config.directory / (name if name.endswith(".py") else name.replace(".", "/"))
        folders.add(path.parent.resolve())
        if path.is_dir():
            folders.add(path.resolve())
    existing = sorted(folder for folder in folders if folder.is_dir())
    # Folders are watched with all below them.
    return [each for each in existing if not any(up in each.parents for up in existing)]
