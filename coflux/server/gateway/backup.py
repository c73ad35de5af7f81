"""Backups: a project's databases and blobs as one tar stream, and the way back (DM-4).

Belongs here: what is in the archive and in which order it is taken. Does not belong here: how the
databases are copied (the project process does it) and HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from coflux.errors import Conflict, InvalidRequest
from coflux.server.gateway.accounts import Accounts

FORMAT = 1
#: Marks a restored store; its content is new with each restore. The project process reads it.
INCARNATION = "incarnation"
_MANIFEST = "coflux-backup.json"
_DATABASES = ("store.db", "logs.db", "hooks.db")
_BLOB = re.compile(r"blobs/(?P<start>[0-9a-f]{2})/(?P<key>(?P=start)[0-9a-f]{62})")


def link_blobs(blobs: Path, snapshot: Path) -> None:
    """Link all blobs into the snapshot folder, those that are there already excepted.

    Called before and after the databases are copied: a blob that a copied row names was there
    before or has come since, and what is linked stays even if it is collected meanwhile.
    """
    for folder in _subfolders(blobs):
        target = snapshot / folder.name
        target.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(path, target / path.name)


def _subfolders(blobs: Path) -> Iterator[Path]:
    if blobs.is_dir():
        yield from sorted(path for path in blobs.iterdir() if len(path.name) == 2)


def write_archive(project: str, copies: Path, write: Callable[[bytes], int]) -> None:
    """Write the archive of a snapshot: `copies` holds the databases and the folder `blobs`."""
    sink = cast(IO[bytes], _Sink(write))
    manifest = json.dumps({"format": FORMAT, "project": project}).encode()
    (copies / _MANIFEST).write_bytes(manifest)
    with tarfile.open(fileobj=sink, mode="w|", bufsize=1024 * 1024) as archive:
        for name in (_MANIFEST, *_DATABASES):
            if (copies / name).exists():
                archive.add(copies / name, name)
        for folder in _subfolders(copies / "blobs"):
            for path in sorted(folder.iterdir()):
                archive.add(path, f"blobs/{folder.name}/{path.name}")


class _Sink:
    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write


def restore(archive: Path, data_dir: Path, project: str | None = None) -> str:
    """Put a backup into a data directory whose server is not running; returns the project's name.

    `project` gives it another name than it had. Raises `InvalidRequest` for a file that is no
    backup and `Conflict` when the project has data already; nothing is changed then.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    accounts = Accounts(data_dir / "server.db")
    try:
        return _restore(archive, data_dir, accounts, project)
    finally:
        accounts.close()


def _restore(archive: Path, data_dir: Path, accounts: Accounts, project: str | None) -> str:
    unpacked = data_dir / "projects" / f"restoring-{secrets.token_hex(4)}"
    unpacked.mkdir(mode=0o700, parents=True)
    try:
        recorded = _unpack(archive, unpacked)
        name = project or recorded
        folder = accounts.directory(name)
        if folder is not None and (data_dir / "projects" / folder / "store.db").exists():
            raise Conflict(
                f"Project {name!r} has data in {data_dir}; restore under another name or into"
                " another data directory."
            )
        (unpacked / INCARNATION).write_text(secrets.token_hex(8))
        target = data_dir / "projects" / (folder or accounts.create_project(name))
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
        return name
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _unpack(archive: Path, target: Path) -> str:
    try:
        with tarfile.open(archive, mode="r|*") as tar:
            return _unpack_members(tar, target)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidRequest(f"{archive} is no backup of coflux: {error}.") from error


def _unpack_members(tar: tarfile.TarFile, target: Path) -> str:
    project = None
    for member in tar:
        content = tar.extractfile(member) if member.isfile() else None
        if content is None or not _is_expected(member.name):
            raise InvalidRequest(f"The backup holds {member.name!r}, which does not belong there.")
        if member.name == _MANIFEST:
            project = _read_manifest(content.read())
            continue
        path = target / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file, 1024 * 1024)
    if project is None or not (target / "store.db").exists():
        raise InvalidRequest("The file is no complete backup of coflux.")
    return project


def _is_expected(name: str) -> bool:
    return name == _MANIFEST or name in _DATABASES or _BLOB.fullmatch(name) is not None


def _read_manifest(content: bytes) -> str:
    try:
        manifest = json.loads(content)
        number, project = int(manifest["format"]), str(manifest["project"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest("The file is no backup of coflux.") from error
    if number > FORMAT:
        raise Conflict(
            f"The backup has format {number}, this coflux knows {FORMAT}; use a newer coflux."
        )
    return project
