"""Outputs of cells: making one, and replacing one that is there. Nothing else belongs here."""

from __future__ import annotations

from typing import Any


def publish(content: Any, *, id: str | None = None, replace: bool = False) -> None:
    """Show a bundle of MIME types (or any object) below the running cell.

    With an `id` it can be replaced later, also from another thread.
    """
    from IPython.display import display

    show: Any = display
    raw = isinstance(content, dict)
    if id is None:
        show(content, raw=raw)
    elif replace:
        show(content, raw=raw, display_id=id, update=True)
    else:
        show(content, raw=raw, display_id=id)
