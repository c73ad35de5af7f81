"""Bytes by their SHA-256, and the stores that keep them.

A key is 64 lower-case hex digits. Whatever is read is hashed on the way, so bytes that were altered
are refused, and whatever is written appears whole or not at all. Does not belong here: what the
bytes mean, who may see them, and when they are removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coflux.blobs.chain import BlobChain
from coflux.blobs.local import LocalBlobs
from coflux.blobs.store import Blobs, Reader, check_key, copy, is_key

if TYPE_CHECKING:
    from coflux.blobs.http import HttpBlobs

__all__ = [
    "BlobChain",
    "Blobs",
    "HttpBlobs",
    "LocalBlobs",
    "Reader",
    "check_key",
    "copy",
    "is_key",
]


def __getattr__(name: str) -> Any:
    # Late: http.client takes longer to import than all the rest.
    if name == "HttpBlobs":
        from coflux.blobs.http import HttpBlobs

        return HttpBlobs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
