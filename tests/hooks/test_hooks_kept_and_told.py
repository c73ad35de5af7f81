"""Hooks: what is kept, when it is tried again, and each means against something real."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coflux.errors import InvalidRequest
from coflux.server.hooks.hook import Delivery, Ended, Hook, hidden, message
from coflux.server.hooks.means import Undelivered, deliver
from coflux.server.hooks.store import HookStore
from coflux.server.project.hooks import ATTEMPTS, _allowed, after_attempt

ENDED = Ended("R1", "E1", "shop", "order", "failed", 1_000, 2_000)
MESSAGE = message(ENDED, "default", "production", {"type": "builtins.KeyError", "message": "'pie'"})


# --- what is kept -------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HookStore]:
    store = HookStore(tmp_path)
    yield store
    store.close()


def hook(name: str = "tell", **fields: Any) -> Hook:
    fields = {"kind": "command", "command": ("true",), **fields}
    return Hook(name, "E1", **fields)


def put(store: HookStore, hook: Hook | None, name: str = "tell") -> None:
    store.set("E1", name, hook, "me", 500)


def test_the_newest_setting_counts_also_after_a_restart(store: HookStore, tmp_path: Path) -> None:
    put(store, hook())
    put(store, hook(outcomes=("succeeded",)))
    put(store, hook("other"), "other")
    put(store, None, "other")
    store.close()
    again = HookStore(tmp_path)
    assert again.hooks == {("E1", "tell"): hook(outcomes=("succeeded",))}
    assert again.path.stat().st_mode & 0o077 == 0
    again.close()


def test_an_end_is_owed_once_to_each_hook_that_wants_it(store: HookStore) -> None:
    put(store, hook())
    put(store, hook("good", outcomes=("succeeded",)), "good")
    put(store, hook("off", is_enabled=False), "off")
    put(store, hook("shop", target="shop"), "shop")
    put(store, hook("other", target="shop/refund"), "other")
    assert store.owe([ENDED])
    store.owe([ENDED])
    assert [delivery.hook for delivery in store.due(10_000, 10)] == ["tell", "shop"]
    assert store.cursor == 2_000


def test_what_ended_before_there_were_hooks_is_not_told(store: HookStore) -> None:
    put(store, hook())
    assert store.cursor == 500


def test_deliveries_wait_for_their_time_and_old_ones_go(store: HookStore) -> None:
    put(store, hook())
    store.owe([ENDED])
    (first,) = store.due(0, 10)
    store.keep(after_attempt(first, "no answer", 10_000))
    assert store.due(14_999, 10) == []
    assert store.next_at() == 15_000
    (again,) = store.due(15_000, 10)
    assert (again.attempts, again.error) == (1, "no answer")
    store.keep(after_attempt(again, None, 15_000))
    assert store.next_at() is None
    assert [d.state for d in store.of("E1", "tell", 10)] == ["delivered"]


def test_attempts_back_off_up_to_an_hour_and_end(store: HookStore) -> None:
    delivery = Delivery(1, "tell", ENDED)
    pauses = []
    while delivery.state == "owed":
        delivery = after_attempt(delivery, "down", 0)
        pauses.append(delivery.next_at // 1000)
    assert pauses[:5] == [5, 10, 20, 40, 80]
    assert max(pauses) == 3_600
    assert (delivery.state, delivery.attempts) == ("given up", ATTEMPTS)


def test_the_operator_says_which_kinds_there_are() -> None:
    assert _allowed({}) == ("command", "webhook", "apprise")
    assert _allowed({"COFLUX_HOOKS": "webhook"}) == ("webhook",)
    assert _allowed({"COFLUX_HOOKS": "none"}) == ()
    with pytest.raises(InvalidRequest, match="names 'mail'"):
        _allowed({"COFLUX_HOOKS": "mail"})


def test_addresses_are_shown_without_what_may_be_secret() -> None:
    assert (
        hidden("https://user:pass@chat.example:8443/hook/T0KEN?x=1") == "https://chat.example/***"
    )
    assert hidden("json://host/TokenB") == "json://host/***"


# --- how it is told -----------------------------------------------------------------------------


class Listener:
    """A web server that keeps what it is sent."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                listener.requests.append((self.path, dict(self.headers), json.loads(content)))
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def test_a_command_gets_the_message_as_its_input_and_in_variables(tmp_path: Path) -> None:
    script = (
        "import json, os, sys; told = json.load(sys.stdin);"
        f" open({str(tmp_path / 'told')!r}, 'w').write(told['text'] + os.environ['RUN_ID'])"
    )
    asyncio.run(deliver(hook(command=(sys.executable, "-c", script)), MESSAGE))
    assert (tmp_path / "told").read_text() == (
        "shop/order failed: KeyError: 'pie' (R1 in production)R1"
    )


def test_a_command_that_fails_or_is_not_there_says_so() -> None:
    failing = hook(command=("sh", "-c", "echo first >&2; echo no route >&2; exit 3"))
    with pytest.raises(Undelivered, match="ended with code 3: no route"):
        asyncio.run(deliver(failing, MESSAGE))
    with pytest.raises(Undelivered, match="cannot be run"):
        asyncio.run(deliver(hook(command=("/no/such/command",)), MESSAGE))


def test_a_webhook_gets_the_message_with_its_headers(listener: Listener) -> None:
    url = f"http://{listener.place}/hook"
    asyncio.run(deliver(hook(kind="webhook", command=(), url=url, headers={"X-Key": "k"}), MESSAGE))
    path, headers, body = listener.requests[0]
    assert (path, headers["X-Key"], body["run"]) == ("/hook", "k", "R1")
    assert body["error"] == {"type": "builtins.KeyError", "message": "'pie'"}


def test_a_webhook_that_refuses_or_is_away_says_so(listener: Listener) -> None:
    listener.status = 500
    told = hook(kind="webhook", command=(), url=f"http://{listener.place}/")
    with pytest.raises(Undelivered, match="it answered 500"):
        asyncio.run(deliver(told, MESSAGE))
    listener.server.shutdown()
    listener.server.server_close()
    with pytest.raises(Undelivered, match="cannot be reached"):
        asyncio.run(deliver(told, MESSAGE))


def test_apprise_sends_title_and_text(listener: Listener) -> None:
    pytest.importorskip("apprise")
    listener.status = 200
    told = hook(kind="apprise", command=(), url=f"json://{listener.place}/chat")
    asyncio.run(deliver(told, MESSAGE))
    _, _, body = listener.requests[0]
    assert (body["title"], body["type"]) == ("shop/order failed", "failure")
    assert "KeyError: 'pie'" in body["message"]
    with pytest.raises(Undelivered, match="does not know this kind of address"):
        asyncio.run(deliver(hook(kind="apprise", command=(), url="nonsense"), MESSAGE))
