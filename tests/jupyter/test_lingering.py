"""A Jupyter server is started again; with `CofluxApp.linger` its projects' processes go on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import KernelManager
from lab import PATIENCE_S, TOKEN, Jupyter, until

pytestmark = pytest.mark.slow

CODE = """
import os, time
import coflux as cf

def passes(name):
    path = os.path.join(os.path.dirname(__file__), name)
    open(f"{path}-begun", "w").close()
    while not os.path.exists(path):
        time.sleep(0.05)
    return name

@cf.task
def first():
    return passes("first")

@cf.task
def second():
    return passes("second")

@cf.workflow
def both():
    return [first(), second()]
"""


def environment(jupyter: Jupyter) -> dict[str, str]:
    """Of programs that are no part of the Jupyter server."""
    return {**jupyter.environment, "COFLUX_HOST": f"{jupyter.url}coflux", "COFLUX_TOKEN": TOKEN}


@contextmanager
def agent(jupyter: Jupyter) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "coflux", "agent", "--register", "--drain-timeout", "1s", "flow.py"],
        env=environment(jupyter),
        cwd=jupyter.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


class OwnKernel:
    """A kernel that the Jupyter server has not started, as other editors have them."""

    def __init__(self, jupyter: Jupyter) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=environment(jupyter), cwd=str(jupyter.folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def run(self, code: str) -> str:
        """Run a cell; what it has printed."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])

        reply = self.client.execute_interactive(
            code, output_hook=hear, timeout=PATIENCE_S, allow_stdin=False
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)


def projects(jupyter: Jupyter) -> list[psutil.Process]:
    """The living processes of projects."""
    found = []
    for process in jupyter.processes():
        try:
            if "coflux.server.project.process" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def attempts(jupyter: Jupyter, run: str) -> list[int]:
    return [len(step["executions"]) for step in jupyter.coflux(f"/runs/{run}")["steps"]]


def exists(jupyter: Jupyter, name: str) -> Path | None:
    path = jupyter.folder / name
    return path if path.exists() else None


def submit(jupyter: Jupyter, target: str) -> str:
    body = {"target": target, "arguments": [], "environment": "default"}
    return str(jupyter.ask("POST", "coflux/api/v1/projects/default/runs", body)["run"])


def value(jupyter: Jupyter, run: str) -> Any:
    found = jupyter.coflux(f"/results/{run}")
    assert found.get("kind") in (None, "value"), found
    return found.get("value")


def registered(jupyter: Jupyter) -> bool:
    found = jupyter.coflux("/manifests?environment=default")
    return "flow" in found


@pytest.mark.parametrize(
    ("linger", "number"), [(60, signal.SIGTERM), (60, signal.SIGKILL), (0, signal.SIGTERM)]
)
def test_what_runs_survives_a_restart_of_the_jupyter_server(
    linger: int, number: signal.Signals
) -> None:
    """SE-3, SE-4; with `linger` work also goes on while the server is away."""
    with Jupyter(settings=f"c.CofluxApp.linger = {linger}\n") as jupyter:
        (jupyter.folder / "flow.py").write_text(CODE)
        jupyter.start("server")
        kernel = OwnKernel(jupyter)
        try:
            kernel.run("%load_ext coflux\nimport coflux as cf\nimport os, time")
            kernel.run(
                "PATH = os.path.abspath('mine')\n@cf.workflow\ndef mine():\n"
                "    open(f'{PATH}-begun', 'w').close()\n"
                "    while not os.path.exists(PATH):\n        time.sleep(0.05)\n    return 'mine'"
            )
            kernel.run("r = %coflux run mine")
            own = kernel.run("print(r.id)").split()[-1]
            with agent(jupyter):
                until(lambda: registered(jupyter), "the workflow is registered")
                run = submit(jupyter, "flow/both")
                until(lambda: exists(jupyter, "first-begun"), "the first step runs")
                until(lambda: exists(jupyter, "mine-begun"), "the notebook's step runs")
                [before] = projects(jupyter)
                jupyter.stop(number)
                assert [each.pid for each in projects(jupyter)] == ([before.pid] if linger else [])
                (jupyter.folder / "first").touch()
                if linger:
                    until(lambda: exists(jupyter, "second-begun"), "the next is decided")
                jupyter.start("server", ready="")
                until(lambda: exists(jupyter, "second-begun"), "the second step runs")
                for name in ("second", "mine"):
                    (jupyter.folder / name).touch()
                until(lambda: value(jupyter, run) == ["first", "second"], "the run has ended")
                until(lambda: value(jupyter, own) == "mine", "the notebook's has")
                assert attempts(jupyter, run) == [1, 1, 1]
                assert attempts(jupyter, own) == [1]
                assert kernel.run("print(r.result())").strip() == "mine"
                [after] = projects(jupyter)
                assert after.pid != before.pid
        finally:
            kernel.close()
        jupyter.stop()
        # The test's time is not to be spent with waiting for their end.
        for process in projects(jupyter):
            process.terminate()


def test_projects_end_when_no_jupyter_server_comes_back() -> None:
    with Jupyter(settings="c.CofluxApp.linger = 1\n") as jupyter:
        jupyter.start("server")
        jupyter.coflux("/runs")
        assert projects(jupyter)
        jupyter.stop()
        # `Jupyter.close` fails where one is left.
