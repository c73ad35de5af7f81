"""Commands that bring their own server: demo, run, dev."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Coflux

pytestmark = pytest.mark.slow

Spawn = Callable[..., "subprocess.Popen[str]"]

FLOW = """
import coflux as cf

@cf.task()
def double(x):
    print("doubling", x)
    return 2 * x

@cf.task()
def endless():
    import time
    print("begun", flush=True)
    while True:
        time.sleep(0.05)

@cf.workflow()
def pipeline(n: int, fail: bool = False):
    if fail:
        raise ValueError("as asked")
    return sum(part.result() for part in [double.submit(i) for i in range(n)])
"""


@pytest.fixture
def flow(work: Path) -> Path:
    path = work / "flow.py"
    path.write_text(FLOW)
    return path


@pytest.fixture
def spawn(work: Path, surroundings: dict[str, str]) -> Iterator[Spawn]:
    """Starts a command that goes on; what a test leaves running is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
        options = {"cwd": work, "env": surroundings, "text": True, **more}
        process = subprocess.Popen([sys.executable, "-m", "coflux", *arguments], **options)
        started.append(process)
        return process

    yield start
    for process in started:
        for child in descendants(process.pid):
            child.kill()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


# --- demo -------------------------------------------------------------------------------------


def test_the_demo_shows_a_retry_assets_and_the_second_time_the_cache(
    coflux: Coflux, tmp_path: Path
) -> None:
    first = coflux("demo")
    assert first.returncode == 0, first.stdout + first.stderr
    steps, cached, retried = counts(first.stderr)
    assert (steps >= 20, cached, retried) == (True, 0, 1)
    assert '"most_rain"' in first.stdout
    assert "climate.svg" in first.stderr
    assert "new-york.csv, " in first.stderr
    assert "UI: http://127.0.0.1:" in first.stderr
    second = coflux("demo", "--json")
    assert second.returncode == 0
    assert json.loads(second.stdout)["status"] == "succeeded"
    third = coflux("demo")
    assert counts(third.stderr) == (steps, 8, 1)
    assert (tmp_path / "data" / "coflux" / "demo").is_dir()


def counts(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+) steps, (\d+) from the cache, (\d+) retried", text)
    assert match is not None, text
    return tuple(map(int, match.groups()))


# --- run --------------------------------------------------------------------------------------


def test_a_target_of_a_file_runs_without_set_up(
    coflux: Coflux, flow: Path, surroundings: dict[str, str]
) -> None:
    ran = coflux("run", "flow.py:pipeline", "4")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "12"
    assert (flow.parent / ".coflux").is_dir()
    assert list(Path(surroundings["XDG_RUNTIME_DIR"]).glob("coflux/server-*")) == []


def test_a_task_runs_too_and_an_error_exits_with_1(coflux: Coflux, flow: Path) -> None:
    ran = coflux("run", "flow.py:double", "x=[1]", "--json")
    assert json.loads(ran.stdout)["result"]["value"] == [1, 1]
    failed = coflux("run", "flow.py:pipeline", "1", "fail=true")
    assert failed.returncode == 1
    assert failed.stderr.rstrip().endswith("ValueError: as asked")
    assert "Traceback" not in failed.stderr


def test_wrong_arguments_start_nothing(coflux: Coflux, flow: Path) -> None:
    ran = coflux("run", "flow.py:pipeline")
    assert ran.returncode == 2
    assert "missing a required argument: 'n'" in ran.stderr
    assert not (flow.parent / ".coflux").exists()


def test_a_server_that_runs_over_the_data_is_used_and_left_running(
    coflux: Coflux, flow: Path, surroundings: dict[str, str], spawn: Spawn
) -> None:
    server = spawn("server", "--port", "0", "--json", stdout=subprocess.PIPE)
    assert server.stdout is not None
    ready = json.loads(server.stdout.readline())
    try:
        assert ready["pid"] == server.pid
        ran = coflux("run", "flow.py:pipeline", "2", "--json")
        run = json.loads(ran.stdout)["run"]
        listed = json.loads(coflux("runs", "list", "--json").stdout)
        assert [each["run"] for each in listed] == [run]
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.stdout.close()


def test_ctrl_c_ends_the_run_and_all_processes(
    flow: Path, surroundings: dict[str, str], coflux: Coflux, spawn: Spawn
) -> None:
    process = spawn("run", "flow.py:endless", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert "flow/endless" in process.stdout.readline()
    family = wait_for_family(process, 4)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "cancelled R" in out
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_run_whose_agent_dies_ends_and_says_so(
    flow: Path, surroundings: dict[str, str], spawn: Spawn
) -> None:
    process = spawn("run", "flow.py:endless", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert "flow/endless" in process.stdout.readline()
    family = wait_for_family(process, 4)
    agent = next(each for each in family if "agent" in each.cmdline())
    agent.kill()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the agent ended" in out
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_killed_command_leaves_no_process_behind(
    flow: Path, surroundings: dict[str, str], spawn: Spawn
) -> None:
    process = spawn("run", "flow.py:endless", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    family = wait_for_family(process, 4)
    process.kill()
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def wait_for_family(process: subprocess.Popen[str], count: int) -> list[psutil.Process]:
    """The descendants of a process, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        family = descendants(process.pid)
        if len(family) >= count:
            return family
        assert time.monotonic() < deadline, family
        time.sleep(0.02)


def test_on_a_terminal_the_run_is_a_live_tree(
    flow: Path, surroundings: dict[str, str], spawn: Spawn
) -> None:
    main, side = pty.openpty()
    process = spawn(
        "run",
        "flow.py:pipeline",
        "3",
        env={**surroundings, "TERM": "xterm", "COLUMNS": "100"},
        stdin=side,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    seen = b""
    try:
        while piece := os.read(main, 65536):
            seen += piece
    except OSError:
        # What reading gives on Linux when the other side is closed.
        pass
    os.close(main)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "✓ done pipeline(3, False)" in text
    assert text.count("✓ done double(") >= 3
    assert text.rstrip().endswith("6")


# --- dev --------------------------------------------------------------------------------------


def test_dev_serves_a_file_and_loads_it_again_when_it_changes(
    coflux: Coflux, flow: Path, surroundings: dict[str, str], tmp_path: Path, spawn: Spawn
) -> None:
    log = tmp_path / "dev.log"
    with log.open("wb") as file:
        process = spawn("dev", "flow.py", stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for_text(process, log, "registered flow", 1)
        assert coflux("submit", "flow/pipeline", "3").stdout.rstrip().endswith("6")
        flow.write_text(FLOW.replace("2 * x", "3 * x"))
        wait_for_text(process, log, "registered flow", 2)
        assert coflux("submit", "flow/pipeline", "3").stdout.rstrip().endswith("9")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0
    assert "UI at http://127.0.0.1:" in log.read_text()


def wait_for_text(process: subprocess.Popen[str], log: Path, text: str, times: int) -> None:
    deadline = time.monotonic() + 60
    while log.read_text().count(text) < times:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
