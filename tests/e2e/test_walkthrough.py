"""The example's README, command by command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "weather"
DEADLINE_S = 60

_BLOCK = re.compile(r"(?:<!-- exits with (?P<code>\d+) -->\n)?```sh\n(?P<lines>.*?)```", re.DOTALL)


class Terminal:
    """A folder with a copy of the example, the processes that run in it, and shell variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "weather"
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns(".coflux", "__pyc*"))
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
        self.variables = {**clean, "XDG_RUNTIME_DIR": str(runtime), "PATH": path}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, command: str, ready: str) -> None:
        """Run a command that goes on, and wait for the line that says it is ready."""
        log = self.folder.parent / f"{len(self.running)}.log"
        with log.open("wb") as file:
            self.running[command] = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder, env=self.variables, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.wait_for(command, ready)

    def wait_for(self, command: str, text: str, times: int = 1) -> None:
        """Wait until the output of a running command has the text so many times."""
        log = self.folder.parent / f"{list(self.running).index(command)}.log"
        deadline = time.monotonic() + DEADLINE_S
        while log.read_text().count(text) < times:
            assert self.running[command].poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{command!r}: no {text!r} in {log.read_text()!r}"
            time.sleep(0.02)

    def run(self, line: str, code: int) -> str:
        """Run a command; `name=$(…)` keeps its output in a variable."""
        assignment = re.fullmatch(r"(\w+)=\$\((.*)\)", line)
        command = assignment[2] if assignment else line
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=self.folder, env=self.variables, capture_output=True, text=True,
            timeout=DEADLINE_S,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        if assignment:
            self.variables[assignment[1]] = done.stdout.strip()
        return done.stdout + done.stderr

    def stop(self) -> None:
        """End what runs as Ctrl-C does, agents before the server, and see that it works."""
        for command, process in reversed(self.running.items()):
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(DEADLINE_S) == 0, command
            finally:
                process.kill()
                process.wait()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.stop()


def commands() -> Iterator[tuple[str, int]]:
    """The README's commands with the exit code that each is said to have."""
    for block in _BLOCK.finditer((EXAMPLE / "README.md").read_text("utf-8")):
        for line in block["lines"].splitlines():
            yield line, int(block["code"] or 0)


@pytest.mark.slow
def test_every_command_of_the_walk_through_does_what_it_says(terminal: Terminal) -> None:
    outputs: dict[str, str] = {}
    agent = ""
    for line, code in commands():
        if line == "coflux server":
            terminal.start(f"{line} --port 0", "Coflux is ready")
        elif line.startswith("coflux agent "):
            agent = line
            terminal.start(line, "registered weather")
        else:
            outputs[line] = outputs.get(line, "") + terminal.run(line, code)
        if line.startswith("sed "):
            terminal.wait_for(agent, "registered weather", times=2)

    assert "StatisticsError" in outputs["coflux runs result $run"]
    assert "365 days, 0 with snow" in outputs["coflux logs $run:9"]
    rerun = outputs["coflux runs rerun $run:1 --environment development --reuse"]
    assert '"rain_per_year"' in rerun
    explanation = outputs["coflux cache explain $new:2 --environment development"]
    assert "hit" in explanation
    assert outputs["cat tables/climates.csv"].startswith("city,rain_per_year,hottest")
