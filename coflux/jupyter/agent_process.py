"""The companion agent of a kernel, as the kernel holds it: a process and two pipes.

Belongs here: starting it, sending it offers, waiting for its word, ending it. Nothing here prints:
its reader is a thread, whose output would land under some other cell. Does not belong here: what
is offered (`namespace`), and what the process does (`coflux.agent.companion`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import IO

from coflux.agent import feed
from coflux.config import Config
from coflux.errors import Unavailable
from coflux.jupyter.namespace import Found

_RECEIVE = 64 * 1024
#: How long the process may take to end by itself, in seconds.
_END_S = 10.0
#: Notices kept until somebody shows them.
_NOTICES = 20


class AgentProcess:
    """One companion. Methods may be called from the shell's thread only."""

    def __init__(self, settings: Config, directory: Path, concurrency: int | None = None) -> None:
        self.environment = settings.environment
        self.session: str | None = None
        self.concurrency = concurrency or 0
        #: Executions run in this interpreter's environment, elsewhere than the kernel.
        self.pid = 0
        self._notices: deque[str] = deque(maxlen=_NOTICES)
        self._changed = threading.Condition()
        self._failure: str | None = None
        self._number = 0
        self._answered: dict[int, str | None] = {}
        self._sent: set[str] = set()
        self._start(directory)
        self._send(
            feed.Begin(
                settings.host, settings.token, settings.project, settings.environment,
                concurrency, str(directory),
            )
        )  # fmt: skip

    def _start(self, directory: Path) -> None:
        # What it says when it cannot even start.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - for the process's life
        theirs, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        numbers = (theirs, answers)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "coflux.agent.companion", *map(str, numbers)],
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd=directory,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_own_paths())},
                # The kernel's Interrupt goes to its whole group.
                start_new_session=True,
            )
        finally:
            for number in numbers:
                os.close(number)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="coflux-agent", daemon=True)
        self._reader.start()

    # --- what it is told ------------------------------------------------------------------------

    def offer(self, found: Found, own: str) -> int:
        """Offer these targets instead of those before; gives the number to wait for."""
        self._number += 1
        fresh = [sha for sha in found.pickles if sha not in self._sent]
        self._sent.update(fresh)
        pickles = tuple(found.pickles[sha] for sha in fresh)
        self._send(
            feed.Offer(
                self._number, found.repositories, own, pickles, found.modules, _own_paths()
            )
        )  # fmt: skip
        return self._number

    def wait(self, number: int, timeout_s: float) -> str | None:
        """Wait until the server knows an offer; gives why it is not registered, if it is not.

        Raises `Unavailable` where the agent cannot serve or does not answer in time.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: number in self._answered or self._failure is not None, timeout_s
            )
            if number in self._answered:
                return self._answered[number]
            raise Unavailable(
                self._failure or f"the kernel's agent did not reach the server in {timeout_s:g} s"
            )

    def wait_ready(self, timeout_s: float) -> str:
        """Wait until it is connected; its session. Raises `Unavailable`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.session is not None or self._failure is not None, timeout_s
            )
            if self.session is None or self._failure is not None:
                raise Unavailable(
                    self._failure or f"the kernel's agent is not connected after {timeout_s:g} s"
                )
            return self.session

    def take_notices(self) -> list[str]:
        """What it has said since last asked."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    @property
    def is_alive(self) -> bool:
        """Whether it serves."""
        return self._failure is None and self._process.poll() is None

    def stop(self) -> None:
        """End it now; what it runs is abandoned."""
        with contextlib.suppress(OSError):
            os.close(self._orders)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_END_S)
        self._errors.close()

    def _send(self, message: feed.FromOwner) -> None:
        data = feed.pack(message)
        try:
            while data:
                data = data[os.write(self._orders, data) :]
        except OSError as error:
            raise Unavailable(f"the kernel's agent is gone: {self._reason()}") from error

    # --- what it says ---------------------------------------------------------------------------

    def _read(self) -> None:
        parser = feed.Parser(feed.from_companion)
        while True:
            data = os.read(self._answers, _RECEIVE)
            if not data:
                break
            for message in parser.feed(data):
                with self._changed:
                    self._hear(message)
                    self._changed.notify_all()
        os.close(self._answers)
        # Its end of the pipe may be seen before its exit code.
        code = self._end_code()
        with self._changed:
            self._failure = self._failure or f"the kernel's agent ended ({code}){self._last_line()}"
            self._changed.notify_all()

    def _hear(self, message: feed.FromCompanion) -> None:
        if isinstance(message, feed.Ready):
            self.session, self.concurrency = message.session, message.concurrency
        elif isinstance(message, feed.Offered):
            self._answered[message.number] = message.problem
        elif isinstance(message, feed.Notice):
            self._notices.append(message.text)
        else:
            self._failure = message.reason

    def _end_code(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        code = self._process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _last_line(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last}" if last else ""

    def _reason(self) -> str:
        return self._failure or "it ended"


def _own_paths() -> tuple[str, ...]:
    """What the kernel has added to its path of modules, for the agent's processes."""
    installed = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    known = (*(path for path in installed if path), sys.prefix, sys.base_prefix)
    added = [
        path for path in sys.path if path and os.path.isdir(path) and not path.startswith(known)
    ]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return tuple(dict.fromkeys([*added, *(path for path in given if path)]))
