"""From a manifest to files, inside a directory and never through a link (AS-3).

Belongs here: writing. Does not belong here: which paths are acceptable (`paths`).

Every directory on the way is opened by itself, relative to the one above, and refused when it is a
link. So nobody can lead a write elsewhere, not even by changing the directory meanwhile.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path

from coflux.assets.collecting import THREADS
from coflux.assets.paths import check, check_path
from coflux.blobs import Blobs, copy
from coflux.errors import Conflict, InvalidRequest, NotFound
from coflux.model import AssetManifest, Entry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def restore(
    manifest: AssetManifest,
    *,
    base: Path,
    blobs: Blobs,
    to: str | Path | None = None,
    entry: str | None = None,
) -> Path:
    """Write an asset's files to where they were, or below `to`; files there are replaced.

    Args:
        manifest: checked before anything is written.
        base: the directory that nothing is written outside of.
        blobs: where the files are.
        to: relative to `base`, or absolute inside it.
        entry: path of the only entry to restore.

    Returns:
        The file or directory written.

    Raises:
        InvalidRequest: the manifest is not safe, or `to` lies outside `base`.
        NotFound: a blob is missing, or there is no such entry.
        Conflict: a link, or a file in place of a directory, is in the way.
        CofluxError: a blob is damaged.
    """
    check(manifest)
    entries = manifest.entries if entry is None else (_entry(manifest, entry),)
    folder = _folder(manifest, base, to)
    _write(entries, base, folder, blobs, replace=True)
    if entry is not None or manifest.is_file:
        return base.joinpath(*folder, *entries[0].path.split("/"))
    return base.joinpath(*folder)


def download(
    manifest: AssetManifest, to: Path, blobs: Blobs, overwrite: bool = False
) -> list[Path]:
    """Write an asset's files below a directory, which is made if need be.

    Args:
        manifest: checked before anything is written.
        to: the directory.
        blobs: where the files are.
        overwrite: replace what is there; otherwise nothing is written when anything is.

    Returns:
        The files written.

    Raises:
        Conflict: something is there already, or a link is in the way.
        InvalidRequest, NotFound, CofluxError: as for `restore`.
    """
    check(manifest)
    paths = [to.joinpath(*entry.path.split("/")) for entry in manifest.entries]
    if not overwrite:
        for path in paths:
            if os.path.lexists(path):
                raise _exists(path)
    to.mkdir(parents=True, exist_ok=True)
    _write(manifest.entries, to, (), blobs, replace=overwrite)
    return paths


def _entry(manifest: AssetManifest, path: str) -> Entry:
    for entry in manifest.entries:
        if entry.path == path:
            return entry
    raise NotFound(f"the asset has no entry {path!r}", path=path)


def _folder(manifest: AssetManifest, base: Path, to: str | Path | None) -> tuple[str, ...]:
    """The directory to write to, as parts below base."""
    if to is None:
        parts = tuple(part for part in manifest.path.split("/") if part != ".")
        return parts[:-1] if manifest.is_file else parts
    absolute = os.path.abspath(base)
    relative = os.path.relpath(os.path.normpath(os.path.join(absolute, to)), absolute)
    if relative == ".":
        return ()
    if relative == ".." or relative.startswith("../"):
        raise InvalidRequest(f"{to} is outside the directory to restore into ({base})")
    check_path(relative)
    return tuple(relative.split("/"))


def _write(
    entries: tuple[Entry, ...], base: Path, folder: tuple[str, ...], blobs: Blobs, replace: bool
) -> None:
    descriptor = os.open(base, _DIRECTORY)
    try:
        # An empty directory as well.
        with _opened(descriptor, folder):
            pass
        write = partial(_write_entry, descriptor, folder, blobs, replace)
        if len(entries) < 2:
            for entry in entries:
                write(entry)
            return
        with ThreadPoolExecutor(min(THREADS, len(entries)), "coflux-assets") as pool:
            for _ in pool.map(write, entries):
                pass
    finally:
        os.close(descriptor)


def _write_entry(
    base: int, folder: tuple[str, ...], blobs: Blobs, replace: bool, entry: Entry
) -> None:
    *parents, name = entry.path.split("/")
    temporary = f".coflux-{secrets.token_hex(8)}"
    with _opened(base, (*folder, *parents)) as directory, blobs.open(entry.blob) as reader:
        descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=directory)
        try:
            with FileIO(descriptor, "wb") as file:
                copy(reader, file)
                os.fchmod(descriptor, entry.mode)
            _place(directory, temporary, name, replace, entry.path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)


def _place(directory: int, temporary: str, name: str, replace: bool, path: str) -> None:
    """Give a whole file its name. A link of that name is replaced, not followed."""
    try:
        if replace:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except FileExistsError:
        raise _exists(path) from None
    except IsADirectoryError:
        raise Conflict(f"{path} is a directory here; a file cannot take its place") from None


@contextmanager
def _opened(base: int, parts: tuple[str, ...]) -> Iterator[int]:
    """The directory below an open one, made if need be; no part of the way may be a link."""
    current = os.dup(base)
    try:
        for position, part in enumerate(parts):
            deeper = _step(current, part, "/".join(parts[: position + 1]))
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)


def _step(directory: int, part: str, path: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=directory)
    try:
        return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        mode = os.stat(part, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise Conflict(
                f"{path} is a link here, and files are never written through one"
            ) from error
        if not stat.S_ISDIR(mode):
            raise Conflict(f"{path} is a file here; a directory cannot take its place") from error
        raise


def _exists(path: str | Path) -> Conflict:
    return Conflict(f"{path} exists already; nothing is overwritten unasked", path=str(path))
