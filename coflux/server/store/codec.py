"""Changes as bytes and back."""

from __future__ import annotations

import msgspec

from coflux.model import AssetManifest
from coflux.server.core.changes import AnyChange, Change

#: Characters of an asset's names that a search looks through.
SEARCHED = 4_000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyChange).decode
_decode_manifest = msgspec.msgpack.Decoder(AssetManifest).decode
_decode_parts = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def encode_change(change: Change) -> bytes:
    """A change as it stands in the journal."""
    return _encode(change)


def decode_change(data: bytes) -> Change:
    """A change from the journal."""
    change: Change = _decode(data)
    return change


def encode_manifest(manifest: AssetManifest) -> bytes:
    """An asset's files."""
    return _encode(manifest)


def decode_manifest(data: bytes) -> AssetManifest:
    """An asset's files."""
    return _decode_manifest(data)


def searchable(manifest: AssetManifest) -> str:
    """What a search for an asset by name looks through: its name and paths, letters folded."""
    paths = (entry.path for entry in manifest.entries)
    return "\n".join((manifest.name or "", manifest.path, *paths)).casefold()[:SEARCHED]


def encode_parts(parts: dict[str, bytes]) -> bytes:
    """The hashes of a key's parts."""
    return _encode(parts)


def decode_parts(data: bytes) -> dict[str, bytes]:
    """The hashes of a key's parts."""
    return _decode_parts(data)
