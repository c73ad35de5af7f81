"""Which manifests are acceptable, and when two are equal. No file is touched here.

Every path is checked when an asset is made and again whenever it is used, because a manifest may
come from anywhere (AS-2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from coflux import model
from coflux.blobs import is_key
from coflux.errors import InvalidRequest
from coflux.model import AssetManifest, Entry

#: Entries of an asset, and bytes of an entry's path (section 32).
MAX_ENTRIES = 100_000
MAX_PATH = 1024
#: Characters of an asset's name.
_MAX_NAME = 100

#: Names that Windows takes for devices, whatever follows a dot.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE = re.compile(r"[A-Za-z]:")


def check(manifest: AssetManifest) -> None:
    """Refuse a manifest that is not safe to restore.

    Raises:
        InvalidRequest: naming the entry and what is wrong with it.
    """
    if len(manifest.entries) > MAX_ENTRIES:
        raise InvalidRequest(
            f"the asset has {len(manifest.entries)} files, and the limit is {MAX_ENTRIES}"
        )
    if manifest.name is not None and len(manifest.name) > _MAX_NAME:
        raise InvalidRequest(f"the asset's name is longer than {_MAX_NAME} characters")
    if manifest.path != ".":
        check_path(manifest.path)
    for entry in manifest.entries:
        _check_entry(entry)
    _check_distinct(entry.path for entry in manifest.entries)
    if manifest.is_file:
        names = [entry.path for entry in manifest.entries]
        if names != [manifest.path.rpartition("/")[2]]:
            raise InvalidRequest(f"the asset is the file {manifest.path!r} and cannot hold {names}")


def check_path(path: str) -> None:
    """Refuse a path that is not relative, below, and the same on every system.

    Raises:
        InvalidRequest: naming the path and what is wrong with it.
    """
    fault = _fault(path)
    if fault is not None:
        shown = path if len(path) <= 200 else f"{path[:200]}…"
        raise InvalidRequest(f"the path {shown!r} cannot be part of an asset: {fault}", path=shown)


def _fault(path: str) -> str | None:
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if length > MAX_PATH:
        return f"it is {length} bytes long, and the limit is {MAX_PATH}"
    if _CONTROL.search(path):
        return "it holds a control character"
    if "\\" in path:
        return "it holds a backslash"
    if path.startswith("/") or _DRIVE.match(path):
        return "it is not relative"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"it has {part!r} as a part" if part else "it is empty, or a part of it is"
        if part.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
            return f"{part!r} is the name of a device on some systems"
    return None


def _check_entry(entry: Entry) -> None:
    check_path(entry.path)
    if not is_key(entry.blob):
        raise InvalidRequest(f"entry {entry.path!r}: {entry.blob!r} is not the hash of a blob")
    if entry.size < 0:
        raise InvalidRequest(f"entry {entry.path!r}: a size of {entry.size} bytes is impossible")
    if entry.mode & ~0o777:
        raise InvalidRequest(f"entry {entry.path!r}: mode {entry.mode:o} has special bits")


def _check_distinct(paths: Iterable[str]) -> None:
    """Refuse paths that some file system would take for one, or for file and directory."""
    known: dict[str, str] = {}
    for path in paths:
        folded = fold(path)
        if folded in known:
            raise InvalidRequest(
                f"the paths {known[folded]!r} and {path!r} are one and the same on some systems; "
                "rename one of them",
                path=path,
            )
        known[folded] = path
    for folded, path in known.items():
        parent = folded.rpartition("/")[0]
        while parent:
            if parent in known:
                raise InvalidRequest(
                    f"{known[parent]!r} cannot be a file and also hold {path!r}", path=path
                )
            parent = parent.rpartition("/")[0]


def fold(path: str) -> str:
    """The path as seen by systems that ignore case, Unicode form, and dots and spaces at ends."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return "/".join(part.rstrip(". ") or part for part in text.split("/"))


def digest(manifest: AssetManifest) -> str:
    """The identity of an asset's content: hex SHA-256 over all that restoring it depends on.

    Equal content and entries give one asset id (AS-4); media types are guesses and do not count.
    """
    parts = [manifest.path, manifest.name or "", "file" if manifest.is_file else "directory"]
    for entry in sorted(manifest.entries, key=lambda entry: entry.path):
        parts += [entry.path, entry.blob, str(entry.size), f"{entry.mode:o}"]
    return model.digest(*(part.encode() for part in parts)).hex()
