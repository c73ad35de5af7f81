"""Several stores of blobs as one. Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from coflux.blobs.store import Blobs, Reader, missing
from coflux.errors import CofluxError, NotFound

_T = TypeVar("_T")


class BlobChain:
    """Several stores as one: written to the first, read from the first that can (AS-5).

    Args:
        stores: at least one, in the order in which they are asked.
    """

    def __init__(self, stores: Sequence[Blobs]) -> None:
        if not stores:
            raise ValueError("a chain needs at least one store of blobs")
        self._stores = tuple(stores)

    def put_bytes(self, data: bytes) -> str:
        """Store the bytes in the first store and return their key."""
        return self._stores[0].put_bytes(data)

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's bytes in the first store; return key and size in bytes."""
        return self._stores[0].put_file(path)

    def open(self, sha: str) -> Reader:
        """A reader of the blob from the first store that has it."""
        return self._first(sha, lambda store: store.open(sha))

    def read(self, sha: str) -> bytes:
        """All bytes, verified, from the first store that has them undamaged."""
        return self._first(sha, lambda store: store.read(sha))

    def exists(self, sha: str) -> bool:
        """Whether one of the stores has the blob."""
        return any(store.exists(sha) for store in self._stores)

    def fetch_to(self, sha: str, path: Path) -> None:
        """Write the verified bytes to a file, from the first store that has them undamaged."""
        self._first(sha, lambda store: store.fetch_to(sha, path))

    def _first(self, sha: str, ask: Callable[[Blobs], _T]) -> _T:
        failure: CofluxError | None = None
        for store in self._stores:
            try:
                return ask(store)
            except NotFound as error:
                failure = failure or error
            except CofluxError as error:
                # Damaged or out of reach says more than missing.
                failure = error if failure is None or isinstance(failure, NotFound) else failure
        raise failure or missing(sha)
