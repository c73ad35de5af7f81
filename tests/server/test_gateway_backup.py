"""Backups: whole, streamed, and restored into another data directory (DM-4)."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import tarfile
from pathlib import Path

import pytest
from gateway_harness import API, P, Server

from coflux.errors import Conflict, InvalidRequest
from coflux.server.gateway.backup import INCARNATION, link_blobs, restore


def filled(server: Server) -> list[bytes]:
    contents = [b"a" * 3_000_000, b"b", b""]
    for content in contents:
        server.call("PUT", f"{P}/blobs/{hashlib.sha256(content).hexdigest()}", content)
    server.call("GET", f"{P}/runs")
    return contents


def test_a_backup_holds_the_databases_and_all_blobs(server: Server) -> None:
    contents = filled(server)
    answer = server.call("POST", f"{P}/backup")
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        names = archive.getnames()
        assert names[:3] == ["coflux-backup.json", "store.db", "logs.db"]
        assert len(names) == 3 + len(contents)
    directory = server.running.gateway.project("default").directory
    assert not list(directory.glob("backup-*"))


def test_a_restored_project_has_everything_and_a_new_incarnation(
    server: Server, tmp_path: Path
) -> None:
    contents = filled(server)
    archive = tmp_path / "backup.tar"
    archive.write_bytes(server.call("POST", f"{P}/backup").body)
    target = tmp_path / "restored"
    assert restore(archive, target) == "default"
    assert restore(archive, target, "copy") == "copy"
    with Server(target) as restored:
        for project in ("default", "copy"):
            for content in contents:
                name = hashlib.sha256(content).hexdigest()
                path = f"{API}/projects/{project}/blobs/{name}"
                assert restored.call("GET", path).body == content
            assert restored.call("GET", f"{API}/projects/{project}/runs").status == 200
        directories = [
            restored.running.gateway.project(project).directory for project in ("default", "copy")
        ]
        first, second = ((path / INCARNATION).read_text() for path in directories)
        assert first != second
        with sqlite3.connect(directories[0] / "store.db") as database:
            assert database.execute("SELECT count(*) FROM marks").fetchone() == (0,)
        database.close()


def test_a_restore_never_replaces_data(server: Server, tmp_path: Path) -> None:
    filled(server)
    archive = tmp_path / "backup.tar"
    archive.write_bytes(server.call("POST", f"{P}/backup").body)
    restore(archive, tmp_path / "restored")
    with pytest.raises(Conflict, match="has data"):
        restore(archive, tmp_path / "restored")
    assert not list((tmp_path / "restored" / "projects").glob("restoring-*"))


def test_a_file_that_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    for content in (b"", b"text", b"\0" * 10_240):
        wrong.write_bytes(content)
        with pytest.raises(InvalidRequest):
            restore(wrong, tmp_path / "restored")
    assert list((tmp_path / "restored" / "projects").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/evil", "blobs/aa/../../evil", "server.db"])
def test_a_backup_that_would_write_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.tar"
    with tarfile.open(wrong, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(InvalidRequest, match="does not belong"):
        restore(wrong, tmp_path / "restored")


def test_an_archive_cut_short_is_refused(server: Server, tmp_path: Path) -> None:
    filled(server)
    whole = server.call("POST", f"{P}/backup").body
    archive = tmp_path / "backup.tar"
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidRequest):
        restore(archive, tmp_path / "restored")


def test_a_blob_collected_during_a_backup_is_in_it(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / "aa" / ("aa" + "0" * 62)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    link_blobs(tmp_path / "blobs", tmp_path / "snapshot")
    blob.unlink()
    link_blobs(tmp_path / "blobs", tmp_path / "snapshot")
    assert (tmp_path / "snapshot" / "aa" / blob.name).read_bytes() == b"x"


def test_a_backup_needs_admin_over_all_environments(server: Server) -> None:
    token = server.create_token("admin", environment="dev/*")
    assert server.call("POST", f"{P}/backup", token=token).status == 403
