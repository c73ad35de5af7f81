"""From files to a manifest: what of a directory becomes an asset (AS-1).

Belongs here: finding and reading. Does not belong here: which paths are acceptable (`paths`).
"""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from coflux.assets.paths import MAX_ENTRIES, check, check_path
from coflux.blobs import Blobs
from coflux.errors import InvalidRequest
from coflux.model import AssetManifest, Entry

#: Files stored at the same time; most of the time goes into waiting for disk or network.
THREADS = 8


class _Found(NamedTuple):
    #: Relative, with `/`.
    path: str
    #: Where it really is, links followed.
    real: str
    mode: int


def collect(
    path: str | Path | None = None,
    *,
    base: Path,
    blobs: Blobs,
    match: str | None = None,
    name: str | None = None,
) -> AssetManifest:
    """Store a file, or the files of a directory, as blobs.

    Links to files and directories inside `base` are followed; those that lead out of it are left
    out. Directories without files leave nothing.

    Args:
        path: relative to `base`, or absolute inside it; None = all of `base`.
        base: the execution's directory.
        blobs: where the files are stored.
        match: a pattern that relative paths must fit, such as `**/*.csv`; without a `/`, one that
            names must fit, in whatever directory. `*` stops at `/`, `**/` is any directories.
        name: shown to people.

    Raises:
        FileNotFoundError: there is nothing there, or nothing that matches.
        InvalidRequest: the path lies outside `base`, or a file there cannot be part of an asset.
    """
    root = os.path.realpath(base)
    relative = _relative(path, base)
    start = os.path.realpath(os.path.join(root, relative))
    if not _inside(start, root):
        raise InvalidRequest(f"{path} leads out of the directory of the execution")
    if relative != ".":
        check_path(relative)
    try:
        mode = os.stat(start).st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"nothing to persist: there is no {path} in {base}") from None
    fits = _matcher(match)
    if stat.S_ISDIR(mode):
        found = sorted(_files(start, root, fits))
    else:
        own_name = relative.rpartition("/")[2]
        _check_regular(relative, mode)
        found = [_Found(own_name, start, mode)] if fits(own_name) else []
    if match is not None and not found:
        raise FileNotFoundError(f"nothing to persist: no file in {path or base} matches {match!r}")
    # Before anything is stored.
    is_file = not stat.S_ISDIR(mode)
    empty = "0" * 64
    check(_manifest([_entry(each, empty, 0) for each in found], name, is_file, relative))
    return _manifest(_store(found, blobs), name, is_file, relative)


def _relative(path: str | Path | None, base: Path) -> str:
    """The path below base, in normal form with `/`; `.` for base itself."""
    joined = os.path.normpath(os.path.join(os.path.abspath(base), path or "."))
    relative = os.path.relpath(joined, os.path.abspath(base))
    if relative == ".." or relative.startswith("../"):
        raise InvalidRequest(f"{path} is outside the directory of the execution ({base})")
    return relative


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _files(start: str, root: str, fits: Callable[[str], bool]) -> Iterator[_Found]:
    """The files below a directory that fit, in no order."""
    # Directories with their prefix and the real directories that lead to them.
    waiting: list[tuple[str, str, frozenset[str]]] = [(start, "", frozenset({start}))]
    count = 0
    while waiting:
        directory, prefix, above = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                path = prefix + entry.name
                real = entry.path
                if entry.is_symlink():
                    real = os.path.realpath(real)
                    if not _inside(real, root) or not os.path.exists(real):
                        continue
                mode = os.stat(real, follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    # A link to one of the directories that lead here would never end.
                    if real not in above:
                        waiting.append((real, f"{path}/", above | {real}))
                elif fits(path):
                    _check_regular(path, mode)
                    count += 1
                    if count > MAX_ENTRIES:
                        raise InvalidRequest(f"there are more than {MAX_ENTRIES} files to persist")
                    yield _Found(path, real, mode)


def _check_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise InvalidRequest(f"{path} is {kind}; only files and directories can be persisted")


def _store(found: list[_Found], blobs: Blobs) -> list[Entry]:
    def store(each: _Found) -> Entry:
        return _entry(each, *blobs.put_file(Path(each.real)))

    if len(found) < 2:
        return [store(each) for each in found]
    with ThreadPoolExecutor(min(THREADS, len(found)), "coflux-assets") as pool:
        return list(pool.map(store, found))


def _entry(found: _Found, blob: str, size: int) -> Entry:
    return Entry(found.path, blob, size, found.mode & 0o777, _media_type(found.path))


def _manifest(
    entries: list[Entry], name: str | None, is_file: bool, relative: str
) -> AssetManifest:
    return AssetManifest(tuple(entries), name, is_file, relative)


@lru_cache(maxsize=1)
def _media_types() -> mimetypes.MimeTypes:
    # Without the machine's own lists, so that all machines give the same.
    return mimetypes.MimeTypes(())


def _media_type(path: str) -> str | None:
    return _media_types().guess_type(path.rpartition("/")[2], strict=False)[0]


# --- patterns -----------------------------------------------------------------------------------


def _matcher(match: str | None) -> Callable[[str], bool]:
    if match is None:
        return lambda path: True
    pattern = re.compile(_regex(match))
    return lambda path: pattern.fullmatch(path) is not None


def _regex(match: str) -> str:
    parts = match.split("/") if "/" in match else ["**", match]
    # `./a` and `/a` mean `a`; `a/` means all below it.
    parts = [part for part in parts[:-1] if part not in ("", ".")] + [parts[-1] or "**"]
    regex = "".join("(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in parts[:-1])
    return regex + (".*" if parts[-1] == "**" else _part(parts[-1]))


def _part(part: str) -> str:
    """One part of a pattern, with `*`, `?` and `[…]`."""
    regex = ""
    for piece in re.findall(r"\[!?\]?[^\]]*\]|.", part, re.DOTALL):
        if piece == "*":
            regex += "[^/]*"
        elif piece == "?":
            regex += "[^/]"
        elif len(piece) > 1:
            inner = piece[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
            inner = f"^{inner[1:]}" if inner.startswith("!") else inner.replace("^", r"\^")
            regex += f"(?!/)[{inner}]"
        else:
            regex += re.escape(piece)
    return regex
