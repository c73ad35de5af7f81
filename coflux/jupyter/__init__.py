"""Coflux in Jupyter: the server's extension, the kernel's side, and what notebooks show.

Belongs here: the hooks by which IPython and Jupyter load the rest, and late, so that neither waits
for what it does not use. Does not belong here: what they load.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Give an IPython shell the `%coflux` magic."""
    from coflux.jupyter.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take it away again, with the agent that belongs to the shell."""
    from coflux.jupyter.magics import unload

    unload(shell)


def server_extension_points() -> list[dict[str, Any]]:
    """The extension of Jupyter servers."""
    from coflux.jupyter.extension import CofluxApp

    return [{"module": "coflux", "app": CofluxApp}]
