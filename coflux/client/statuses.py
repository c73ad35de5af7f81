"""The words for how a run is (RS-6). Nothing else belongs here."""

from __future__ import annotations

#: Statuses of a run that nothing follows.
FINISHED = ("succeeded", "failed", "cancelled")


def status_of_kind(kind: str) -> str:
    """The run status that a final kind of result gives."""
    if kind == "value":
        return "succeeded"
    return "cancelled" if kind == "cancelled" else "failed"
