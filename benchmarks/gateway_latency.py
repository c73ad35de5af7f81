"""What the gateway costs: HTTP and WebSocket round trips straight and through it, blob streams.

Run `python benchmarks/gateway_latency.py`. Medians and 99th percentiles in ms over blocking
sockets, so that the client adds as little as it can. The project process only echoes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 3000
BLOB_BYTES = 512 * 1024 * 1024
PAYLOAD = b"x" * 100


# --- the echoing project process ---------------------------------------------------------------


async def echo(path: str) -> None:
    """Keep the process contract and send everything back."""
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_unix_socket
    from tornado.web import Application, RequestHandler
    from tornado.websocket import WebSocketHandler

    class Http(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.finish(b'{"status":"ok"}')

    class Socket(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.write_message(message, binary=True)

    routes = [("/agent|/topics", Socket), (".*", Http)]
    server = HTTPServer(Application(routes, log_function=lambda handler: None))
    server.add_socket(bind_unix_socket(path, mode=0o600))
    print("ready", flush=True)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(end.set)

    threading.Thread(target=watch, daemon=True).start()
    await end.wait()


# --- clients -----------------------------------------------------------------------------------


class Client:
    """A blocking connection that reads just enough."""

    def __init__(self, address: str | tuple[str, int], token: str) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(address)
        self.token = token

    def head(self, path: str, *more: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        return "\r\n".join([*lines, *more, "", ""]).encode()

    def upgrade(self, path: str) -> None:
        self.socket.sendall(
            self.head(path, "Upgrade: websocket", "Connection: Upgrade",
                      "Sec-WebSocket-Version: 13",
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        )  # fmt: skip
        answer = self.socket.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101"), answer

    def exchange(self, request: bytes, end: bytes) -> None:
        self.socket.sendall(request)
        answer = b""
        while not answer.endswith(end):
            piece = self.socket.recv(65536)
            assert piece, answer
            answer += piece


def measure(what: str, once: Callable[[], None]) -> float:
    for _ in range(200):
        once()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        once()
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    median = statistics.median(times)
    print(f"{what:44} median {median:6.3f} ms   p99 {times[int(len(times) * 0.99)]:6.3f} ms")
    return median


def frame(payload: bytes) -> bytes:
    """A binary frame masked with zeros, whose echo ends with the payload."""
    return bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def websocket(what: str, address: str | tuple[str, int], token: str, path: str) -> float:
    client = Client(address, token)
    client.upgrade(path)
    sent = frame(PAYLOAD)
    result = measure(what, lambda: client.exchange(sent, PAYLOAD))
    client.socket.close()
    return result


def requests(what: str, address: str | tuple[str, int], token: str, path: str) -> float:
    client = Client(address, token)
    sent = client.head(path)
    result = measure(what, lambda: client.exchange(sent, b'"ok"}'))
    client.socket.close()
    return result


def blobs(port: int, token: str) -> None:
    content = os.urandom(1024 * 1024)
    sha = hashlib.sha256()
    count = BLOB_BYTES // len(content)
    for _ in range(count):
        sha.update(content)
    path = f"/api/v1/projects/default/blobs/{sha.hexdigest()}"
    headers = {"Authorization": f"Bearer {token}", "Content-Length": str(BLOB_BYTES)}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.perf_counter()
    connection.request("PUT", path, (content for _ in range(count)), headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 201, response.status
    print(f"{'blob PUT, 512 MB, with hash and fsync':44} {rate(began)}")
    began = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    while response.readinto(memoryview(bytearray(1024 * 1024))):
        pass
    print(f"{'blob GET, 512 MB':44} {rate(began)}")
    connection.close()


def rate(began: float) -> str:
    return f"{BLOB_BYTES / 1e6 / (time.perf_counter() - began):6.0f} MB/s"


def memory(pid: int) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return line.partition(":")[2].strip()
    return "?"


# --- the server --------------------------------------------------------------------------------

SERVE = """
import sys
from pathlib import Path
from coflux.server.main import ServerConfig, serve
serve(ServerConfig(
    port=0, data_dir=Path(sys.argv[1]) / "data", command=tuple(sys.argv[2:]),
    runtime_dir=Path(sys.argv[1]) / "run", exit_on_stdin_eof=True,
    ready=lambda server: print(server.port, server.token, flush=True),
))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket")
    options, _ = parser.parse_known_args()
    if options.socket:
        asyncio.run(echo(options.socket))
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVE, folder, sys.executable, os.path.abspath(__file__)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            port, token = server.stdout.readline().decode().split()
            print(f"{'server ready after':44} {1000 * (time.perf_counter() - began):6.0f} ms")
            run(Path(folder) / "data", int(port), token)
            print(f"{'most memory of the gateway':44} {memory(server.pid)}")
            server.stdin.close()
            server.wait(20)


def run(data_dir: Path, port: int, token: str) -> None:
    through, base = ("127.0.0.1", port), "/api/v1/projects/default"
    began = time.perf_counter()
    client = Client(through, token)
    client.exchange(client.head(f"{base}/runs"), b'"ok"}')
    print(f"{'first use of a project':44} {1000 * (time.perf_counter() - began):6.0f} ms")
    (straight,) = map(
        str, Path(json.loads((data_dir / "server.lock").read_text())["sockets"]).iterdir()
    )
    websocket("WebSocket, straight to the project's socket", straight, token, "/topics")
    websocket("WebSocket, spliced", through, token, f"{base}/topics")
    requests("HTTP, straight to the project's socket", straight, token, "/runs")
    requests("HTTP, proxied", through, token, f"{base}/runs")
    requests("HTTP, answered by the gateway", through, token, "/api/v1/health")
    blobs(port, token)


if __name__ == "__main__":
    main()
