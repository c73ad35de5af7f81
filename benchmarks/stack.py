"""A server and an agent for a benchmark, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import coflux as cf

HERE = Path(__file__).parent
_CLI = [sys.executable, "-m", "coflux"]


class Stack:
    """`with Stack("reuse") as stack: stack.run("fan_out", 1000)`."""

    def __init__(self, isolation: str, concurrency: int = 12) -> None:
        self.isolation, self.concurrency = isolation, concurrency
        self.folder = tempfile.TemporaryDirectory(prefix="coflux-benchmark-")
        self.processes: list[subprocess.Popen[str]] = []
        self.ready_s = 0.0

    def __enter__(self) -> Stack:
        top = Path(self.folder.name)
        (top / "runtime").mkdir(mode=0o700)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")},
            "XDG_RUNTIME_DIR": str(top / "runtime"),
        }
        os.environ["XDG_RUNTIME_DIR"] = str(top / "runtime")
        begun = time.perf_counter()
        self.start_server()
        self.ready_s = time.perf_counter() - begun
        self._start("agent", str(HERE / "flows.py"), "--register", "--isolation", self.isolation,
                    "--concurrency", str(self.concurrency))  # fmt: skip
        self.client = cf.connect()
        self._wait(lambda: any(a["connected"] for a in self.client.agents()))
        self._wait(lambda: "flows" in self.client.manifests())
        return self

    def start_server(self) -> subprocess.Popen[str]:
        """Start the server and wait until it answers."""
        process = self._start("server", "--port", "0", "--data-dir", self.data_dir)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    @property
    def data_dir(self) -> str:
        """Where the server keeps its data."""
        return str(Path(self.folder.name) / "data")

    def run(self, target: str, *arguments: Any) -> Any:
        """The result of a run."""
        return self.client.submit(f"flows/{target}", *arguments).result(timeout=600)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*_CLI, *arguments], stdout=subprocess.PIPE, text=True, env=self.environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def _wait(self, condition: Any, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the stack did not start")
            time.sleep(0.05)  # between two looks; there is a deadline

    def __exit__(self, *exception: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)
        self.folder.cleanup()
