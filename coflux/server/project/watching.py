"""What comes to be needed while it is found out what may go. Nothing else belongs here."""

from __future__ import annotations

from coflux.model import run_of
from coflux.server.core import changes as c
from coflux.server.store import reaching


class Watch:
    """Whom what is committed reaches, pins or makes go on."""

    def __init__(self) -> None:
        self.noted: set[str] = set()

    def committed(self, changes: list[c.Change]) -> None:
        """Take note."""
        for change in changes:
            self.noted.update(reaching.of_change(change))
            if isinstance(change, c.RunPinned):
                self.noted.add(change.run)
            elif isinstance(change, c.ExecutionCreated):
                self.noted.add(run_of(change.execution))

    def concerns(self, runs: set[str]) -> bool:
        """Whether one of them may be needed now."""
        return not self.noted.isdisjoint(runs)
