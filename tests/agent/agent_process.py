"""An agent in a process of its own, with the files of its repositories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
from agent_puppet import PATIENCE_S, Puppet

_SCRIPT = """
import json, sys
from pathlib import Path
from coflux.agent.config import AgentConfig
from coflux.agent.main import run_agent
given = json.loads(sys.argv[1])
given["directory"] = Path(given["directory"])
given["repositories"] = tuple(given["repositories"])
if "provides" in given:
    given["provides"] = {key: tuple(values) for key, values in given["provides"].items()}
sys.exit(run_agent(AgentConfig(notice=lambda text: print(text, flush=True), **given)))
"""


class AgentProcess:
    """One agent, with the files of its repositories."""

    def __init__(self, puppet: Puppet, folder: Path) -> None:
        self.puppet = puppet
        self.folder = folder
        self.output = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, source: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def start(self, *repositories: str, wait: bool = True, **config: Any) -> None:
        """Start it, and wait until it has said hello."""
        hellos = len(self.puppet.hellos)
        given = {
            "host": self.puppet.url,
            "directory": str(self.folder),
            "repositories": repositories,
            "concurrency": 4,
            **config,
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", _SCRIPT, json.dumps(given)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")},
                cwd=self.folder,
            )
        if wait:
            self.puppet.until(lambda: len(self.puppet.hellos) > hellos)

    def said(self) -> str:
        """What it has printed."""
        return self.output.read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def descendants(self) -> list[psutil.Process]:
        """All processes below it."""
        return psutil.Process(self.pid).children(recursive=True)

    def zygote(self) -> psutil.Process:
        """The newest zygote."""
        found = [p for p in psutil.Process(self.pid).children() if "zygote" in str(p.cmdline())]
        return max(found, key=lambda p: p.pid)

    def stop(self) -> int:
        """Let it drain and end; gives its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)
