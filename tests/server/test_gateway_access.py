"""Who may do what: every route with every kind of token, tokens' lives, Host, Origin, cookies."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_harness import API, P, Server, connected, eventually

from coflux.server.access import RIGHTS, Principal, Scope, covers, grants
from coflux.server.gateway.tickets import DAYS, Tickets
from coflux.server.main import ServerConfig
from coflux.server.routes import PREFIX, ROUTES, Route

BLOB = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
TOKENS = ("none", "bad", "expired", "revoked", "other", "read", "run", "admin")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("walk")) as server:
        server.call("POST", f"{API}/projects", {"name": "other"})
        yield server


@pytest.fixture(scope="module")
def tokens(shared: Server) -> dict[str, str | None]:
    expired = shared.create_token("admin", expires_ms=1)
    revoked = shared.call("POST", f"{P}/tokens", {"name": "r", "right": "admin"}).json
    assert shared.call("DELETE", f"{P}/tokens/{revoked['id']}").status == 200
    eventually(lambda: shared.running.gateway.accounts.identify(expired) is None)
    return {
        "none": None,
        "bad": "cft_wrong",
        "expired": expired,
        "revoked": revoked["token"],
        "other": shared.create_token("admin", project="other"),
        **{right: shared.create_token(right) for right in RIGHTS},
    }


def expected(route: Route, token: str) -> set[int]:
    """Statuses that a route may answer with to a caller with such a token."""
    if route.right == "open":
        return {200}
    if token in ("none", "bad", "expired", "revoked"):
        return {401}
    if "{project}" not in route.pattern:
        # Over all projects: listing shows one's own, creating is beyond a project's admin.
        return {200} if route.right == "read" else {403}
    if token == "other":
        return {404}
    if RIGHTS.index(token) < RIGHTS.index(route.right):  # type: ignore[arg-type]
        return {403}
    return {200, 201, 400, 404, 426}


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_holds_to_its_right_AU_2(
    shared: Server, tokens: dict[str, str | None], route: Route, token: str
) -> None:
    path = route.pattern.replace("{project}", "default").replace("{sha256}", BLOB)
    path = PREFIX + re.sub(r"\{\w+\}", "R23456", path)
    body = b"abc" if route.method == "PUT" else None
    answer = shared.call(route.method, path, body, token=tokens[token])
    assert answer.status in expected(route, token), answer.body
    if answer.status in (401, 403, 404) and route.method != "HEAD":
        assert set(answer.json["error"]) <= {"code", "message", "field"}


def test_another_projects_token_learns_nothing_of_a_known_blob_AS_6(
    shared: Server, tokens: dict[str, str | None]
) -> None:
    assert shared.call("PUT", f"{P}/blobs/{BLOB}", b"abc").status == 201
    answer = shared.call("GET", f"{P}/blobs/{BLOB}", token=tokens["other"])
    assert answer.status == 404
    elsewhere = shared.call("GET", f"{API}/projects/nowhere/blobs/{BLOB}", token=tokens["other"])
    assert elsewhere.json["error"]["code"] == answer.json["error"]["code"]


def test_a_misspelt_project_is_named_with_the_nearest_that_the_caller_may_see(
    shared: Server, tokens: dict[str, str | None]
) -> None:
    path = f"{API}/projects/defalt/runs"
    assert "did you mean 'default'?" in shared.call("GET", path).message
    assert "default" not in shared.call("GET", path, token=tokens["other"]).message


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("path", [f"{API}/nope", f"{P}/nope", f"{P}/runs/a/b/c", "/nope", f"{API}"])
def test_an_unknown_route_is_not_found_with_and_without_a_token(
    shared: Server, tokens: dict[str, str | None], token: str, path: str
) -> None:
    answer = shared.call("GET", path, token=tokens[token])
    assert (answer.status, answer.code) == (404, "not_found")


def test_a_known_path_with_another_method_is_refused(shared: Server) -> None:
    answer = shared.call("DELETE", f"{P}/runs")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST, GET"


# --- tokens ------------------------------------------------------------------------------------


def test_a_token_in_the_query_is_refused_on_the_api(shared: Server) -> None:
    for path in (f"{P}/runs", f"{API}/projects", f"{API}/health"):
        answer = shared.call("GET", f"{path}?token={shared.token}")
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert "query" in answer.message


def test_a_malformed_authorization_header_is_refused(shared: Server) -> None:
    for header in ("Basic abc", "Bearer", "Bearer  ", "cft_x"):
        answer = shared.call(
            "GET", f"{P}/runs", token=None, headers={"Authorization": header}
        )  # fmt: skip
        assert answer.status == 401


def test_a_token_grants_at_most_its_creators_scopes_AU_3(shared: Server) -> None:
    limited = shared.create_token("admin", environment="dev/*")

    def create(right: str, environment: str) -> int:
        body = {"name": "t", "right": right, "environment": environment}
        return shared.call("POST", f"{P}/tokens", body, token=limited).status

    assert create("read", "dev/a") == 201
    assert create("admin", "dev/a/*") == 201
    for environment in ("*", "dev", "prod", "development/a"):
        assert create("read", environment) == 403


def test_a_token_gives_only_tags_that_it_has_AU_3(shared: Server) -> None:
    body = {"name": "boss", "right": "admin", "tags": {"role": ["boss", "chief"]}}
    made = shared.call("POST", f"{P}/tokens", body)
    assert made.status == 201
    listed = shared.call("GET", f"{P}/tokens").json
    assert next(t for t in listed if t["id"] == made.json["id"])["tags"] == body["tags"]
    for tags, status in (
        ({"role": ["boss"]}, 201), ({"role": ["king"]}, 403), ({"floor": ["1"]}, 403),
        ({"role": [""]}, 400), ({"role": "boss"}, 400),
    ):  # fmt: skip
        body = {"name": "t", "right": "read", "tags": tags}
        assert shared.call("POST", f"{P}/tokens", body, token=made.json["token"]).status == status


def test_a_token_cannot_reach_tokens_beyond_its_scopes_AU_3(shared: Server) -> None:
    limited = shared.create_token("admin", environment="dev/*")
    body = {"name": "strong", "right": "read"}
    strong = shared.call("POST", f"{P}/tokens", body).json["id"]
    listed = shared.call("GET", f"{P}/tokens", token=limited).json
    assert strong not in [token["id"] for token in listed]
    assert shared.call("DELETE", f"{P}/tokens/{strong}", token=limited).status == 404
    assert shared.call("DELETE", f"{P}/tokens/{strong}").status == 200
    assert shared.call("DELETE", f"{P}/tokens/Tnever2").status == 404


def test_token_fields_are_checked_with_their_names_LI_1(shared: Server) -> None:
    for body, field in (
        ({"name": "n"}, "right"),
        ({"name": "n", "right": "write"}, "right"),
        ({"name": "", "right": "read"}, "name"),
        ({"name": "n", "right": "read", "environment": "a/*/b"}, "environment"),
        ({"name": "n", "right": "read", "expires_ms": 0}, "expires_ms"),
        ({"name": "n", "right": "read", "colour": 1}, "colour"),
    ):
        answer = shared.call("POST", f"{P}/tokens", body)
        assert (answer.status, answer.json["error"].get("field")) == (400, field)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": ', b"[" * 100_000, b"[]", b"null"])
def test_bodies_that_are_no_json_object_are_refused_LI_1(shared: Server, body: bytes) -> None:
    answer = shared.call("POST", f"{P}/tokens", body)
    assert (answer.status, answer.code) == (400, "invalid")


def test_only_the_hash_of_a_token_is_stored_AU_3(server: Server) -> None:
    token = server.create_token("read")
    stored = b"".join(path.read_bytes() for path in server.running.data_dir.glob("server.db*"))
    assert token.encode() not in stored
    assert token.removeprefix("cft_").encode() not in stored


def test_tokens_and_revocations_outlive_a_restart_AU_3(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        kept = server.create_token("read")
        tagged = {"name": "b", "right": "run", "tags": {"role": ["boss"]}}
        boss = server.call("POST", f"{P}/tokens", tagged).json["token"]
        revoked = server.call("POST", f"{P}/tokens", {"name": "x", "right": "read"}).json
        server.call("DELETE", f"{P}/tokens/{revoked['id']}")
        own = server.token
    with Server(tmp_path) as server:
        assert server.call("GET", f"{P}/runs", token=kept).status == 200
        identity = server.running.gateway.accounts.identify(boss)
        assert identity is not None
        assert identity.tags == {"role": ("boss",)}
        assert server.call("GET", f"{P}/runs", token=revoked["token"]).status == 401
        assert server.call("GET", f"{P}/runs", token=own).status == 401


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_the_end_of_a_token_closes_its_connections_within_5_s_AU_3(
    server: Server, how: str
) -> None:
    body = {"name": "t", "right": "read", "expires_ms": 2000 if how == "expired" else None}
    made = server.call("POST", f"{P}/tokens", body).json

    async def scenario() -> float:
        async with connected(server, "/topics", made["token"]) as peer:
            assert await peer.read() is not None
            if how == "revoked":
                await asyncio.to_thread(server.call, "DELETE", f"{P}/tokens/{made['id']}")
            began = time.monotonic()
            assert await peer.read() is None
            return time.monotonic() - began

    assert asyncio.run(scenario()) < 5


def test_the_end_of_a_token_closes_its_waiting_requests_AU_3(server: Server) -> None:
    made = server.call("POST", f"{P}/tokens", {"name": "t", "right": "read"}).json
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": f"Bearer {made['token']}"}
    connection.request("GET", f"{P}/runs?before=hang", headers=headers)
    eventually(lambda: server.running.gateway.live._open)
    server.call("DELETE", f"{P}/tokens/{made['id']}")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()


# --- sessions ----------------------------------------------------------------------------------


def test_a_session_token_is_known_by_its_project_and_covers_its_environment_AU_4(
    server: Server,
) -> None:
    server.call("GET", f"{P}/runs")
    seen = server.call("GET", f"{P}/runs", token="cfs_default.S123.good").json
    assert '"id":"S123"' in seen["headers"]["X-Coflux-Principal"]
    assert server.call("POST", f"{P}/environments", {}, "cfs_default.S123.good").status == 403
    for wrong in ("cfs_default.S123.bad", "cfs_nowhere.S123.good", "cfs_", "cfs_default"):
        assert server.call("GET", f"{P}/runs", token=wrong).status == 401


def test_a_made_up_session_token_starts_no_process_AU_5(server: Server) -> None:
    server.call("POST", f"{API}/projects", {"name": "other"})
    other = f"{API}/projects/other/runs"
    assert server.call("GET", other, token="cfs_other.S123.good").status == 401
    assert server.pid("other") is None
    assert not server.running.gateway.project("other").directory.exists()


def test_no_credential_makes_no_project_or_file_AU_5(server: Server) -> None:
    before = sorted(path.name for path in server.running.data_dir.rglob("*"))
    server.call("POST", f"{API}/projects", {"name": "new"}, token=None)
    server.call("PUT", f"{P}/blobs/{BLOB}", b"abc", token=None)
    server.call("GET", f"{API}/projects/new/runs")
    assert sorted(path.name for path in server.running.data_dir.rglob("*")) == before


# --- projects ----------------------------------------------------------------------------------


def test_project_names_are_checked_and_never_paths_ID_5(shared: Server) -> None:
    for name in ("", "-a", "A", "a/b", "../x", "a" * 64, "ä", "a b", "."):
        answer = shared.call("POST", f"{API}/projects", {"name": name})
        assert (answer.status, answer.json["error"]["field"]) == (400, "name")
    assert shared.call("POST", f"{API}/projects", {"name": "a" * 63}).status == 201
    again = shared.call("POST", f"{API}/projects", {"name": "a" * 63})
    assert (again.status, again.code) == (409, "conflict")


def test_default_exists_from_the_first_start_and_others_only_by_request_ID_6(
    server: Server,
) -> None:
    names = [project["name"] for project in server.call("GET", f"{API}/projects").json]
    assert names == ["default"]
    assert server.call("GET", f"{API}/projects/other/runs").status == 404
    assert server.call("POST", f"{API}/projects", {"name": "other"}).json["state"] == "idle"
    assert server.call("GET", f"{API}/projects/other/runs").status == 200


def test_projects_of_others_are_not_listed(
    shared: Server, tokens: dict[str, str | None]
) -> None:  # fmt: skip
    listed = shared.call("GET", f"{API}/projects", token=tokens["other"]).json
    assert [project["name"] for project in listed] == ["other"]


# --- protocol, host, origin, pages ---------------------------------------------------------------


def test_another_protocol_is_refused_naming_both_LI_2(shared: Server) -> None:
    for version, status in (("1", 200), ("1.7", 200), ("2", 400), ("x", 400)):
        answer = shared.call("GET", f"{P}/runs", headers={"X-Coflux-Protocol": version})
        assert answer.status == status
        if status == 400:
            assert f"'{version}'" in answer.message
            assert "speaks 1" in answer.message


@pytest.mark.parametrize("no_auth", [False, True])
def test_foreign_names_and_origins_are_refused_in_every_mode_AU_1(
    tmp_path: Path, no_auth: bool
) -> None:
    with Server(tmp_path, no_auth=no_auth) as server:
        port = server.port
        for path in (f"{P}/runs", f"{API}/health", "/", f"{API}/nope"):
            for headers in (
                {"Host": "evil.example"},
                {"Host": f"evil.example:{port}"},
                {"Host": ""},
                {"Host": "[broken"},
                {"Origin": "http://evil.example"},
                {"Origin": "null"},
                {"Origin": f"http://127.0.0.1:{port + 1}"},
            ):
                token = None if no_auth else "own"
                assert server.call("GET", path, token=token, headers=headers).status == 403
        for headers in ({"Host": f"localhost:{port}"}, {"Host": f"[::1]:{port}"},
                        {"Origin": f"http://127.0.0.1:{port}"}):  # fmt: skip
            token = None if no_auth else "own"
            assert server.call("GET", f"{P}/runs", token=token, headers=headers).status == 200


def test_a_name_can_be_allowed(tmp_path: Path) -> None:
    with Server(tmp_path, allowed_hosts=("coflux.example",)) as server:
        headers = {"Host": "Coflux.Example:80"}
        assert server.call("GET", f"{API}/health", headers=headers).status == 200


def test_without_authentication_wrong_tokens_are_still_refused_AU_1(tmp_path: Path) -> None:
    with Server(tmp_path, no_auth=True) as server:
        assert server.call("GET", f"{P}/runs", token=None).status == 200
        assert server.call("POST", f"{API}/projects", {"name": "x"}, token=None).status == 201
        assert server.call("GET", f"{P}/runs", token="cft_wrong").status == 401


@pytest.mark.parametrize("base", ["/", "/user/x/"])
def test_a_browser_signs_in_once_and_its_cookie_counts(tmp_path: Path, base: str) -> None:
    with Server(tmp_path, base_url=base) as server:
        assert server.call("GET", "/", token=None).status == 401
        assert server.call("GET", "/?token=wrong", token=None).status == 401
        answer = server.call("GET", f"/runs/R2?env=a%20b&token={server.token}", token=None)
        assert answer.status == 302
        assert answer.headers["Location"] == f"{base}runs/R2?env=a+b"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert f"Path={base}" in cookie
        sent = {"Cookie": cookie.partition(";")[0]}
        page = server.call("GET", "/", token=None, headers=sent)
        assert page.status == 200
        assert f'<base href="{base}">'.encode() in page.body
        assert f'"api": "{base}api/v1"'.encode() in page.body
        assert server.call("GET", "/static/app.js", token=None, headers=sent).status == 200
        assert server.call("GET", f"{P}/runs", token=None, headers=sent).status == 200
        foreign = {**sent, "Origin": "http://evil"}
        assert server.call("POST", f"{P}/runs", {}, token=None, headers=foreign).status == 403


def signed_in(server: Server) -> dict[str, str]:
    """The cookie of a browser that has used the printed address."""
    answer = server.call("GET", f"/?token={server.token}", token=None)
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def test_a_browser_stays_signed_in_when_the_server_starts_again_AU_1(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        sent, port, old = signed_in(server), server.port, server.token
        assert old not in sent["Cookie"]
    assert (tmp_path / "browser.key").stat().st_mode & 0o777 == 0o600
    with Server(tmp_path, port=port) as server:
        assert server.call("GET", f"{P}/runs", token=None, headers=sent).status == 200
        assert server.call("POST", f"{API}/projects", {"name": "x"}, token=None,
                           headers=sent).status == 201  # fmt: skip
        assert server.call("GET", f"{P}/runs", token=old).status == 401
    (tmp_path / "browser.key").unlink()
    with Server(tmp_path, port=port) as server:
        assert server.call("GET", f"{P}/runs", token=None, headers=sent).status == 401


def test_a_ticket_counts_only_in_a_cookie_only_whole_and_only_in_time(tmp_path: Path) -> None:
    now = 1_000
    tickets = Tickets(tmp_path / "key", lambda: now)
    ticket = tickets.issue()
    assert tickets.read(ticket) == now + DAYS * 24 * 3600 * 1000
    for wrong in ("", "cfb_", "cfb_9.x", ticket + "x", ticket.replace("cfb_", "cfb_9"),
                  "cfb_\udc80.\udc80"):  # fmt: skip
        assert tickets.read(wrong) is None
    now += DAYS * 24 * 3600 * 1000
    assert tickets.read(ticket) is None
    with Server(tmp_path) as server:
        value = signed_in(server)["Cookie"].partition("=")[2]
        assert server.call("GET", f"{P}/runs", token=value).status == 401


def test_a_page_cannot_be_made_to_redirect_or_script_elsewhere(shared: Server) -> None:
    answer = shared.call("GET", f"//evil.example/?token={shared.token}", token=None)
    assert "evil" not in answer.headers.get("Location", "")
    page = shared.call("GET", "/?project=%3C/script%3E%3Cscript%3Ealert(1)")
    assert b"</script><script>alert" not in page.body


def test_static_files_outside_the_folder_are_not_served(shared: Server) -> None:
    for path in (
        "/static/../main.py",
        "/static/%2e%2e/main.py",
        "/static//etc/passwd",
        "/static/x",
    ):
        assert shared.call("GET", path).status == 404


# --- the rules ---------------------------------------------------------------------------------


def test_patterns_cover_what_they_say_AU_2() -> None:
    for pattern, environment, expected in (
        ("*", "anything/at/all", True),
        ("dev", "dev", True),
        ("dev", "dev/a", False),
        ("dev/*", "dev", False),
        ("dev/*", "dev/a/b", True),
        ("dev/*", "development", False),
        ("dev/*", "dev/a/*", True),
        ("dev/*", "*", False),
        ("dev/*", "dev/*", True),
    ):
        assert covers(pattern, environment) is expected


def test_rights_include_the_weaker_ones_AU_2() -> None:
    principal = Principal("n", "T1", (Scope("dev/*", "run"), Scope("prod", "read")))
    assert principal.may("read", "dev/a")
    assert principal.may("run", "dev/a")
    assert not principal.may("admin", "dev/a")
    assert not principal.may("run", "prod")
    assert not grants(principal.scopes, Scope("*", "read"))


def test_the_token_of_a_server_is_not_in_its_representation() -> None:
    assert "cft_" not in repr(ServerConfig())
