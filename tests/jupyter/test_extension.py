"""The server extension: who may ask, what kernels inherit, how it starts and ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket
from kernel import Kernel
from lab import TOKEN, Jupyter, until

pytestmark = pytest.mark.slow

API = "coflux/api/v1/projects"


class Browser:
    """Sends requests as a page of the server does: with cookies."""

    def __init__(self, jupyter: Jupyter) -> None:
        self.jupyter = jupyter
        self.cookies: dict[str, str] = {}

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str, Any]:
        """Status, text and headers of an answer; redirects are not followed."""
        where = urlsplit(self.jupyter.url)
        connection = http.client.HTTPConnection("127.0.0.1", self.jupyter.port, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={v}" for name, v in self.cookies.items())
        data = None if body is None else json.dumps(body)
        connection.request(method, f"{where.path}{path}", data, given)
        answer = connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer.status, text, answer.headers

    def sign_in(self) -> None:
        status, _, _ = self.ask(f"coflux/?token={TOKEN}")
        assert status == 302


@pytest.fixture
def stranger(jupyter: Jupyter) -> Browser:
    return Browser(jupyter)


@pytest.fixture
def anna(jupyter: Jupyter) -> Browser:
    browser = Browser(jupyter)
    browser.sign_in()
    return browser


def test_nobody_gets_in_without_signing_in(stranger: Browser) -> None:
    """AU: every route asks Jupyter who it is."""
    assert stranger.ask(API)[0] == 401
    assert stranger.ask(f"{API}/default/runs", "POST", {})[0] == 401
    assert stranger.ask(API, Authorization="Bearer cft_wrong")[0] == 401
    assert stranger.ask(API, Authorization="token wrong")[0] == 401
    assert stranger.ask("coflux/static/widget.js")[0] == 302
    status, _, headers = stranger.ask("coflux/runs")
    assert status == 302
    assert headers["Location"] == "/user/x/login?next=%2Fuser%2Fx%2Fcoflux%2Fruns"


def test_a_query_string_is_no_place_for_a_token_of_the_api(stranger: Browser) -> None:
    assert stranger.ask(f"{API}?token={TOKEN}")[0] == 401


def test_jupyters_token_opens_the_api(stranger: Browser) -> None:
    for scheme in ("token", "Bearer"):
        status, text, _ = stranger.ask(API, Authorization=f"{scheme} {TOKEN}")
        assert status == 200
        assert json.loads(text)[0]["name"] == "default"


def test_a_page_is_served_below_the_prefix_and_changes_with_the_cookie_and_its_header(
    anna: Browser,
) -> None:
    """Jupyter's XSRF rule."""
    status, page, _ = anna.ask("coflux/")
    assert status == 200
    assert '<base href="/user/x/coflux/">' in page
    config = json.loads(page.partition('id="coflux-config">')[2].partition("<")[0])
    body = {"name": "made-by-the-page", "base": None}
    path = f"{API}/default/environments"
    assert anna.ask(path, "POST", body)[0] == 403
    assert anna.ask(path, "POST", body, X_XSRFToken="wrong")[0] == 403
    assert anna.ask(path, "POST", body, X_XSRFToken=config["xsrf"])[0] == 201


def test_pages_of_others_are_not_heard(anna: Browser, stranger: Browser) -> None:
    """AU-1."""
    assert anna.ask(API)[0] == 200
    assert anna.ask(API, Origin="http://elsewhere.example")[0] == 403
    assert anna.ask(API, Host="elsewhere.example")[0] == 403
    assert stranger.ask("coflux/", Host="elsewhere.example")[0] == 403


def test_sockets_are_for_the_signed_in_as_well(jupyter: Jupyter, anna: Browser) -> None:
    address = f"{jupyter.url.replace('http', 'ws', 1)}{API}/default/topics"
    cookies = "; ".join(f"{name}={value}" for name, value in anna.cookies.items())
    connection = websocket.create_connection(
        address, cookie=cookies, origin=f"http://127.0.0.1:{jupyter.port}", timeout=60
    )
    connection.send(json.dumps({"op": "sub", "id": 1, "topic": "environments", "args": {}}))
    with contextlib.closing(connection):
        kinds = [json.loads(connection.recv())["t"] for _ in range(2)]
    assert "snap" in kinds
    for refused in (
        {"origin": f"http://127.0.0.1:{jupyter.port}"},
        {"cookie": cookies, "origin": "http://elsewhere.example"},
    ):
        with pytest.raises(websocket.WebSocketBadStatusException):
            websocket.create_connection(address, timeout=60, **refused)


def test_kernels_inherit_where_coflux_is(jupyter: Jupyter, stranger: Browser) -> None:
    with Kernel(jupyter) as kernel:
        host, token = eval(
            kernel.run("import os; os.environ['COFLUX_HOST'], os.environ['COFLUX_TOKEN']").text
        )
    assert f"{host}/" == f"{jupyter.url}coflux/"
    assert stranger.ask(API, Authorization=f"Bearer {token}")[0] == 200


def test_other_programs_of_the_user_find_it(jupyter: Jupyter) -> None:
    (path,) = (jupyter.folder / "run" / "coflux").glob("server-*.json")
    found = json.loads(path.read_text())
    assert found["url"] == f"{jupyter.url}coflux/"
    assert Path(found["data_dir"]) == jupyter.root.resolve() / ".coflux"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_works_where_handlers_must_name_their_callers() -> None:
    """With allow_unauthenticated_access=False, without a complaint about a handler of ours."""
    with Jupyter() as server:
        server.environment["JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS"] = "false"
        server.start("server")
        assert server.coflux("/environments")[0]["name"] == "default"
        assert "coflux" not in "".join(
            line for line in server.said().splitlines() if "registered for" in line
        )


def test_ending_the_server_ends_the_projects() -> None:
    with Jupyter() as server:
        server.start("server")
        server.coflux("/environments")
        assert any("coflux.server.project.process" in _command(p) for p in server.processes())
        assert server.stop() == 0
        until(lambda: not server.processes(), "all processes have ended")
        assert not list((server.folder / "run" / "coflux").glob("server-*.json"))


def test_a_killed_server_leaves_no_project_behind() -> None:
    with Jupyter() as server:
        server.start("server")
        server.coflux("/environments")
        server.stop(signal.SIGKILL)
        until(lambda: not server.processes(), "all processes have ended")


def _command(process: Any) -> str:
    return " ".join(process.cmdline())


def test_what_keeps_it_from_starting_is_shown_and_jupyter_goes_on() -> None:
    with Jupyter() as other:
        place = other.root / ".coflux"
        place.write_text("a file where a folder should be")
        other.start("server", ready="Coflux is not available")
        browser = Browser(other)
        status, text, _ = browser.ask("coflux/", Authorization=f"token {TOKEN}")
        assert status == 503
        assert "cannot be made" in text
        status, text, _ = browser.ask(API, Authorization=f"token {TOKEN}")
        assert json.loads(text)["error"]["code"] == "unavailable"
        assert other.ask("GET", "api/status")
        assert other.stop() == 0
