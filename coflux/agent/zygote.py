"""The zygote: a process that imports the repositories once, and forks an executor when told to.

Belongs here: importing, forking, reaping. Does not belong here: what an executor does, and which
execution gets one. The process has one thread, so that forking is safe.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import NoReturn

from coflux.agent import control, executor, loader, reaping
from coflux.agent.control import Begin, Configure, Fork, Forked, Settings

_PACKET = 64 * 1024


class Zygote:
    """The state of the process, and its loop."""

    def __init__(self, orders: socket.socket, news: socket.socket, alive: int) -> None:
        self._orders = orders
        self._news = news
        self._alive = alive
        self._settings: Settings | None = None
        self._loaded = loader.Loaded()
        self._failures: executor.Failures = {}
        self._pids: set[int] = set()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def run(self) -> NoReturn:
        """Serve orders until the agent is gone or closes their socket."""
        # The console's Ctrl-C is for the agent, which says what is to happen.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        poller = select.poll()
        poller.register(self._orders, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == self._wake_read:
                    self._reap()
                else:
                    self._take_order()

    def _take_order(self) -> None:
        packet, descriptors, _, _ = socket.recv_fds(self._orders, _PACKET, 3)
        if not packet:
            self._end()
        order = control.decode_order(packet)
        if isinstance(order, Begin):
            self._load(order)
        elif isinstance(order, Configure):
            self._settings = order.settings
        else:
            self._fork(order, descriptors)

    def _end(self) -> NoReturn:
        for pid in self._pids:
            reaping.kill_group(pid)
        os._exit(0)

    # --- importing ------------------------------------------------------------------------------

    def _load(self, order: Begin) -> None:
        self._loaded = loader.load(order.repositories, Path(order.directory))
        self._failures = {name: error for name, (error, _) in self._loaded.failures.items()}
        _flush()
        # Imports may have set handlers of their own.
        signal.signal(signal.SIGCHLD, _wake)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        # What is there now is shared by all executors; collecting it would copy it into each.
        gc.collect()
        gc.freeze()
        self._tell(
            control.Loaded(
                repositories=self._loaded.repositories(),
                named=tuple(self._loaded.named),
                files=loader.project_files(),
            )
        )

    # --- forking --------------------------------------------------------------------------------

    def _fork(self, order: Fork, descriptors: list[int]) -> None:
        with warnings.catch_warnings():
            # Python warns where it sees several threads; native ones of libraries cannot be helped.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._become_executor(order.ticket, *descriptors)
        try:
            os.setpgid(pid, pid)
        except OSError:
            # The child has been quicker.
            pass
        for descriptor in descriptors:
            os.close(descriptor)
        self._pids.add(pid)
        self._tell(Forked(order.ticket, pid))

    def _become_executor(self, ticket: int, channel: int, out: int, err: int) -> NoReturn:
        try:
            executor.settle_in(out, err, self._alive)
            for mine in (self._wake_read, self._wake_write):
                os.close(mine)
            self._orders.close()
            self._news.close()
            _reseed()
            assert self._settings is not None, "settings come before the first fork"
            executor.Executor(
                socket.socket(fileno=channel),
                self._settings,
                self._loaded.targets,
                self._failures,
                ticket,
            ).serve()
        except BaseException:  # noqa: BLE001 - the child must not go on as a zygote
            sys.excepthook(*sys.exc_info())
        finally:
            _flush()
            os._exit(1)

    # --- reaping --------------------------------------------------------------------------------

    def _reap(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                continue
        except BlockingIOError:
            pass
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid in self._pids:
                # Before its number is free again: whatever is left of its group ends with it.
                reaping.kill_group(found.si_pid)
            _, status, usage = os.wait4(found.si_pid, 0)
            if found.si_pid in self._pids:
                self._pids.discard(found.si_pid)
                self._tell(reaping.exited(found.si_pid, status, usage))

    def _tell(self, news: control.News) -> None:
        try:
            self._news.sendall(control.encode_news(news))
        except OSError:
            self._end()


def _wake(number: int, frame: FrameType | None) -> None:
    """Nothing: the descriptor wakes the loop. (The default would not write to it.)"""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _reseed() -> None:
    # Executors share the zygote's state; numpy, unlike `random`, does not notice the fork.
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def main() -> NoReturn:
    """Entry point; the arguments are the numbers of the inherited descriptors."""
    orders, news, alive = (int(argument) for argument in sys.argv[1:4])
    os.set_inheritable(alive, False)
    sys.argv[:] = ["coflux-agent"]
    Zygote(socket.socket(fileno=orders), socket.socket(fileno=news), alive).run()


if __name__ == "__main__":
    main()
