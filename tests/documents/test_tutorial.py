"""The tutorial, file by file and command by command, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
DEADLINE_S = 60
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<kind>sh|python)\n(?P<text>.*?)```", re.S
)


class Reader:
    """Somebody who does what the tutorial says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        (folder / "runtime").mkdir(mode=0o700)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
        self.variables = {**clean, "XDG_RUNTIME_DIR": str(folder / "runtime"), "PATH": path}
        self.running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.outputs: list[str] = []

    def follow(self, note: str, kind: str, text: str) -> None:
        """Do what a block says."""
        if note.startswith("file: "):
            (self.folder / note.removeprefix("file: ")).write_text(text)
        elif note.startswith("goes on: "):
            self.start(text.strip(), note.removeprefix("goes on: "))
        elif kind == "sh":
            for line in text.splitlines():
                self.run(line, int(note.removeprefix("exits with ")) if "exits" in note else 0)
            if note.startswith("then wait for: "):
                self.wait_for(note.removeprefix("then wait for: "), times=2)

    def start(self, command: str, ready: str) -> None:
        """Run a command that goes on until the end."""
        log = self.folder.parent / f"{len(self.running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.variables,
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.running.append((process, log))
        self.wait_for(ready)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until the newest command that goes on has printed the text so many times."""
        process, log = self.running[-1]
        deadline = time.monotonic() + DEADLINE_S
        while log.read_text().count(text) < times:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"no {text!r} in {log.read_text()!r}"
            time.sleep(0.02)

    def run(self, line: str, code: int) -> None:
        """Run a command to its end; `name=$(…)` keeps its output."""
        assignment = re.fullmatch(r"(\w+)=\$\((.*)\)", line)
        done = subprocess.run(
            ["bash", "-c", assignment[2] if assignment else line], cwd=self.folder,
            env=self.variables, capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        if assignment:
            self.variables[assignment[1]] = done.stdout.strip()
        self.outputs.append(f"$ {line}\n{done.stdout}{done.stderr}")

    def stop(self) -> None:
        """Ctrl-C in each terminal, the newest first."""
        for process, _ in reversed(self.running):
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(DEADLINE_S) == 0
            finally:
                process.kill()
                process.wait()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(reader: Reader) -> None:
    for block in _BLOCK.finditer(TUTORIAL.read_text("utf-8")):
        reader.follow(block["note"] or "", block["kind"], block["text"])
    told = "\n".join(reader.outputs)
    assert "7.75" in told
    assert "11.25" in told
    assert "KeyError" in told
    assert "looking up pie" in told
    assert "\n8.5\n" in told
    assert "tea\\ncake" in told or "tea\ncake" in told
