"""What running code asks the server, from inside the executor: requests, their answers, memory.

Belongs here: the executor's end of the channel while user code runs, for any number of threads and
event loops. Does not belong here: running the function (`executor`), and what users call
(`coflux.context`).

Whoever waits reads the channel: one thread at a time takes the lead, hands out what arrives, and
passes the lead on when its own answer is there. So an answer costs one wake-up.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from coflux import values, wire
from coflux.agent import channel, masking
from coflux.agent.control import Given, Line
from coflux.agent.measuring import Measuring
from coflux.blobs import Blobs
from coflux.errors import REFUSALS, CofluxError, NotFound, NotSerialisable, Refused, WaitCycle
from coflux.handles import make_handle
from coflux.model import (
    AssetManifest,
    Group,
    Level,
    MetricDefinition,
    Question,
    Record,
    Submission,
    Value,
)
from coflux.secret import Secret
from coflux.target import Target
from coflux.wire import Outcome

if TYPE_CHECKING:
    import asyncio

_encode = msgspec.msgpack.Encoder().encode
_decode_answer = msgspec.msgpack.Decoder(wire.Answer).decode
_decode_given = msgspec.msgpack.Decoder(Given).decode

_RECEIVE = 64 * 1024
#: Submissions in one request (section 32), and their bytes, with room for the rest of the message.
_BATCH, _BATCH_BYTES = 1_000, wire.MAX_MESSAGE - 16 * 1024
#: A line of log may be this long, in characters (section 32); what is longer is split.
_LINE_LIMIT = 64 * 1024


class _Slot:
    """A request that waits for its answer."""

    __slots__ = ("answer", "future", "key")

    def __init__(self, key: int) -> None:
        self.key = key
        self.answer: wire.Answer | Given | None = None
        self.future: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None


class Child:
    """A child that has been asked for (`coflux.host.Ticket`)."""

    __slots__ = ("_index", "_requests", "_slot", "is_seen")

    def __init__(self, requests: Requests, slot: _Slot, index: int = 0) -> None:
        self._requests = requests
        self._slot = slot
        #: Its place among those asked for together.
        self._index = index
        #: Its refusal has been raised to user code.
        self.is_seen = False

    def id(self) -> str:
        """Wait for the answer; raises the refusal, if it was refused."""
        self._requests.settle(self._slot)
        answer = self._slot.answer
        if isinstance(answer, wire.Submitted):
            return answer.executions[self._index]
        self.is_seen = True
        raise _refusal(answer)

    def known(self) -> str | None:
        """The id, if the answer is there already."""
        answer = self._slot.answer
        return answer.executions[self._index] if isinstance(answer, wire.Submitted) else None

    def is_refused(self) -> bool:
        """Whether the answer is there and is a refusal."""
        return self._slot.answer is not None and self.known() is None


class _Batch(Record, tag="submit"):
    """`wire.Submit` with submissions that are encoded already."""

    execution: str
    key: int
    submissions: list[msgspec.Raw]


class Requests:
    """The host of one execution (`coflux.host.Host`)."""

    def __init__(
        self,
        connection: socket.socket,
        parser: channel.Parser,
        blobs: Blobs,
        marks: int,
        secret: bytes,
        masks: masking.Masks,
    ) -> None:
        self.blobs = blobs
        self.scheduled_at: int | None = None
        #: Descriptor of the original stdout, and what begins a mark there.
        self._marks = marks
        self._secret = secret
        self._masks = masks
        self._socket = connection
        self._parser = parser
        self._send_lock = threading.Lock()
        self._turn = threading.Condition(threading.Lock())
        self._is_led = False
        self._keys = itertools.count(1)
        self._slots: dict[int, _Slot] = {}
        #: Children whose answer nobody has looked at.
        self._children: list[Child] = []
        self._groups = itertools.count()
        #: Outcomes that the code has asked for: they never change (WA-8).
        self._seen: dict[str, Outcome] = {}
        #: Outcomes that arrived ahead of being asked for.
        self._ahead: dict[str, Outcome] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._measuring: Measuring | None = None

    def begin(self, execution: str, target: Target[Any, Any], directory: str) -> None:
        """Serve this execution, which works in `directory`, from now on."""
        self.execution = execution
        self.target = target
        self._directory = directory
        self._began = time.monotonic()

    @property
    def directory(self) -> Path:
        """Where the execution works."""
        return Path(self._directory)

    # --- values ---------------------------------------------------------------------------------

    def encode(self, obj: object, path: str) -> Value:
        """Encode a value; `path` names it in errors."""
        if self._masks:
            return masking.encode(obj, self.blobs, path, self._masks)
        return values.encode(obj, blobs=self.blobs, path=path)

    def encode_for_log(self, obj: object, label: str) -> Value:
        """Encode a value of a log entry; contents of secrets are hidden in it."""
        path = f"log value {label}"
        if not self._masks:
            return self.encode(obj, path)
        try:
            value = self.encode(self._masks.text(obj) if isinstance(obj, str) else obj, path)
        except NotSerialisable:
            value = values.encode(str(obj), blobs=self.blobs, path=path)
        hidden = self._masks.text(value.preview)
        return value if hidden == value.preview else values.encode(hidden, blobs=None)

    def decode(self, value: Value) -> Any:
        """The object, with handles for its references."""
        return values.decode(value, blobs=self.blobs, make_handle=make_handle, make_secret=Secret)

    # --- children -------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> Child:
        """Ask for a child without waiting for the answer."""
        key = next(self._keys)
        child = Child(self, self._request(key, wire.Submit(self.execution, key, (submission,))))
        self._children.append(child)
        return child

    def submit_many(self, submissions: Iterable[Submission]) -> list[Child]:
        """Ask for many children, as many in one request as fit."""
        children: list[Child] = []
        batch: list[msgspec.Raw] = []
        size = 0
        for submission in submissions:
            encoded = _encode(submission)
            if batch and (len(batch) == _BATCH or size + len(encoded) > _BATCH_BYTES):
                children += self._submit_batch(batch)
                batch, size = [], 0
            batch.append(msgspec.Raw(encoded))
            size += len(encoded)
        if batch:
            children += self._submit_batch(batch)
        return children

    def _submit_batch(self, batch: list[msgspec.Raw]) -> list[Child]:
        key = next(self._keys)
        slot = self._request(key, _Batch(self.execution, key, batch))
        children = [Child(self, slot, index) for index in range(len(batch))]
        self._children += children
        return children

    def call(self, submission: Submission) -> Outcome:
        """Ask for a child and wait for its outcome."""
        key = next(self._keys)
        message = wire.Submit(self.execution, key, (submission,), wait=True)
        answer = self._ask(key, message, wire.Resolved)
        return self._remember(answer)

    def group(self, name: str | None) -> Group:
        """The next group of children."""
        return Group(next(self._groups), name)

    def refused_child(self) -> Refused | None:
        """Wait for the answers of all children; the first refusal that no code has seen."""
        for child in self._children:
            if not child.is_seen:
                try:
                    child.id()
                except Refused as refusal:
                    return refusal
        return None

    # --- waiting --------------------------------------------------------------------------------

    def resolve(
        self,
        handles: Sequence[str],
        *,
        timeout_ms: int | None,
        suspend: bool,
        first: bool = False,
        cancel_remaining: bool = False,
    ) -> Outcome | None:
        """Wait for the (first) resolved outcome; None when the time is up."""
        # Of several, the first in the list wins, and only the server knows whether it is resolved.
        if not cancel_remaining and (known := self._known(handles[0])) is not None:
            return known
        key = next(self._keys)
        message = wire.Wait(
            self.execution, key, tuple(handles), timeout_ms, suspend, first, cancel_remaining
        )
        return self._outcome(self._ask(key, message, wire.Resolved, wire.Expired))

    async def resolve_later(
        self, handle: str, *, timeout_ms: int | None, suspend: bool
    ) -> Outcome | None:
        """As `resolve`, for the running event loop."""
        if (known := self._known(handle)) is not None:
            return known
        # Late: executors are forked with what is imported, and most need no event loop.
        import asyncio

        loop = asyncio.get_running_loop()
        key = next(self._keys)
        future = (loop, loop.create_future())
        message = wire.Wait(self.execution, key, (handle,), timeout_ms, suspend)
        self._watch(loop)
        try:
            slot = self._request(key, message, future)
            if slot.answer is None:
                await future[1]
        finally:
            self._unwatch(loop)
        return self._outcome(_checked(slot.answer, wire.Resolved, wire.Expired))

    def _known(self, handle: str) -> Outcome | None:
        with self._turn:
            known = self._seen.get(handle)
            if known is not None or (known := self._ahead.pop(handle, None)) is None:
                return known
            self._seen[handle] = known
        self._send(channel.NOTE, 0, _encode(wire.Depend(self.execution, (handle,))))
        return known

    def _outcome(self, answer: Any) -> Outcome | None:
        return self._remember(answer) if isinstance(answer, wire.Resolved) else None

    def _remember(self, answer: wire.Resolved) -> Outcome:
        with self._turn:
            for outcome in answer.also:
                if outcome.handle not in self._seen:
                    self._ahead[outcome.handle] = outcome
            for outcome in answer.outcomes:
                self._ahead.pop(outcome.handle, None)
                self._seen.setdefault(outcome.handle, outcome)
            return self._seen[answer.outcomes[0].handle]

    # --- other requests -------------------------------------------------------------------------

    def cancel(self, handles: Sequence[str]) -> None:
        """Cancel the executions."""
        key = next(self._keys)
        self._ask(key, wire.Cancel(self.execution, key, tuple(handles)), wire.Done)

    def suspend(self, delay_ms: int) -> NoReturn:
        """End the attempt; does not return, unless the request is refused."""
        key = next(self._keys)
        self._ask(key, wire.Suspend(self.execution, key, delay_ms))
        raise AssertionError("a suspension is not answered")

    def checkpoint(self, arguments: dict[str, Value]) -> None:
        """Store arguments for later attempts; durable when it returns."""
        key = next(self._keys)
        self._ask(key, wire.Checkpoint(self.execution, key, arguments), wire.Done)

    def persist(self, manifest: AssetManifest) -> str:
        """Record an asset; returns its id."""
        key = next(self._keys)
        message = wire.Persist(self.execution, key, manifest)
        answer: wire.Persisted = self._ask(key, message, wire.Persisted)
        return answer.asset

    def ask(self, question: Question) -> str:
        """Ask a person; returns the id of the input. Contents of secrets are hidden in texts."""
        if self._masks:
            question = self._masks.question(question)
        key = next(self._keys)
        answer: wire.Asked = self._ask(key, wire.Ask(self.execution, key, question), wire.Asked)
        return answer.input

    def manifest(self, asset: str) -> AssetManifest:
        """The files of an asset; records the dependency."""
        key = next(self._keys)
        message = wire.Restore(self.execution, key, asset)
        answer: wire.Restored = self._ask(key, message, wire.Restored)
        return answer.manifest

    def log(self, level: str, template: str, values: dict[str, Value]) -> None:
        """Write a log entry."""
        line_level: Level = level  # type: ignore[assignment]  # the SDK knows no others
        at = time.time_ns() // 1_000_000
        raw = msgspec.Raw(_encode(values))
        for start in range(0, max(len(template), 1), _LINE_LIMIT):
            text = template[start : start + _LINE_LIMIT]
            number = next(self._keys)
            self._send(channel.LOG, number, _encode(Line(at, line_level, text, raw)))
            # Where it belongs among what is printed.
            os.write(self._marks, channel.mark(self._secret, number))
            raw = msgspec.Raw(_encode({}))

    def secret(self, name: str) -> str:
        """The content of a secret, from the agent; hidden in what is written from then on."""
        key = next(self._keys)
        slot = self._slots[key] = _Slot(key)
        self._send(channel.SECRET, key, name.encode())
        self.settle(slot)
        given = slot.answer
        assert isinstance(given, Given)
        if given.content is None:
            raise NotFound(given.problem)
        self._masks.add(name, given.content)
        return given.content

    # --- metrics --------------------------------------------------------------------------------

    def measure(
        self,
        key: str,
        value: float | None,
        at: float | None,
        definition: MetricDefinition,
        throttle: float | None,
    ) -> None:
        """Record a point of a metric (value None: define it only)."""
        self._metrics().record(key, value, at, definition, throttle)

    def open_progress(self, name: str, place: str) -> str:
        """A key for a progress bar that no open bar has, and none of another place in the code."""
        return self._metrics().open(name, place)

    def close_progress(self, key: str) -> None:
        """The bar has ended."""
        self._metrics().close_bar(key)

    def _metrics(self) -> Measuring:
        with self._turn:
            if self._measuring is None:
                self._measuring = Measuring(
                    self.execution,
                    lambda body: self._send(channel.MEASUREMENT, 0, body),
                    lambda text: self.log("warning", text, {}),
                    self._began,
                )
            return self._measuring

    def end(self) -> None:
        """The function has ended: send what is held back."""
        if self._measuring is not None:
            self._measuring.close()

    # --- the channel ----------------------------------------------------------------------------

    def _send(self, kind: int, key: int, body: bytes) -> None:
        frame = channel.pack(kind, key, body)
        with self._send_lock:
            try:
                self._socket.sendall(frame)
            except OSError:
                os._exit(1)

    def _request(
        self,
        key: int,
        message: wire.Request | _Batch,
        future: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None,
    ) -> _Slot:
        body = _encode(message)
        slot = _Slot(key)
        # An asset may have many files; everything else that is large goes as a blob.
        limit = wire.MAX_FRAME if isinstance(message, wire.Persist) else wire.MAX_MESSAGE
        if len(body) > limit:
            text = f"the request has {len(body):,} bytes; {limit:,} are the limit"
            slot.answer = wire.Refusal("invalid", text)
            return slot
        slot.future = future
        self._slots[key] = slot
        self._send(channel.REQUEST, key, body)
        return slot

    def _ask(self, key: int, message: wire.Request, *expected: type) -> Any:
        slot = self._request(key, message)
        self.settle(slot)
        return _checked(slot.answer, *expected)

    def settle(self, slot: _Slot) -> None:
        """Wait for the answer of a request."""
        if slot.answer is not None:
            return
        turn = self._turn
        with turn:
            while slot.answer is None:
                if self._is_led:
                    turn.wait()
                    continue
                self._is_led = True
                turn.release()
                data = b""
                try:
                    data = self._receive(0)
                finally:
                    turn.acquire()
                    self._is_led = False
                    # Also when an interrupt arrives with the data: somebody else must lead.
                    self._hand_out(data)
                    turn.notify_all()

    def _receive(self, flags: int) -> bytes:
        try:
            data = self._socket.recv(_RECEIVE, flags)
        except BlockingIOError:
            return b""
        except OSError:
            os._exit(1)
        if not data:
            # The agent is gone; nobody would hear of what this process does from now on.
            os._exit(1)
        return data

    def _hand_out(self, data: bytes) -> None:
        for kind, key, body in self._parser.feed(data):
            slot = self._slots.pop(key, None)
            if slot is None:
                continue
            is_reply = kind == channel.REPLY
            slot.answer = _decode_answer(body) if is_reply else _decode_given(body)
            if slot.future is not None:
                loop, future = slot.future
                try:
                    loop.call_soon_threadsafe(_wake, future)
                except RuntimeError:
                    # The loop has been closed; nobody waits any more.
                    continue

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        count = self._loops.get(loop, 0)
        if count == 0:
            loop.add_reader(self._socket.fileno(), self._readable)
        self._loops[loop] = count + 1

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loops[loop] -= 1
        if self._loops[loop] == 0:
            del self._loops[loop]
            loop.remove_reader(self._socket.fileno())

    def _readable(self) -> None:
        with self._turn:
            if not self._is_led:
                self._hand_out(self._receive(socket.MSG_DONTWAIT))
                self._turn.notify_all()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _checked(answer: Any, *expected: type) -> Any:
    if isinstance(answer, expected):
        return answer
    raise _refusal(answer)


def _refusal(answer: Any) -> CofluxError:
    if not isinstance(answer, wire.Refusal):
        return CofluxError(f"the server answered with {type(answer).__name__}, which does not fit")
    if answer.code == "cycle":
        return WaitCycle(answer.message)
    return REFUSALS.get(answer.code, Refused)(answer.message)
