"""The zygote: a process that imports the repositories once, and forks an executor when told to.

Belongs here: importing, forking, reaping. Does not belong here: what an executor does, and which
execution gets one. The process has one thread, so that forking is safe.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import struct
import sys
import warnings
from pathlib import Path
from typing import NoReturn

from coflux.agent import control, executor, forking, lifeline, loader, reaping, strays
from coflux.agent.control import Begin, Configure, Forked
from coflux.agent.workplace import Spares

_PACKET = 64 * 1024
_DESCRIPTORS = struct.Struct("3i")
_ANCILLARY = socket.CMSG_LEN(_DESCRIPTORS.size)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Zygote:
    """The state of the process, and its loop."""

    def __init__(self, orders: socket.socket, news: socket.socket, alive: int) -> None:
        self._orders = orders
        self._news = news
        self._alive = alive
        self._surroundings: executor.Surroundings | None = None
        #: Executors, with their tickets, by the descriptor that tells of their end.
        self._pids: dict[int, tuple[int, int]] = {}
        self._spares: Spares | None = None
        self._poller = select.poll()
        self._poller.register(orders, select.POLLIN)

    def run(self) -> NoReturn:
        """Serve orders until the agent is gone or closes their socket."""
        orders = self._orders.fileno()
        while True:
            for descriptor, _ in self._poller.poll():
                if descriptor == orders:
                    self._take_order()
                else:
                    self._reap(descriptor)

    def _take_order(self) -> None:
        # Not `socket.recv_fds`: it does not pass the flag on, and programs that user code starts
        # would inherit the descriptors.
        packet, ancillary, _, _ = self._orders.recvmsg(_PACKET, _ANCILLARY, _CLOSE_ON_EXEC)
        if not packet:
            self._end()
        order = control.decode_order(packet)
        if isinstance(order, Begin):
            self._load(order)
            return
        assert self._surroundings is not None, "the first order is to begin"
        if isinstance(order, Configure):
            self._surroundings.configure(order.settings)
            self._spares = Spares(order.settings.directory)
        else:
            (_, _, data), *_ = ancillary
            self._fork(order.ticket, *_DESCRIPTORS.unpack(data))

    def _end(self) -> NoReturn:
        for pid, _ in self._pids.values():
            reaping.kill_group(pid)
        if lifeline.is_cut(self._alive):
            strays.kill_all_marked()
        os._exit(0)

    # --- importing ------------------------------------------------------------------------------

    def _load(self, order: Begin) -> None:
        executor.prepare_process()
        loaded = loader.load(order.repositories, Path(order.directory))
        loader.import_ahead(order.preload)
        failures = {name: error for name, (error, _) in loaded.failures.items()}
        _flush()
        executor.prepare_process()
        self._surroundings = executor.Surroundings(loaded.targets, failures)
        # Python warns where it sees several threads; native ones of libraries cannot be helped.
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        repositories = loaded.repositories()
        # What is there now is shared by all executors; collecting it would copy it into each.
        gc.collect()
        gc.freeze()
        self._tell(control.Loaded(repositories, tuple(loaded.named), loader.project_files()))

    # --- forking --------------------------------------------------------------------------------

    def _fork(self, ticket: int, connection: int, out: int, err: int) -> None:
        assert self._surroundings is not None
        assert self._spares is not None, "settings come before the first fork"
        # As much as possible before the fork: in the child each page of memory costs.
        self._spares.give(ticket)
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, connection)
        born = executor.Executor(agent, self._surroundings, ticket, out)
        alive = lifeline.descriptor_of_its_own(self._alive)
        pid = forking.fork()
        if pid == 0:
            self._become_executor(born, out, err)
        # It gets work only when the agent has heard of it, which is after this.
        os.setpgid(pid, pid)
        lifeline.tie(alive, pid)
        agent.close()
        for descriptor in (out, err, alive):
            os.close(descriptor)
        ends = os.pidfd_open(pid)
        self._pids[ends] = (pid, ticket)
        self._poller.register(ends, select.POLLIN)
        self._tell(Forked(ticket, pid))

    def _become_executor(self, born: executor.Executor, out: int, err: int) -> NoReturn:
        try:
            executor.settle_in(out, err)
            os.close(self._orders.fileno())
            os.close(self._news.fileno())
            born.serve()
        except KeyboardInterrupt:
            # An abort that found it outside of user code.
            os._exit(130)
        except BaseException:  # noqa: BLE001 - the child must not go on as a zygote
            sys.excepthook(*sys.exc_info())
        finally:
            _flush()
            os._exit(1)

    # --- reaping --------------------------------------------------------------------------------

    def _reap(self, ends: int) -> None:
        self._poller.unregister(ends)
        os.close(ends)
        pid, ticket = self._pids.pop(ends)
        # Before its number is free again: whatever is left of its group ends with it.
        reaping.kill_group(pid)
        _, status, usage = os.wait4(pid, 0)
        is_tidy = status == 0 and self._spares is not None and self._spares.take_back(ticket)
        self._tell(reaping.exited(pid, status, usage, is_tidy))

    def _tell(self, news: control.News) -> None:
        try:
            self._news.sendall(control.encode_news(news))
        except OSError:
            self._end()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def main() -> NoReturn:
    """Serve; the arguments of the process are the numbers of the inherited descriptors."""
    orders, news, alive = (int(argument) for argument in sys.argv[1:4])
    for number in (orders, news, alive):
        os.set_inheritable(number, False)
    sys.argv[:] = ["coflux-agent"]
    Zygote(socket.socket(fileno=orders), socket.socket(fileno=news), alive).run()
