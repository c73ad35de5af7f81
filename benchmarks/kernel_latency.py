"""What Coflux inside a Jupyter server costs its kernels: latency of kernel messages.

Run `python benchmarks/kernel_latency.py [--rate 1000] [--seconds 20]` with `pip install ".[test]"`.
A kernel is asked `kernel_info` through the server's WebSocket, again and again:

    quiet     nothing else happens
    beside    a flood of steps in a `coflux server` beside Jupyter: the machine is as busy
    inside    the same flood through the extension: agent, page and client use Jupyter's loop

Bar: p95 of `inside` less than 10 ms above `quiet`. What `beside` costs is the machine's and not the
extension's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket

import coflux as cf
from coflux import config

HERE = Path(__file__).parent
TOKEN = "benchmark"
BAR_MS = 10.0
#: Seconds between two questions.
PAUSE_S = 0.02
_CONFIG = """
c = get_config()
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.port = {port}
c.ServerApp.port_retries = 0
c.ServerApp.allow_root = True
c.ServerApp.allow_remote_access = True
c.ServerApp.open_browser = False
c.ServerApp.root_dir = {folder!r}
c.ServerApp.jpserver_extensions = {{"coflux": True, "jupyterlab": False}}
c.IdentityProvider.token = {token!r}
"""


def own_address() -> str:
    """An address of this machine that is not the loopback: agents by it use no shortcut."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: only the route is looked up.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            print("no address but the loopback: the agent goes past the extension")
            return "127.0.0.1"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def process(
    *command: str, environment: dict[str, str], log: Path, before: tuple[str, ...] = ()
) -> Iterator[None]:
    with log.open("ab") as output:
        running = subprocess.Popen(
            [*before, sys.executable, "-m", *command], env=environment,
            stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def wait(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, cf.CofluxError):
            if found := condition():
                return found
        time.sleep(0.05)  # between two looks; there is a deadline
    raise TimeoutError(what)


class Kernel:
    """A kernel of a Jupyter server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = self._ask("POST", "api/kernels", {"name": "python3"})["id"]
        self.socket = websocket.create_connection(
            f"{url.replace('http', 'ws', 1)}api/kernels/{self.id}/channels",
            header=[f"Authorization: token {TOKEN}"], timeout=60,
        )  # fmt: skip

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Authorization": f"token {TOKEN}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def round_trip(self) -> float:
        """Milliseconds from a message to its reply."""
        id = uuid.uuid4().hex
        header = {
            "msg_id": id, "msg_type": "kernel_info_request", "username": "", "session": "benchmark",
            "version": "5.3",
        }  # fmt: skip
        message = {
            "header": header, "parent_header": {}, "metadata": {}, "content": {},
            "channel": "shell",
        }  # fmt: skip
        begun = time.perf_counter()
        self.socket.send(json.dumps(message))
        while True:
            self._acknowledge_at_once()
            heard = json.loads(self.socket.recv())
            if heard["channel"] == "shell" and heard["parent_header"].get("msg_id") == id:
                return 1000 * (time.perf_counter() - begun)

    def _acknowledge_at_once(self) -> None:
        """Jupyter holds a small frame back until the one before is acknowledged, for 40 ms."""
        if hasattr(socket, "TCP_QUICKACK"):
            self.socket.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def measure(self, seconds: float) -> list[float]:
        """Round trips for a while."""
        times = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            times.append(self.round_trip())
            time.sleep(PAUSE_S)  # a person types; the server is not to be flooded by us
        return sorted(times)

    def close(self) -> None:
        self.socket.close()
        self._ask("DELETE", f"api/kernels/{self.id}")


def report(what: str, times: list[float], more: str = "") -> float:
    p95 = times[int(len(times) * 0.95)]
    print(
        f"{what:8} median {times[len(times) // 2]:7.2f} ms   p95 {p95:7.2f} ms"
        f"   p99 {times[int(len(times) * 0.99)]:7.2f} ms   most {times[-1]:7.2f} ms   {more}",
        flush=True,
    )
    return p95


def watch_run(host: str, token: str, run: str, done: Any, heard: Any) -> None:
    """What a page with the run open receives; in a process of its own, as a browser is."""
    address = f"{host.replace('http', 'ws', 1)}/api/v1/projects/default/topics"
    connected = websocket.create_connection(
        address, header=[f"Authorization: Bearer {token}"], timeout=1
    )
    with contextlib.closing(connected):
        for number, topic in enumerate(("run", "graph")):
            connected.send(
                json.dumps({"op": "sub", "id": number, "topic": topic, "args": {"run": run}})
            )
        while not done.is_set():
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                heard.value += len(connected.recv())


def flooded(kernel: Kernel, url: str, token: str, folder: Path, options: Any) -> float:
    """p95 while steps come."""
    environment = {**os.environ, "COFLUX_HOST": url, "COFLUX_TOKEN": token}
    command = ["coflux", "agent", str(HERE / "flows.py"), "--register", "--isolation", "reuse"]
    where = url.rpartition("/")[2] or "server"
    # As a kernel's agent does, it gives way to the notebook.
    before = ("nice", "-n", str(config.BESIDE_NOTEBOOKS))
    with process(*command, environment=environment, log=folder / "agent.log", before=before):
        client = cf.Client(config.resolve(host=url, token=token))
        wait(lambda: "flows" in client.manifests(), "the agent registers")
        # Executors are warm, and everything is imported.
        client.submit("flows/flood", 200, 1.0).result(timeout=60)
        run = client.submit("flows/flood", options.rate, options.seconds + 2)
        spawning = multiprocessing.get_context("spawn")
        done, heard = spawning.Event(), spawning.Value("q", 0)
        watcher = spawning.Process(
            target=watch_run, args=(client.host, client.transport.token, run.id, done, heard)
        )
        watcher.start()
        time.sleep(1)  # until the flood is under way
        times = kernel.measure(options.seconds)
        rate = run.result(timeout=600)
        done.set()
        watcher.join()
        client.close()
    name = "inside" if where == "coflux" else "beside"
    return report(name, times, f"{rate:.0f} steps/s, {heard.value / 1e6:.1f} MB to the page")


def main(options: argparse.Namespace) -> int:
    """1 where the bar is missed."""
    with tempfile.TemporaryDirectory(prefix="cfl-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        for variable in [each for each in os.environ if each.startswith(("COFLUX_", "JUPYTER_"))]:
            del os.environ[variable]
        os.environ.update(
            XDG_RUNTIME_DIR=str(runtime), JUPYTER_RUNTIME_DIR=str(runtime), IPYTHONDIR=name,
            JUPYTER_CONFIG_DIR=name, JUPYTER_DATA_DIR=name,
        )  # fmt: skip
        port = free_port()
        text = _CONFIG.format(port=port, folder=name, token=TOKEN)
        (folder / "jupyter_server_config.py").write_text(text)
        environment = dict(os.environ)
        log = folder / "jupyter.log"
        stack.enter_context(process("jupyter", "server", environment=environment, log=log))
        wait(lambda: "Coflux is at" in log.read_text(), "Jupyter is ready")
        inside = running_server(runtime)
        kernel = Kernel(f"http://127.0.0.1:{port}/")
        stack.callback(kernel.close)
        wait(lambda: kernel.round_trip() < 1000, "the kernel answers")
        kernel.measure(2)
        quiet = report("quiet", kernel.measure(options.seconds))
        with process(
            "coflux", "server", "--port", "0", "--data-dir", str(folder / "beside"),
            environment=environment, log=folder / "server.log",
        ):  # fmt: skip
            found = wait(lambda: running_server(runtime, inside["url"]), "the server is ready")
            flooded(kernel, found["url"].rstrip("/"), found["token"], folder, options)
        url = f"http://{own_address()}:{port}/coflux"
        flood = flooded(kernel, url, inside["token"], folder, options)
        print(f"p95 inside - quiet: {flood - quiet:.2f} ms (bar: {BAR_MS:.0f} ms)")
        return int(flood - quiet >= BAR_MS)


def running_server(runtime: Path, other_than: str = "") -> Any:
    for path in (runtime / "coflux").glob("server-*.json"):
        found = json.loads(path.read_text())
        if found["url"] != other_than:
            return found
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    raise SystemExit(main(parser.parse_args()))
