"""Somebody who does what a document says, block by block, in an empty folder.

A block may have a note before it, `<!-- … -->`: `file: NAME` writes it, `goes on: TEXT` starts a
command that goes on and waits until it says TEXT, `exits with N` expects that, `then wait for:
TEXT` waits until the newest command that goes on says TEXT again, `not run` is for reading only. A
`text` block is what the `sh` block before it prints: its lines in this order among others, with `…`
for what differs from time to time.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

DEADLINE_S = 60
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<kind>sh|python|toml|text)\n(?P<text>.*?)```", re.S
)


class Reader:
    """The reader of one document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        (folder / "runtime").mkdir(mode=0o700)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
        self.variables = {
            **clean, "XDG_RUNTIME_DIR": str(folder / "runtime"), "PATH": path,
            "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip
        self.running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.outputs: list[str] = []

    def read(self, page: Path) -> None:
        """Do all that the page says."""
        for block in _BLOCK.finditer(page.read_text("utf-8")):
            self.follow(block["note"] or "", block["kind"], block["text"])

    def follow(self, note: str, kind: str, text: str) -> None:
        """Do what a block says."""
        if note == "not run":
            return
        if note.startswith("file: "):
            (self.folder / note.removeprefix("file: ")).write_text(text)
        elif note.startswith("goes on: "):
            self.start(text.strip(), note.removeprefix("goes on: "))
        elif kind == "text":
            self.compare(text)
        elif kind == "sh":
            self.outputs.append("")
            for line in text.replace("\\\n", "").splitlines():
                self.run(line, int(note.removeprefix("exits with ")) if "exits" in note else 0)
            if note.startswith("then wait for: "):
                self.wait_for(note.removeprefix("then wait for: "), times=2)

    def start(self, command: str, ready: str) -> None:
        """Run a command that goes on until the end."""
        log = self.folder.parent / f"{len(self.running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}" if "=" not in command.split()[0] else command],
                cwd=self.folder, env=self.variables, stdout=file, stderr=subprocess.STDOUT,
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
            env=self.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=None if assignment else subprocess.STDOUT, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}"
        if assignment:
            self.variables[assignment[1]] = done.stdout.strip()
        self.outputs[-1] += f"$ {line}\n{done.stdout}"

    def compare(self, text: str) -> None:
        """The newest commands have printed these lines, in this order, among others."""
        printed = iter(self.outputs[-1].splitlines())
        for line in filter(None, map(str.strip, text.splitlines())):
            wanted = r".*".join(map(re.escape, line.split("…")))
            wanted = re.sub(r"(\\ )+", r"\\s+", wanted)
            found = any(re.fullmatch(wanted, each.strip()) for each in printed)
            assert found, f"no line {line!r} in what was printed:\n{self.outputs[-1]}"

    def stop(self) -> None:
        """Ctrl-C in each terminal, the newest first."""
        for process, _ in reversed(self.running):
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(DEADLINE_S) == 0
            finally:
                process.kill()
                process.wait()
