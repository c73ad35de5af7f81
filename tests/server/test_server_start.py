"""Starting and stopping a server as a process: one line when it cannot, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from gateway_harness import API, FAKE, P, Server, eventually

from coflux.errors import InvalidRequest
from coflux.server.gateway import datadir

SCRIPT = """
import sys
from pathlib import Path
from coflux.server.main import ServerConfig, serve

def ready(server):
    print(server.sign_in_url, flush=True)

options = eval(sys.argv[1])
sys.exit(serve(ServerConfig(ready=ready, **options)))
"""


def options(data_dir: Path, **more: Any) -> str:
    values = {
        "port": 0, "data_dir": data_dir, "command": FAKE, "runtime_dir": data_dir.parent / "run",
    }  # fmt: skip
    return repr({**values, **more}).replace("PosixPath", "Path")


@contextmanager
def process(data_dir: Path, **more: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", SCRIPT, options(data_dir, **more)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line, server.stderr.read() if server.stderr else ""
    return line.partition("?")[0]


def runtime(data_dir: Path) -> Any:
    (path,) = (data_dir.parent / "run").glob("server-*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    return json.loads(path.read_text())


def get(url: str, token: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def is_gone(pid: int) -> bool:
    """Whether nothing runs under the id; an orphan may stay a zombie where nobody reaps it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_server_is_ready_within_a_second(tmp_path: Path) -> None:
    began = time.monotonic()
    with process(tmp_path / "data") as server:
        url = address(server)
        took = time.monotonic() - began
        assert get(f"{url}api/v1/health", "") == {"status": "ok"}
    # Twice the second: the machine that runs the tests does other things, too.
    assert took < 2.0


def test_the_runtime_file_leads_to_the_server_and_goes_with_it(tmp_path: Path) -> None:
    with process(tmp_path / "data") as server:
        url = address(server)
        found = runtime(tmp_path / "data")
        assert found["url"] == url
        assert found["pid"] == server.pid
        assert found["data_dir"] == str(tmp_path / "data")
        assert get(f"{url}api/v1/projects", found["token"])[0]["name"] == "default"
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert server.stderr is not None
        assert server.stderr.read() == ""
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "stdin"])
def test_the_end_of_a_server_ends_its_projects(tmp_path: Path, end: str) -> None:
    with process(tmp_path / "data", exit_on_stdin_eof=True) as server:
        url = address(server)
        pid = get(f"{url}api/v1/projects/default/runs", runtime(tmp_path / "data")["token"])["pid"]
        assert psutil.pid_exists(pid)
        if end == "stdin":
            assert server.stdin is not None
            server.stdin.close()
        else:
            server.send_signal(signal.Signals[end])
        assert server.wait(10) == 0
        assert is_gone(pid)


def test_a_killed_server_takes_its_projects_along_and_another_takes_over_DM_5(
    tmp_path: Path,
) -> None:
    with process(tmp_path / "data") as server:
        url = address(server)
        token = runtime(tmp_path / "data")["token"]
        pid = get(f"{url}api/v1/projects/default/runs", token)["pid"]
        server.kill()
        server.wait(10)
    with process(tmp_path / "data") as server:
        url = address(server)
        found = runtime(tmp_path / "data")
        assert found["pid"] == server.pid
        again = get(f"{url}api/v1/projects/default/runs", found["token"])["pid"]
        assert again != pid
        assert is_gone(pid)


def test_projects_that_were_used_start_without_being_asked_SC_6(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.call("POST", f"{API}/projects", {"name": "unused"})
        server.call("GET", f"{P}/runs")
    with Server(tmp_path) as server:
        eventually(lambda: server.pid())
        assert server.pid("unused") is None


def refused(data_dir: Path, **more: Any) -> str:
    command = [sys.executable, "-c", SCRIPT, options(data_dir, **more)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_a_second_server_on_one_data_directory_is_refused_at_once_DM_5(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        line = refused(tmp_path)
        assert "already" in line
        assert server.running.url in line
        assert str(os.getpid()) in line


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port} is in use" in refused(tmp_path, port=port)


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    assert "Cannot listen on 192.0.2.1:0" in refused(tmp_path, host="192.0.2.1")


def test_no_auth_is_refused_on_an_address_others_reach_unless_forced_AU_1(tmp_path: Path) -> None:
    assert "0.0.0.0" in refused(tmp_path, host="0.0.0.0", no_auth=True)
    with Server(tmp_path, host="0.0.0.0", no_auth=True, force=True) as server:
        assert server.call("GET", f"{P}/runs", token=None).status == 200


def test_a_newer_store_is_refused_DM_5(tmp_path: Path) -> None:
    with Server(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "server.db") as database:
        database.execute("PRAGMA user_version = 1000")
    database.close()
    assert "newer" in refused(tmp_path)


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file" / "data") in refused(tmp_path / "file" / "data")


MOUNTS = """
/dev/sda / ext4 rw 0 0
host:/home /home nfs4 rw 0 0
/dev/sdb /home/local\\040disk ext4 rw 0 0
share /mnt/share cifs rw 0 0
"""


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    for path, kind in (
        ("/var/x", "ext4"), ("/home/x", "nfs4"), ("/home/local disk/x", "ext4"),
        ("/homes/x", "ext4"), ("/mnt/share", "cifs"),
    ):  # fmt: skip
        assert datadir.file_system(Path(path), MOUNTS) == kind
    for kind in ("nfs", "cifs", "smb3", "9p", "fuse.sshfs"):
        with pytest.raises(InvalidRequest, match="network file system"):
            datadir.prepare(tmp_path, f"x {tmp_path} {kind} rw 0 0")
    assert datadir.prepare(tmp_path, f"x {tmp_path} ext4 rw 0 0") == tmp_path


def test_a_base_url_comes_before_every_path(tmp_path: Path) -> None:
    with Server(tmp_path, base_url="user/x") as server:
        assert server.running.url == f"http://127.0.0.1:{server.port}/user/x/"
        assert server.call("GET", f"{P}/runs").json["uri"] == "/runs"
        document = server.call("GET", f"{API}/openapi.json", token=None).json
        assert document["servers"] == [{"url": "/user/x/api/v1"}]


def socket_of(data_dir: Path, server: Server) -> Path:
    folder = Path(json.loads((data_dir / "server.lock").read_text())["sockets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    server.call("GET", f"{P}/runs")
    (path,) = folder.iterdir()
    assert len(str(path)) < 100
    return path


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path; pytest's own are long."""
    with tempfile.TemporaryDirectory(prefix="c") as folder:
        yield Path(folder)


def test_a_projects_socket_is_at_the_same_place_after_a_restart(short: Path) -> None:
    with Server(short) as server:
        first = socket_of(short, server)
    assert not first.parent.exists()
    with Server(short) as server:
        assert socket_of(short, server) == first


def test_a_long_data_directory_has_its_sockets_elsewhere(short: Path) -> None:
    data_dir = short / ("long" * 30)
    with Server(data_dir) as server:
        path = socket_of(data_dir, server)
    assert not path.parent.exists()


def test_the_sockets_of_a_killed_server_are_removed(short: Path) -> None:
    data_dir = short / ("long" * 30)
    with process(data_dir) as server:
        address(server)
        stale = Path(json.loads((data_dir / "server.lock").read_text())["sockets"])
        eventually(lambda: list(stale.iterdir()))  # the project's process is there
        server.kill()
        server.wait(10)
    assert stale.exists()
    with Server(data_dir):
        assert not stale.exists()
