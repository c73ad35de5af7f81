"""A kernel as agent: what others see of it, what ends with it, who takes over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from kernel import Kernel
from lab import Jupyter, until

pytestmark = pytest.mark.slow

START = "%load_ext coflux\nimport coflux as cf\nimport os, time"


@contextmanager
def agent(jupyter: Jupyter, path: Path | None = None) -> Iterator[None]:
    """A generic agent, with packages of its own."""
    host = f"{jupyter.url}coflux"
    process = subprocess.Popen(
        [sys.executable, "-m", "coflux", "agent", "--host", host],
        env={**jupyter.environment, **({"PYTHONPATH": str(path)} if path else {})},
        cwd=jupyter.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def companion(kernel: Kernel) -> psutil.Process:
    """The agent's process."""
    found = re.search(r"pid (\d+)", kernel.run("%coflux status").text)
    assert found is not None
    return psutil.Process(int(found[1]))


def test_a_generic_agent_takes_over_when_the_kernel_is_gone(jupyter: Jupyter) -> None:
    """CO-4."""
    with Kernel(jupyter, "left.ipynb") as kernel:
        kernel.run(START)
        kernel.run("BASE = 40\n@cf.workflow\ndef left(x):\n    return [BASE + x, os.getpid()]")
        first = eval(kernel.run("r = %coflux run left 1\nr.result()").text)
        assert first[0] == 41
    with agent(jupyter):
        body = {"target": "left/left", "arguments": [2], "environment": "default"}
        run = jupyter.ask("POST", "coflux/api/v1/projects/default/runs", body)["run"]
        result = until(lambda: _value(jupyter, run), "another agent has run it")
    assert result[0] == 42


def test_whoever_takes_over_with_other_packages_says_so(jupyter: Jupyter) -> None:
    """CO-3: in the execution's log, in the notebook, and in `coflux agents`."""
    for version in ("1.4.2", "1.6.0"):
        folder = jupyter.folder / f"weather-{version}"
        info = folder / f"weather-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / "weather.py").write_text(f"VERSION = {version!r}\n")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: weather\nVersion: {version}\n"
        )
        (info / "top_level.txt").write_text("weather\n")
    with Kernel(jupyter, "packages.ipynb") as kernel:
        kernel.run(f"import sys\nsys.path.insert(0, {str(jupyter.folder / 'weather-1.4.2')!r})")
        kernel.run(f"{START}\nimport weather")
        kernel.run("@cf.workflow\ndef look():\n    return weather.VERSION")
        assert kernel.run("r = %coflux run look\nr.result()").text == "'1.4.2'"
        kernel.run("%coflux agent stop")
        with agent(jupyter, jupyter.folder / "weather-1.6.0"):
            assert kernel.run("r = %coflux run look\nr.result()").text == "'1.6.0'"
            text = "look was made with weather 1.4.2 (here 1.6.0); results may differ"
            assert text in kernel.run("%coflux logs {r.id}").stdout
            assert text in kernel.run("%coflux status").text
            assert text in kernel.run("%coflux agent start").stderr
            command = [sys.executable, "-m", "coflux", "agents", "--host", f"{jupyter.url}coflux"]
            shown = subprocess.run(
                command, env=jupyter.environment, capture_output=True, text=True, check=True
            )
            assert f"packages: {text}" in shown.stdout


def _value(jupyter: Jupyter, run: str) -> list[int] | None:
    found = jupyter.coflux(f"/results/{run}")
    assert found.get("kind") in (None, "value"), found
    return found.get("value")


def test_a_stopped_agent_stays_stopped(jupyter: Jupyter) -> None:
    with Kernel(jupyter, "stopped.ipynb") as kernel:
        kernel.run(START)
        kernel.run("@cf.workflow\ndef late(x):\n    return x")
        kernel.run("%coflux agent start")
        assert "has ended" in kernel.run("%coflux agent stop").stdout
        ran = kernel.run("r = %coflux run late 7")
        assert "agent was stopped" in ran.stderr
        assert kernel.run("r.status").text == "'queued'"
        assert "The agent runs" in kernel.run("%coflux agent start").stdout
        assert kernel.run("r.result()").text == "7"


def test_the_agent_ends_with_its_kernel_however_that_ends(jupyter: Jupyter) -> None:
    """SE table: kernel as agent."""
    with Kernel(jupyter, "killed.ipynb") as kernel:
        kernel.run(START)
        kernel.run("@cf.workflow\ndef endless():\n    time.sleep(600)")
        kernel.run("r = %coflux run endless")
        run = kernel.run("r.id").text.strip("'")
        until(lambda: _status(jupyter, run) == "running", "it runs")
        process = companion(kernel)
        below = process.children(recursive=True)
        pid = int(kernel.run("os.getpid()").text)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not process.is_running(), "the agent has ended")
        until(lambda: not any(each.is_running() for each in below), "and all below it")
        until(lambda: _status(jupyter, run) == "abandoned", "the run is abandoned")


def _status(jupyter: Jupyter, run: str) -> str:
    return str(jupyter.coflux(f"/runs/{run}")["steps"][0]["executions"][0]["status"])


def test_restarting_the_kernel_leaves_no_agent_behind(jupyter: Jupyter) -> None:
    with Kernel(jupyter, "again.ipynb") as kernel:
        kernel.run(START)
        kernel.run("%coflux agent start")
        process = companion(kernel)
        kernel.restart()
        until(lambda: not process.is_running(), "the agent has ended")
        kernel.run(START)
        kernel.run("@cf.workflow\ndef back():\n    return 'again'")
        assert kernel.run("r = %coflux run back\nr.result()").text == "'again'"


def test_two_notebooks_with_one_name_are_told(jupyter: Jupyter) -> None:
    """CO-3."""
    with Kernel(jupyter, "one/same.ipynb") as one, Kernel(jupyter, "two/same.ipynb") as two:
        said: dict[Kernel, str] = {}
        for kernel, answer in ((one, "'one'"), (two, "'two'")):
            kernel.run(START)
            kernel.run(f"@cf.workflow\ndef who():\n    return {answer}")
            said[kernel] = kernel.run("%coflux register").stderr
        told = said[two] or until(lambda: _told(two), "the newer is told")
        assert "repository same as well" in told
        assert "this one's count" in told
        assert not said[one]
        assert "that one's count" in until(lambda: _told(one), "the older is told")
        assert one.run("r = %coflux run who\nr.result()").text == "'two'"


def _told(kernel: Kernel) -> str:
    return kernel.run("None").stderr


def test_other_environments_are_other_agents(jupyter: Jupyter) -> None:
    """EV-6: nothing of one is run in another."""
    with Kernel(jupyter, "moving.ipynb") as kernel:
        kernel.run(START)
        kernel.run("@cf.workflow\ndef here():\n    return 1")
        kernel.run("%coflux agent start")
        kernel.run("%coflux env create moved --base default\n%coflux env use moved")
        kernel.run("r = %coflux run here\nr.result()")
        assert "moved" in kernel.run("%coflux runs").text
        agents = [a for a in jupyter.coflux("/agents?environment=moved") if a["connected"]]
        assert len(agents) == 1
        assert "did you mean 'moved'" in kernel.attempt("%coflux env use movd").error


def test_an_agent_that_died_is_started_again(jupyter: Jupyter) -> None:
    with Kernel(jupyter, "died.ipynb") as kernel:
        kernel.run(START)
        kernel.run("@cf.workflow\ndef lives():\n    return 1")
        kernel.run("r = %coflux run lives\nr.result()")
        process = companion(kernel)
        process.kill()
        until(lambda: not process.is_running(), "it is dead")
        assert kernel.run("r = %coflux run lives\nr.result()").text == "1"
