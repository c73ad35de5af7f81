"""The executor: a process that runs one execution (or, kept alive, one after another).

Belongs here: the process's surroundings, calling the function, and reporting the outcome. Does not
belong here: requests of running code (`requests`), forking (`zygote`), supervision (`pool`).
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from coflux import bridges, model, signature, target, wire
from coflux import host as hosts
from coflux.agent import capture, channel, lifeline
from coflux.agent.control import Settings
from coflux.agent.masking import Masks
from coflux.agent.requests import Requests
from coflux.agent.workplace import Workplace
from coflux.blobs import Blobs, LocalBlobs
from coflux.errors import NotFound
from coflux.remote_errors import describe
from coflux.target import Target

_encode = msgspec.msgpack.Encoder().encode
_decode_execute = msgspec.msgpack.Decoder(wire.Execute).decode

_RECEIVE = 8 * 1024

Targets = Mapping[str, Mapping[str, Target[Any, Any]]]
Failures = Mapping[str, model.Error]


class Unrunnable(Exception):
    """Carries the error of an execution whose function cannot be had or called."""

    def __init__(self, error: model.Error) -> None:
        super().__init__(error.message)
        self.error = error


class Surroundings:
    """What all executors of a generation have in common.

    It is made before they are forked: each page of memory that one of them touches is copied, and
    for a small task that is most of the cost.
    """

    def __init__(self, targets: Targets, failures: Failures) -> None:
        self.targets = targets
        self.failures = failures
        self.environment = os.environ.copy()
        self.encoded_environment: dict[bytes, bytes] = dict(vars(os.environ)["_data"])
        self.output = capture.Capture()
        self.settings: Settings | None = None
        self.blobs: Blobs | None = None
        os.register_at_fork(after_in_child=_forget_host)

    def configure(self, settings: Settings) -> None:
        """Work with these settings."""
        self.settings = settings
        if settings.blobs is not None:
            self.blobs = LocalBlobs(settings.blobs)
            return
        # Late: executors are forked with what is imported, and most need no HTTP.
        from coflux.blobs.http import HttpBlobs

        url = f"{settings.url}/api/v1/projects/{settings.project}/blobs"
        self.blobs = HttpBlobs(url, settings.token)


class Executor:
    """One executor process, from the inside. It is made before the process is (see `Surroundings`).

    Its first directory has been made (`workplace.Spares`); `marks` is the descriptor of its stdout.
    """

    def __init__(
        self,
        connection: socket.socket,
        surroundings: Surroundings,
        ticket: int,
        marks: int,
    ) -> None:
        assert surroundings.settings is not None
        assert surroundings.blobs is not None
        self._socket = connection
        self._surroundings = surroundings
        self._settings = surroundings.settings
        self._blobs = surroundings.blobs
        #: Contents of secrets that code in this process has got.
        self._masks = Masks()
        self._output = surroundings.output
        self._parser = channel.Parser()
        self._frames: list[tuple[int, int, bytes]] = []
        self._ticket = ticket
        self._marks = marks
        self._requests = self._new_requests()

    def serve(self) -> NoReturn:
        """Take work until there is no more, and end the process."""
        self._pid = os.getpid()
        workplace = Workplace(self._settings.directory, self._ticket)
        while True:
            kind, _, body = self._next_frame()
            if kind != channel.EXECUTE:
                self._leave(0)
            self._execute(_decode_execute(body), workplace.directory)
            if not self._settings.reuse:
                self._leave(0)
            workplace.renew()
            self._restore()

    def _new_requests(self) -> Requests:
        return Requests(
            self._socket,
            self._parser,
            self._blobs,
            self._marks,
            self._settings.secret,
            self._masks,
        )

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

    def _execute(self, execute: wire.Execute, directory: str) -> None:
        try:
            found = self._find(execute)
        except Exception as error:  # noqa: BLE001 - unpickling runs a stranger's code
            result: model.Result = model.Raised(self._error_of(error))
        else:
            requests = self._requests
            requests.begin(execute.execution, found, directory)
            requests.scheduled_at = execute.scheduled_at
            self._output.begin(requests)
            hosts.enter(requests)
            result = self._run(found, execute, requests)
            if os.getpid() != self._pid:
                # A child that user code forked and that returned like its parent.
                os._exit(0)
            hosts.enter(None)
            requests.end()
            self._output.end()
        if not self._settings.reuse:
            # What the function registered runs as in a script of its own, while output is kept.
            atexit._run_exitfuncs()
        self._output.flush()
        self._socket.sendall(channel.pack(channel.OUTCOME, int(_has_children()), _encode(result)))

    def _restore(self) -> None:
        """Get ready for the next execution, while the outcome of the last is on its way."""
        self._requests = self._new_requests()
        # The mapping itself decodes each entry for a comparison, which takes a quarter of a ms.
        if vars(os.environ)["_data"] != self._surroundings.encoded_environment:
            os.environ.clear()
            os.environ.update(self._surroundings.environment)

    def _find(self, execute: wire.Execute) -> Target[Any, Any]:
        if execute.pickle is not None:
            # cloudpickle is loaded only where targets come as bytes.
            from coflux import pickled

            return pickled.load(self._blobs.read(execute.pickle), self._remark)
        if (error := self._surroundings.failures.get(execute.repository)) is not None:
            raise Unrunnable(error)
        found = self._surroundings.targets.get(execute.repository, {}).get(execute.target)
        if found is None:
            raise NotFound(
                f"this agent's code has no target {execute.target!r} in {execute.repository}"
            )
        if found.type != execute.target_type:
            raise NotFound(
                f"{execute.repository}/{execute.target} is a {found.type} in this agent's code,"
                f" not a {execute.target_type}"
            )
        if execute.code is not None and found.code() != execute.code:
            self._tell_code(execute, found.code())
        return found

    def _remark(self, text: str) -> None:
        self._socket.sendall(channel.pack(channel.REMARK, 0, text.encode()))

    def _tell_code(self, execute: wire.Execute, code: str) -> None:
        """The agent has loaded its repositories again since it was given this."""
        if execute.exact:
            raise NotFound(
                f"this agent has loaded other code of {execute.repository}/{execute.target}"
                f" ({code[:8]}) than what was asked for ({(execute.code or '')[:8]})"
            )
        note = _encode(wire.Code(execute.execution, code))
        self._socket.sendall(channel.pack(channel.NOTE, 0, note))

    def _run(
        self, found: Target[Any, Any], execute: wire.Execute, requests: Requests
    ) -> model.Result:
        try:
            args, kwargs = signature.call_arguments(
                found.__signature__, execute.arguments, requests.decode
            )
            value = _call(found, args, kwargs)
            if (refusal := requests.refused_child()) is not None:
                raise refusal
            return model.Returned(requests.encode(value, "result"))
        except BaseException as error:  # noqa: BLE001 - whatever leaves the function is its outcome
            return self._raised(found, error)

    def _raised(self, found: Target[Any, Any], error: BaseException) -> model.Result:
        retryable = True
        if found.when is not None:
            try:
                retryable = _is_worth_retrying(found.when, error)
            except BaseException as failure:  # noqa: BLE001 - user code as well (RE-5)
                error, retryable = failure, False
        return model.Raised(self._error_of(error), retryable)

    def _error_of(self, error: BaseException) -> model.Error:
        if isinstance(error, Unrunnable):
            return error.error
        masks = self._masks
        if not masks:
            return describe(error, self._blobs.put_bytes)
        return masks.error(describe(error, lambda data: self._blobs.put_bytes(masks.data(data))))


def _call(found: Target[Any, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    function = found.__wrapped__
    if found.is_async:
        return target.run_coroutine(function, args, kwargs)
    return function(*args, **kwargs)


def _is_worth_retrying(when: Any, error: BaseException) -> bool:
    if isinstance(when, tuple):
        return isinstance(error, when)
    return bool(when(error))


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


def prepare_process() -> None:
    """Make the calling process one that executors can be forked from, or become."""
    sys.stdin = capture.NoInput()
    sys.breakpointhook = capture.no_breakpoint
    bridges.install()
    # What was registered until now is this process's own business.
    atexit._clear()


def settle_in(out: int, err: int) -> None:
    """Make the calling, fresh process an executor's: descriptors and orphans.

    `out` and `err` become 1 and 2 (`out` stays open as well, for marks). 0 is the null device
    already.
    """
    lifeline.adopt_orphans()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(err)
