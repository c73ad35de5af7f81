"""Values of pools' secrets: in a file of their own that only the server's user can read (PO-5).

They are neither in the journal nor in backups, and no answer shows them. Belongs here: keeping and
giving them by revision. Does not belong here: what they are for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_decode = msgspec.json.Decoder(dict[str, dict[str, str]]).decode


class PoolSecrets:
    """Sets of secrets by revision, which is a random name for a set."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "pool-secrets.json"
        self._sets = _decode(self._path.read_bytes()) if self._path.exists() else {}

    def get(self, revision: str) -> Mapping[str, str]:
        """The values of a revision; none for one that is not there (as after a restore)."""
        return self._sets.get(revision, {})

    def put(self, values: Mapping[str, str]) -> str:
        """Keep a set; its revision: that of an equal set, if there is one."""
        if not values:
            return ""
        for revision, known in self._sets.items():
            if known == values:
                return revision
        revision = secrets.token_hex(8)
        self._sets[revision] = dict(values)
        self._write()
        return revision

    def keep_only(self, revisions: Iterable[str]) -> None:
        """Forget all other sets."""
        kept = set(revisions)
        if any(revision not in kept for revision in self._sets):
            self._sets = {r: values for r, values in self._sets.items() if r in kept}
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self._sets))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
