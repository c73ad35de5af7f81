"""What a kernel can tell about where it runs: the notebook's file, and the server to talk to.

Belongs here: environment variables and names that Jupyter, VS Code and IPython leave, and a server
of one's own where there is none. Does not belong here: what the kernel does with them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from coflux import config
from coflux.errors import Unavailable

#: Repository of a notebook whose file nobody knows.
NAMELESS = "notebook"
_READY_S = 20.0
_END_S = 10.0
_LOOK_S = 0.02


def notebook_path(names: Mapping[str, Any]) -> Path | None:
    """The notebook's file, where somebody tells; `names` is the shell's namespace."""
    found = os.environ.get("JPY_SESSION_NAME") or names.get("__vsc_ipynb_file__")
    return Path(str(found)) if found else None


def repository_for(path: Path | None) -> str:
    """A notebook's repository: its file's stem, as an identifier."""
    if path is None:
        return NAMELESS
    name = re.sub(r"\W+", "_", path.stem).strip("_")
    if not name:
        return NAMELESS
    return f"_{name}" if name[0].isdigit() else name


class LocalServer:
    """A server over a folder, which ends with this process or with `stop`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - for the process's life

    def start(self) -> config.RunningServer:
        """The server that runs over the folder already, or a new one.

        Raises `Unavailable` where it does not start, with the last that it said.
        """
        running = config.running_servers(self._data_dir)
        if running:
            return running[0]
        command = ["server", "--port", "0", "--data-dir", str(self._data_dir)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "coflux", *command, "--exit-on-stdin-eof"],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            running = config.running_servers(self._data_dir)
            if running:
                return running[0]
            if self._process.poll() is not None:
                raise Unavailable(f"the server did not start: {self._last_words()}")
            time.sleep(_LOOK_S)
        raise Unavailable(f"the server was not ready after {_READY_S:.0f} s")

    def stop(self) -> None:
        """End it, if it was started here."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it left no output"
