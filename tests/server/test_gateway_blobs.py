"""Blobs over HTTP: checked, atomic, streamed, with ranges (AS-5)."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest
from gateway_harness import P, Server, eventually

from coflux.blobs.http import HttpBlobs
from coflux.errors import CofluxError, Unavailable
from coflux.server.gateway.blobs import BlobFolder


def key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def folder(server: Server) -> Path:
    return server.running.gateway.project("default").blobs.folder


def files(server: Server) -> list[str]:
    return sorted(p.name for p in folder(server).rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 5_000_001])
def test_a_blob_comes_back_as_it_was_stored(server: Server, size: int) -> None:
    content = os.urandom(size)
    name = key(content)
    assert server.call("HEAD", f"{P}/blobs/{name}").status == 404
    answer = server.call("PUT", f"{P}/blobs/{name}", content)
    assert (answer.status, answer.json) == (201, {"sha256": name, "size": size})
    answer = server.call("GET", f"{P}/blobs/{name}")
    assert (answer.status, answer.body) == (200, content)
    head = server.call("HEAD", f"{P}/blobs/{name}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(size), b"")
    assert (folder(server) / name[:2] / name).read_bytes() == content


def test_storing_a_blob_again_is_fine_and_leaves_one_file(server: Server) -> None:
    for _ in range(2):
        assert server.call("PUT", f"{P}/blobs/{key(b'x')}", b"x").status == 201
    assert files(server) == [key(b"x")]


def test_content_that_does_not_match_its_key_is_refused_and_leaves_nothing(
    server: Server,
) -> None:
    answer = server.call("PUT", f"{P}/blobs/{key(b'x')}", b"y" * 3_000_000)
    assert (answer.status, answer.code) == (400, "invalid")
    assert key(b"x") in answer.message
    eventually(lambda: files(server) == [])
    assert server.call("GET", f"{P}/blobs/{key(b'x')}").status == 404


def test_malformed_keys_are_refused_before_any_file_is_touched(server: Server) -> None:
    for name in ("x", key(b"x").upper(), key(b"x")[:-1], key(b"x") + "0", "..%2f..%2fserver.db"):
        assert server.call("PUT", f"{P}/blobs/{name}", b"x").status == 400
        assert server.call("GET", f"{P}/blobs/{name}").status == 404
        assert server.call("HEAD", f"{P}/blobs/{name}").status == 404
    assert not folder(server).exists()


def test_an_upload_cut_half_way_leaves_nothing(server: Server) -> None:
    name = key(b"x" * 4_000_000)
    head = (
        f"PUT {P}/blobs/{name} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 4000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + b"x" * 2_500_000)
        eventually(lambda: files(server))
    eventually(lambda: files(server) == [])


def test_readers_see_a_blob_only_when_it_is_whole(server: Server) -> None:
    content = b"x" * 3_000_000
    name = key(content)
    head = (
        f"PUT {P}/blobs/{name} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 3000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + content[:2_500_000])
        eventually(lambda: files(server))
        assert server.call("GET", f"{P}/blobs/{name}").status == 404
        connection.sendall(content[2_500_000:])
        assert b" 201 " in connection.recv(1000)
    assert server.call("GET", f"{P}/blobs/{name}").status == 200


def test_leftovers_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "gateway-left").touch()
    (tmp_path / "tmp" / "of-an-agent").touch()
    BlobFolder(tmp_path).remove_leftovers()
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["of-an-agent"]


@pytest.mark.parametrize(
    ("header", "status", "expected", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-4", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
def test_ranges(
    server: Server, header: str, status: int, expected: bytes, content_range: str | None
) -> None:
    content = b"0123456789"
    server.call("PUT", f"{P}/blobs/{key(content)}", content)
    answer = server.call("GET", f"{P}/blobs/{key(content)}", headers={"Range": header})
    assert (answer.status, answer.body) == (status, expected)
    assert answer.headers["Content-Range"] == content_range


def test_a_blob_altered_on_disk_is_refused_as_damaged_until_stored_again(server: Server) -> None:
    content = b"precious" * 1000
    name = key(content)
    server.call("PUT", f"{P}/blobs/{name}", content)
    server.call("GET", f"{P}/blobs/{name}")
    path = folder(server) / name[:2] / name
    path.write_bytes(b"X" + content[1:])
    answer = server.call("GET", f"{P}/blobs/{name}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert "damaged" in answer.message
    assert name in answer.message
    # Who reads it through the client hears the same, rather than that it is missing (AS).
    with pytest.raises(CofluxError, match="is damaged"):
        HttpBlobs(f"http://127.0.0.1:{server.port}{P}/blobs", server.token).read(name)
    assert server.call("PUT", f"{P}/blobs/{name}", content).status == 201
    assert server.call("GET", f"{P}/blobs/{name}").body == content


def test_blobs_above_the_limit_are_refused_naming_limit_and_size_LI_3(server: Server) -> None:
    head = (
        f"PUT {P}/blobs/{key(b'x')} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: {17 * 1024**3}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(10_000):
            answer += piece
    assert b" 400 " in answer
    assert str(16 * 1024**3).encode() in answer


def test_a_disk_that_would_be_full_refuses_new_blobs_SE_11(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="disk is full"):
        BlobFolder(tmp_path / "blobs").check_space(1 << 60)


def test_bytes_of_users_never_run_as_pages(server: Server) -> None:
    content = b"<script>alert(1)</script>"
    server.call("PUT", f"{P}/blobs/{key(content)}", content)
    headers = server.call("GET", f"{P}/blobs/{key(content)}").headers
    assert headers["Content-Disposition"] == "attachment"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_asking_for_a_blob_renews_its_grace_DM_3(server: Server) -> None:
    server.call("PUT", f"{P}/blobs/{key(b'x')}", b"x")
    path = folder(server) / key(b"x")[:2] / key(b"x")
    os.utime(path, (1, 1))
    assert server.call("HEAD", f"{P}/blobs/{key(b'x')}").status == 200
    assert path.stat().st_mtime > 1_000_000


def test_storing_a_blob_again_or_asking_for_it_begins_its_grace_anew_DM_3(server: Server) -> None:
    name = key(b"x")
    server.call("PUT", f"{P}/blobs/{name}", b"x")
    path = folder(server) / name[:2] / name
    for method, content in (("PUT", b"x"), ("HEAD", None)):
        os.utime(path, (1, 1))
        assert server.call(method, f"{P}/blobs/{name}", content).status in (200, 201)
        assert path.stat().st_mtime > 1
