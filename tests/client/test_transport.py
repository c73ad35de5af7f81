"""Requests, kept connections, and refusals as exceptions."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from puppet_server import Puppet, refused

from coflux import errors, wire
from coflux.client import transport as transport_module
from coflux.client.transport import Transport


@pytest.fixture
def transport(puppet: Puppet) -> Transport:
    return Transport(puppet.url, puppet.token)


def test_a_request_carries_token_and_protocol_and_its_body_as_json(
    puppet: Puppet, transport: Transport
) -> None:
    puppet.on_api("POST", "/echo", lambda asked: (201, asked.body))
    answer = transport.request("POST", "/api/v1/echo", body={"ü": [1, None]}, query={"a": True})
    assert (answer.status, answer.body) == (201, {"ü": [1, None]})
    assert puppet.asked[0].headers["authorization"] == "Bearer secret"
    assert puppet.asked[0].headers["x-coflux-protocol"] == "1"
    assert puppet.asked[0].query == {"a": "true"}


def test_requests_in_a_row_share_one_connection(puppet: Puppet, transport: Transport) -> None:
    puppet.on_api("GET", "/x", {})
    for _ in range(5):
        transport.request("GET", "/api/v1/x")
    assert puppet.connections == 1


def test_a_connection_goes_on_after_a_refusal(puppet: Puppet, transport: Transport) -> None:
    puppet.on_api("GET", "/x", refused(404, "not_found", "gone"), {})
    with pytest.raises(errors.NotFound):
        transport.request("GET", "/api/v1/x")
    transport.request("GET", "/api/v1/x")
    assert puppet.connections == 1


def test_threads_may_share_a_transport(puppet: Puppet, transport: Transport) -> None:
    barrier = threading.Barrier(4, timeout=10)

    def answer(asked: object) -> tuple[int, object]:
        barrier.wait()
        return 200, {"ok": True}

    puppet.on_api("GET", "/x", answer)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: transport.request("GET", "/api/v1/x").body, range(4)))
    assert found == [{"ok": True}] * 4


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid", errors.InvalidRequest),
        (404, "not_found", errors.NotFound),
        (409, "conflict", errors.Conflict),
        (403, "forbidden", errors.Forbidden),
        (503, "unavailable", errors.Unavailable),
        (401, "unauthorized", errors.Forbidden),
    ],
)
def test_each_refusal_has_its_exception(
    puppet: Puppet, transport: Transport, status: int, code: str, kind: type[errors.Refused]
) -> None:
    puppet.on_api("GET", "/x", refused(status, code, "because of this", field="name"))
    with pytest.raises(kind, match="because of this") as caught:
        transport.request("GET", "/api/v1/x")
    assert type(caught.value) is kind
    assert caught.value.fields["field"] == "name"


@pytest.mark.parametrize(("status", "kind"), [(502, errors.Unavailable), (418, errors.Refused)])
def test_an_answer_of_something_else_is_a_refusal_too(
    puppet: Puppet, transport: Transport, status: int, kind: type[errors.Refused]
) -> None:
    puppet.on_api("GET", "/x", (status, b"<html>proxy</html>"))
    with pytest.raises(kind, match=str(status)):
        transport.request("GET", "/api/v1/x")


def test_where_nobody_answers_the_error_says_how_to_go_on() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with pytest.raises(errors.Unavailable, match=r"coflux server.*COFLUX_HOST") as caught:
        Transport(f"http://127.0.0.1:{port}").request("GET", "/")
    assert caught.value.fields["unreachable"]


class Closing:
    """A server that closes its connections: at once, or after the first answer."""

    def __init__(self, answers: int) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.answers = answers
        self.requests = 0
        self.closed = threading.Semaphore(0)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        for number in range(2):
            connection, _ = self.listening.accept()
            with connection:
                connection.recv(65536)
                self.requests += 1
                if number < self.answers:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            self.closed.release()

    def stop(self) -> None:
        self.listening.close()


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    server = Closing(answers=2)
    transport = Transport(server.url)
    transport.request("POST", "/", body={})
    assert server.closed.acquire(timeout=10)
    transport.request("POST", "/", body={})
    assert server.requests == 2
    server.stop()


def test_a_request_that_may_have_arrived_is_not_sent_twice() -> None:
    server = Closing(answers=0)
    with pytest.raises(errors.Unavailable):
        Transport(server.url).request("POST", "/", body={})
    assert server.requests == 1
    server.stop()


def test_a_body_in_pieces_ends_with_its_connection_free(
    puppet: Puppet, transport: Transport
) -> None:
    puppet.on_api("POST", "/backup", (200, b"x" * 3_000_000))
    with transport.stream("POST", "/api/v1/backup") as (_, pieces):
        assert sum(map(len, pieces)) == 3_000_000
    puppet.on_api("GET", "/x", {})
    transport.request("GET", "/api/v1/x")
    assert puppet.connections == 1


def test_a_body_left_in_the_middle_does_not_spoil_the_next_answer(
    puppet: Puppet, transport: Transport
) -> None:
    puppet.on_api("POST", "/backup", (200, b"x" * 3_000_000))
    puppet.on_api("GET", "/x", {"ok": 1})
    with transport.stream("POST", "/api/v1/backup") as (_, pieces):
        next(pieces)
    assert transport.request("GET", "/api/v1/x").body == {"ok": 1}


def test_the_protocol_is_the_one_of_the_wire() -> None:
    """LI-2"""
    assert transport_module.PROTOCOL == wire.PROTOCOL
