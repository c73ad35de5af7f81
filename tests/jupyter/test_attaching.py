"""A Jupyter server attached to a Coflux server that runs already."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import websocket
from kernel import Kernel
from lab import TOKEN, Jupyter, free_port, until

pytestmark = pytest.mark.slow

API = "coflux/api/v1/projects"
READY = "which this server is attached to"


@contextlib.contextmanager
def coflux_server(jupyter: Jupyter, data_dir: Path, *more: str) -> Iterator[str]:
    """`coflux server` of the same user, over a data directory; gives its address."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "coflux", "server", "--data-dir", str(data_dir),
            "--exit-on-stdin-eof", *(more or ("--port", "0")),
        ],
        env=jupyter.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    folder = jupyter.folder / "run" / "coflux"
    try:
        path = until(
            lambda: next(folder.glob(f"server-{process.pid}*.json"), None), "the server is there"
        )
        yield json.loads(path.read_text())["url"].rstrip("/")
    finally:
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="module")
def attached() -> Iterator[tuple[Jupyter, str]]:
    """A Jupyter server whose data directory has a server already, and that one's address."""
    with Jupyter() as jupyter, coflux_server(jupyter, jupyter.root / ".coflux") as url:
        # Every handler has to say whom it lets in.
        jupyter.environment["JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS"] = "false"
        jupyter.start("server", ready=READY)
        yield jupyter, url


def ask(
    jupyter: Jupyter, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Status and body of an answer below the Jupyter server."""
    where = urlsplit(jupyter.url)
    connection = http.client.HTTPConnection("127.0.0.1", jupyter.port, timeout=60)
    with contextlib.closing(connection):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{where.path}{path}", body, given)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_server_of_the_data_directory_is_used(attached: tuple[Jupyter, str]) -> None:
    jupyter, url = attached
    assert f"Coflux is at {url}" in jupyter.said()
    assert jupyter.coflux("/environments")[0]["name"] == "default"
    # It is the other one's process, and there is no second.
    commands = [" ".join(process.cmdline()) for process in jupyter.processes()]
    assert sum("coflux.server.project.process" in command for command in commands) == 1


def test_jupyters_rules_hold_for_what_is_passed_on(attached: tuple[Jupyter, str]) -> None:
    """AU-1: nobody gets there without Jupyter's sign-in, nor a page of others."""
    jupyter, _ = attached
    assert ask(jupyter, API)[0] == 401
    assert ask(jupyter, API, Authorization="token wrong")[0] == 401
    assert ask(jupyter, API, Authorization=f"token {TOKEN}")[0] == 200
    assert ask(jupyter, API, Authorization=f"token {TOKEN}", Host="elsewhere.example")[0] == 403
    assert ask(jupyter, "coflux/")[0] == 302
    assert ask(jupyter, "coflux/api/v1/health")[0] == 200


def test_no_handler_lets_strangers_in(attached: tuple[Jupyter, str]) -> None:
    said = attached[0].said().splitlines()
    assert "coflux" not in "".join(line for line in said if "registered for" in line)


READ_ONLY = """
from jupyter_server.auth import Authorizer

class ReadOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return action == "read"

c.ServerApp.authorizer_class = ReadOnly
"""


@pytest.mark.parametrize("is_attached", [False, True])
def test_jupyters_authoriser_decides_who_may_run_and_change(is_attached: bool) -> None:
    """AU: also where the token for the other server could do more."""
    with contextlib.ExitStack() as stack:
        jupyter = stack.enter_context(Jupyter(settings=READ_ONLY))
        if is_attached:
            stack.enter_context(coflux_server(jupyter, jupyter.root / ".coflux"))
        jupyter.start("server", ready=READY if is_attached else "Coflux is at")
        signed_in = {"Authorization": f"token {TOKEN}"}
        path = f"{API}/default/environments"
        assert ask(jupyter, path, **signed_in)[0] == 200
        made = json.dumps({"name": "more", "base": None}).encode()
        assert ask(jupyter, path, "POST", made, **signed_in)[0] == 403
        run = json.dumps({"target": "a/b", "environment": "default"}).encode()
        assert ask(jupyter, f"{API}/default/runs", "POST", run, **signed_in)[0] == 403
        assert ask(jupyter, "coflux/", **signed_in)[0] == 200


def test_tokens_of_the_other_server_are_judged_by_it(attached: tuple[Jupyter, str]) -> None:
    jupyter, _ = attached
    body = json.dumps({"name": "reader", "right": "read"}).encode()
    status, answer = ask(
        jupyter, f"{API}/default/tokens", "POST", body, Authorization=f"token {TOKEN}"
    )
    assert status in (200, 201), answer
    bearer = {"Authorization": f"Bearer {json.loads(answer)['token']}"}
    assert ask(jupyter, f"{API}/default/environments", **bearer)[0] == 200
    made = json.dumps({"name": "more", "base": None}).encode()
    assert ask(jupyter, f"{API}/default/environments", "POST", made, **bearer)[0] == 403
    assert ask(jupyter, API, Authorization="Bearer cfx_nobody")[0] == 401


def test_the_page_is_served_and_may_change_things(attached: tuple[Jupyter, str]) -> None:
    """Jupyter's XSRF rule."""
    jupyter, _ = attached
    where = urlsplit(jupyter.url)
    connection = http.client.HTTPConnection("127.0.0.1", jupyter.port, timeout=60)
    connection.request("GET", f"{where.path}coflux/?token={TOKEN}")
    answer = connection.getresponse()
    answer.read()
    cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or ()]
    connection.request("GET", f"{where.path}coflux/", headers={"Cookie": "; ".join(cookies)})
    answer = connection.getresponse()
    page = answer.read().decode()
    cookies += [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or ()]
    connection.close()
    config = json.loads(page.partition('id="coflux-config">')[2].partition("<")[0])
    assert config["api"] == f"{where.path}coflux/api/v1"
    body = json.dumps({"name": "made-by-the-page", "base": None}).encode()
    cookie = "; ".join(cookies)
    path = f"{API}/default/environments"
    assert ask(jupyter, path, "POST", body, Cookie=cookie)[0] == 403
    assert ask(jupyter, path, "POST", body, Cookie=cookie, X_XSRFToken=config["xsrf"])[0] == 201
    address = f"{jupyter.url.replace('http', 'ws', 1)}{API}/default/topics"
    connected = websocket.create_connection(
        address, cookie=cookie, origin=f"http://127.0.0.1:{jupyter.port}", timeout=60
    )
    with contextlib.closing(connected):
        connected.send(json.dumps({"op": "sub", "id": 1, "topic": "environments", "args": {}}))
        assert "snap" in [json.loads(connected.recv())["t"] for _ in range(2)]
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(address, timeout=60)


def test_big_bodies_pass_both_ways(attached: tuple[Jupyter, str]) -> None:
    jupyter, _ = attached
    content = b"coflux" * 2_000_000
    key = hashlib.sha256(content).hexdigest()
    signed_in = {"Authorization": f"token {TOKEN}"}
    path = f"{API}/default/blobs/{key}"
    assert ask(jupyter, path, "HEAD", **signed_in)[0] == 404
    assert ask(jupyter, path, "PUT", content, **signed_in)[0] == 201
    assert ask(jupyter, path, **signed_in) == (200, content)
    assert ask(jupyter, path, "HEAD", **signed_in) == (200, b"")
    assert ask(jupyter, path, Range="bytes=6-11", **signed_in) == (206, b"coflux")
    wrong = f"{API}/default/blobs/{'0' * 64}"
    assert ask(jupyter, wrong, "PUT", content, **signed_in)[0] == 400


def test_kernels_work_with_the_other_server(attached: tuple[Jupyter, str]) -> None:
    jupyter, url = attached
    with Kernel(jupyter) as kernel:
        kernel.run("%load_ext coflux\nimport coflux as cf")
        assert f"Connected to {url}" in kernel.run("%coflux connect").stdout
        kernel.run("@cf.workflow()\ndef doubled(x):\n    return 2 * x")
        kernel.run("%coflux run doubled 21")
        assert kernel.run("_.result()").text == "42"


def test_a_server_that_is_named_is_used_and_may_come_and_go(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Jupyter(settings=f'\nc.CofluxApp.server_url = "{url}"\n') as jupyter:
        jupyter.start("server", ready=READY)
        status, answer = ask(jupyter, API, Authorization=f"token {TOKEN}")
        assert status == 503
        assert f"No Coflux server answers at {url}" in json.loads(answer)["error"]["message"]
        for _ in range(2):
            with coflux_server(jupyter, tmp_path / "data", "--port", str(port)):
                until(
                    lambda: ask(jupyter, API, Authorization=f"token {TOKEN}")[0] == 200,
                    "it answers through Jupyter, with the token that it has now",
                )
            assert ask(jupyter, API, Authorization=f"token {TOKEN}")[0] == 503
        assert not (jupyter.root / ".coflux").exists()


def test_a_token_that_is_not_taken_is_told() -> None:
    with Jupyter() as jupyter, coflux_server(jupyter, jupyter.folder / "other") as url:
        jupyter.settings = (
            f'\nc.CofluxApp.server_url = "{url}"\nc.CofluxApp.server_token = "cfx_nobody"\n'
        )
        jupyter.start("server", ready=READY)
        status, answer = ask(jupyter, API, Authorization=f"token {TOKEN}")
        assert status == 503
        assert "CofluxApp.server_token" in json.loads(answer)["error"]["message"]
