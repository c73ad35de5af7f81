"""The executor: a process that runs one execution (or, kept alive, one after another).

Belongs here: the process's surroundings, calling the function, and reporting the outcome. Does not
belong here: requests of running code (`requests`), forking (`zygote`), supervision (`pool`).
"""

from __future__ import annotations

import atexit
import inspect
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from coflux import host as hosts
from coflux import model, signature, target, wire
from coflux.agent import capture, channel, lifeline
from coflux.agent.control import Settings
from coflux.agent.requests import Requests
from coflux.blobs import BlobChain, Blobs, LocalBlobs
from coflux.blobs.http import HttpBlobs
from coflux.errors import NotFound
from coflux.remote_errors import describe
from coflux.target import Target

_encode = msgspec.msgpack.Encoder().encode
_decode_execute = msgspec.msgpack.Decoder(wire.Execute).decode

_RECEIVE = 256 * 1024

Targets = Mapping[str, Mapping[str, Target[Any, Any]]]
Failures = Mapping[str, model.Error]


class Unrunnable(Exception):
    """Carries the error of an execution whose function cannot be had or called."""

    def __init__(self, error: model.Error) -> None:
        super().__init__(error.message)
        self.error = error


def open_blobs(settings: Settings) -> Blobs:
    """The project's blobs as an executor reaches them."""
    url = f"{settings.url}/api/v1/projects/{settings.project}/blobs"
    stores: list[Blobs] = [HttpBlobs(url, settings.token)]
    if settings.blobs is not None:
        stores.insert(0, LocalBlobs(settings.blobs))
    return BlobChain(stores)


def directory_of(settings: Settings, ticket: int, count: int) -> Path:
    """Where the count-th execution of an executor works."""
    return Path(settings.directory) / f"{ticket}.{count}"


class Executor:
    """One executor process, from the inside."""

    def __init__(
        self,
        connection: socket.socket,
        settings: Settings,
        targets: Targets,
        failures: Failures,
        ticket: int,
    ) -> None:
        self._socket = connection
        self._settings = settings
        self._targets = targets
        self._failures = failures
        self._parser = channel.Parser()
        self._frames: list[tuple[int, int, bytes]] = []
        self._blobs = open_blobs(settings)
        self._ticket = ticket
        self._count = 0
        self._directory = self._make_directory()
        self._pid = os.getpid()
        self._environment = dict(os.environ)
        self._output = capture.Capture()

    def serve(self) -> NoReturn:
        """Take work until there is no more, and end the process."""
        os.register_at_fork(after_in_child=_forget_host)
        while True:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            kind, _, body = self._next_frame()
            if kind != channel.EXECUTE:
                self._leave(0)
            self._execute(_decode_execute(body))
            if not self._settings.reuse:
                self._leave(0)
            self._restore()

    def _make_directory(self) -> Path:
        # Made ahead of time: on a busy disk it takes as long as a small task.
        self._count += 1
        directory = directory_of(self._settings, self._ticket, self._count)
        directory.mkdir()
        os.chdir(directory)
        return directory

    def _next_frame(self) -> tuple[int, int, bytes]:
        while not self._frames:
            try:
                data = self._socket.recv(_RECEIVE)
            except OSError:
                data = b""
            if not data:
                self._leave(0)
            self._frames = self._parser.feed(data)
        return self._frames.pop(0)

    def _leave(self, code: int) -> NoReturn:
        self._output.flush()
        os._exit(code)

    # --- one execution --------------------------------------------------------------------------

    def _execute(self, execute: wire.Execute) -> None:
        try:
            found = self._find(execute)
        except Exception as error:  # noqa: BLE001 - unpickling runs a stranger's code
            result: model.Result = model.Raised(_error_of(error, self._blobs))
        else:
            requests = Requests(
                self._socket, self._parser, execute.execution, found, self._directory, self._blobs
            )
            self._output.begin(requests)
            hosts.enter(requests)
            result = self._run(found, execute, requests)
            if os.getpid() != self._pid:
                # A child that user code forked and that returned like its parent.
                os._exit(0)
            hosts.enter(None)
            self._output.end()
        if not self._settings.reuse:
            # What the function registered runs as in a script of its own, while output is kept.
            atexit._run_exitfuncs()
        self._output.flush()
        self._socket.sendall(channel.pack(channel.OUTCOME, int(_has_children()), _encode(result)))

    def _restore(self) -> None:
        """Get ready for the next execution, while the outcome of the last is on its way."""
        old, self._directory = self._directory, self._make_directory()
        try:
            old.rmdir()
        except OSError:
            shutil.rmtree(old, ignore_errors=True)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)

    def _find(self, execute: wire.Execute) -> Target[Any, Any]:
        if execute.pickle is not None:
            # cloudpickle is loaded only where targets come as bytes.
            from coflux import pickled

            return pickled.load(self._blobs.read(execute.pickle))
        if (error := self._failures.get(execute.repository)) is not None:
            raise Unrunnable(error)
        found = self._targets.get(execute.repository, {}).get(execute.target)
        if found is None:
            raise NotFound(
                f"this agent's code has no target {execute.target!r} in {execute.repository}"
            )
        if found.type != execute.target_type:
            raise NotFound(
                f"{execute.repository}/{execute.target} is a {found.type} in this agent's code,"
                f" not a {execute.target_type}"
            )
        return found

    def _run(
        self, found: Target[Any, Any], execute: wire.Execute, requests: Requests
    ) -> model.Result:
        try:
            args, kwargs = signature.call_arguments(
                found.__signature__, execute.arguments, requests.decode
            )
            signal.signal(signal.SIGINT, signal.default_int_handler)
            value = _call(found, args, kwargs)
            if (refusal := requests.refused_child()) is not None:
                raise refusal
            encoded = requests.encode(value, "result")
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return model.Returned(encoded)
        except BaseException as error:  # noqa: BLE001 - whatever leaves the function is its outcome
            return self._raised(found, error)

    def _raised(self, found: Target[Any, Any], error: BaseException) -> model.Result:
        retryable = True
        if found.when is not None:
            try:
                retryable = _is_worth_retrying(found.when, error)
            except BaseException as failure:  # noqa: BLE001 - user code as well (RE-5)
                error, retryable = failure, False
        return model.Raised(_error_of(error, self._blobs), retryable)


def _call(found: Target[Any, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    function = found.__wrapped__
    if inspect.iscoroutinefunction(function):
        return target.run_coroutine(function, args, kwargs)
    return function(*args, **kwargs)


def _is_worth_retrying(when: Any, error: BaseException) -> bool:
    if isinstance(when, tuple):
        return isinstance(error, when)
    return bool(when(error))


def _error_of(error: BaseException, blobs: Blobs) -> model.Error:
    if isinstance(error, Unrunnable):
        return error.error
    return describe(error, blobs.put_bytes)


def _has_children() -> bool:
    # Detached grandchildren count as well: the process adopts them (`prctl`).
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _forget_host() -> None:
    # The channel belongs to the parent; two processes would garble it.
    hosts.enter(None)
    capture.forget()


def settle_in(out: int, err: int, alive: int) -> None:
    """Make the calling, fresh process an executor's: group, descriptors, signals.

    `out` and `err` become 1 and 2; `alive` is a pipe whose other end the agent holds.
    """
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    lifeline.adopt_orphans()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (null, out, err):
        os.close(descriptor)
    lifeline.die_with(alive)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    atexit._clear()
    sys.stdin = capture.NoInput()
    sys.breakpointhook = capture.no_breakpoint
