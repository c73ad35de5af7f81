"""User code as data: small programs that submit, wait, suspend, fail and return.

A program yields wire requests and is sent the answers, or yields milliseconds of work. It behaves
the same in every attempt, but for what it does only in its first ones, so that it ends.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator
from typing import Any, NamedTuple, Union

from coflux import wire
from coflux.model import (
    CachePolicy,
    Definition,
    Error,
    Options,
    Question,
    Raised,
    Reference,
    Result,
    RetryPolicy,
    Returned,
    Submission,
    Value,
)

REPOSITORY = "repo"


class Crash(Exception):
    """The executor dies here."""


class Failed(Exception):
    """User code raises."""


class Op(NamedTuple):
    """One thing that a program does; `number` and `flag` mean what the kind says."""

    kind: str
    number: int = 0
    flag: bool = False
    call: Submission | None = None


Step = Union[int, list[Any]]
Program = Generator[Step, Any, Result]
Ops = tuple[Op, ...]


def encode(text: str, *references: str) -> Value:
    """A value with references to executions."""
    data = text.encode()
    found = tuple(Reference("execution", id) for id in references)
    key = hashlib.sha256(data + bytes([len(found)])).digest()
    kind = "NoneType" if text == "None" else "str"
    return Value(data=data, size=len(data), references=found, key=key, type=kind, preview=text)


class Programs:
    """The targets of one seed. Targets call only later ones, so no recursion is endless.

    With `asks` they ask people as well; with `operates` more name slots, and there is a sensor.
    """

    def __init__(self, rng: random.Random, asks: bool = False, operates: bool = False) -> None:
        self._asks = asks
        self._operates = operates
        count = rng.randint(4, 7)
        self.targets: dict[str, Ops] = {}
        self.definitions: list[Definition] = []
        names = [("wf" if rng.random() < 0.3 else "t") + str(n) for n in range(count)]
        names[0] = "wf0"
        for number, name in enumerate(names):
            self.targets[name] = self._ops(rng, names[number + 1 :])
            self.definitions.append(Definition(name, _type(name)))
        self.submissions = [self._call(rng, name) for name in names[:3] for _ in range(2)]
        if operates:
            self._add_sensor(rng, names)

    def _add_sensor(self, rng: random.Random, names: list[str]) -> None:
        ops = [Op("work", rng.choice([0, 50, 4_000])), Op("mark")]
        if rng.random() < 0.5:
            ops.append(Op("call", 1, False, self._call(rng, rng.choice(names[1:]))))
        if rng.random() < 0.5:
            ops.insert(rng.randrange(len(ops) + 1), Op("fail", rng.randint(1, 3)))
        self.targets["s0"] = tuple(ops)
        self.definitions.append(Definition("s0", "sensor"))
        options = Options(delay_ms=rng.choice([0, 2_000, 9_000]))
        arguments = {"a": encode("0"), "b": encode("-")}
        self.submissions.append(Submission(REPOSITORY, "s0", "sensor", arguments, options))

    def _ops(self, rng: random.Random, callable_names: list[str]) -> Ops:
        ops = [Op("work", rng.choice([0, 5, 50, 400]))]
        for _ in range(rng.randint(0, 4) if callable_names else 0):
            call = self._call(rng, rng.choice(callable_names))
            ops.append(Op("call", rng.randrange(4), rng.random() < 0.3, call))
            ops.append(self._use(rng))
        if rng.random() < 0.25:
            ops.insert(rng.randrange(len(ops)), self._mishap(rng))
        for _ in range(rng.randint(0, 2) if self._asks else 0):
            kind = rng.choice(["ask", "ask", "ask patiently", "ask and select", "ask and leave"])
            ops.insert(rng.randrange(len(ops) + 1), Op(kind, rng.randrange(2), rng.random() < 0.5))
        ops.append(rng.choice([Op("gather", flag=True), Op("work", 1), Op("handle"), Op("none")]))
        return tuple(ops)

    def _use(self, rng: random.Random) -> Op:
        kinds = [
            "result",
            "result",
            "gather",
            "both",
            "select",
            "poll",
            "suspense",
            "cancel",
            "work",
        ]
        if self._operates:
            kinds += ["wait long", "wait long"]
        kind = rng.choice(kinds)
        return Op(kind, rng.randrange(4), rng.random() < 0.7)

    def _mishap(self, rng: random.Random) -> Op:
        kind = rng.choice(["fail", "crash", "hang", "suspend", "checkpoint"])
        return Op(kind, rng.randint(1, 2))

    def _call(self, rng: random.Random, name: str) -> Submission:
        given: dict[str, Any] = {}
        choices: dict[str, list[Any]] = {
            "cache": [CachePolicy(), CachePolicy(max_age_ms=2_000), CachePolicy(params=("a",))],
            "memo": [True, True, False, ("a",)],
            "retries": [RetryPolicy(1), RetryPolicy(2, 100, 900), RetryPolicy(3, 0, 50, 0.5)],
            "wait": [True],
            "delay_ms": [200, 5_000, 30_000],
            "timeout_ms": [3_000],
            "recurrent": [True],
            "priority": [1, -1],
            "slots": [{"one": 1}],
            "defer": [True],
        }
        rates = {"cache": 0.3, "memo": 0.3, "retries": 0.4}
        if self._operates:
            choices["slots"] = [{"one": 1}, {"two": 1}, {"two": 2}, {"often": 1}]
            rates["slots"] = 0.3
        for option, values in choices.items():
            if rng.random() < rates.get(option, 0.07):
                given[option] = rng.choice(values)
        if given.get("recurrent") and name in ("wf0",):
            del given["recurrent"]
        arguments = {"a": encode(str(rng.randrange(2))), "b": encode("-")}
        return Submission(REPOSITORY, name, _type(name), arguments, Options(**given))

    def program(self, target: str, execution: str) -> Program:
        """The code of an execution."""
        return _run(self.targets[target], execution)


def _type(name: str) -> Any:
    return "workflow" if name.startswith("wf") else "task"


def _run(ops: Ops, execution: str) -> Program:
    attempt = int(execution.split(":")[2])
    children: list[str] = []
    try:
        value = encode("done")
        for op in ops:
            found = yield from _do(op, attempt, execution, children)
            value = found or value
        return Returned(value)
    except Failed as error:
        return Raised(Error("simulation.Failed", str(error)), retryable=True)


def _do(
    op: Op, attempt: int, execution: str, children: list[str]
) -> Generator[Step, Any, Value | None]:
    chosen = children[op.number % len(children)] if children else None
    if op.kind == "work":
        yield op.number
    elif op.kind == "call":
        yield from _call(op, execution, children, chosen)
    elif op.kind in ("fail", "crash", "hang", "suspend"):
        if attempt <= op.number:
            yield from _mishap(op, execution)
    elif op.kind == "mark":
        yield from _ask(wire.Checkpoint(execution, 0, {"a": encode(execution), "b": encode("-")}))
    elif op.kind == "checkpoint":
        arguments = {"a": encode(str(attempt)), "b": encode("-")}
        yield from _ask(wire.Checkpoint(execution, 0, arguments))
    elif op.kind.startswith("ask"):
        yield from _ask_people(op, execution, children)
    elif op.kind == "none":
        return encode("None") if attempt < 3 else encode("some")
    elif chosen is not None:
        if op.kind == "suspense" and attempt > 3:  # what it awaits is made anew each time
            op = op._replace(kind="result")
        return (yield from _use(op, execution, children, chosen))
    return None


def _call(
    op: Op, execution: str, children: list[str], chosen: str | None
) -> Generator[Step, Any, None]:
    assert op.call is not None
    call = op.call
    if op.number == 0 and chosen is not None:  # hands a handle on
        arguments = {**call.arguments, "b": encode("handle", chosen)}
        call = Submission(
            call.repository, call.target, call.type, arguments, call.options, call.group
        )
    (answer,) = yield [wire.Submit(execution, 0, (call,), wait=op.flag)]
    _check(answer)
    children += answer.executions
    if op.flag:
        _judge(answer, False)


def _ask_people(op: Op, execution: str, children: list[str]) -> Generator[Step, Any, None]:
    """Ask, and wait as the kind says; `flag`: with a key, in some time only."""
    question = Question(f"question {op.number}", "?", key=f"key {op.number}" if op.flag else None)
    (asked,) = yield [wire.Ask(execution, 0, question)]
    _check(asked)
    timeout = 2_000 if op.flag else None
    if op.kind == "ask":
        yield from _ask(wire.Wait(execution, 0, (asked.input,), timeout_ms=timeout))
    elif op.kind == "ask patiently":
        patience = 300 if op.flag else 0
        yield from _ask(
            wire.Wait(execution, 0, (asked.input,), timeout_ms=patience, suspend=True)
        )  # fmt: skip
    elif op.kind == "ask and select":
        handles = (*children[-2:], asked.input)
        yield from _ask(wire.Wait(execution, 0, handles, first=True, cancel_remaining=op.flag))


def _mishap(op: Op, execution: str) -> Generator[Step, Any, None]:
    yield 1
    if op.kind == "fail":
        raise Failed("on purpose")
    if op.kind == "crash":
        raise Crash
    if op.kind == "hang":
        yield 6_000
    else:
        yield [wire.Suspend(execution, 0, op.number * 500)]


def _use(
    op: Op, execution: str, children: list[str], chosen: str
) -> Generator[Step, Any, Value | None]:
    if op.kind == "result":
        answer = yield from _ask(wire.Wait(execution, 0, (chosen,)))
        _judge(answer, op.flag)
    elif op.kind == "gather":
        answer = yield from _ask(wire.Wait(execution, 0, tuple(children)))
        _judge(answer, op.flag)
    elif op.kind == "both":  # two threads
        one = wire.Wait(execution, 0, (chosen,), timeout_ms=300 if op.flag else None)
        for answer in (yield [one, wire.Wait(execution, 0, (children[-1],))]):
            _check(answer)
    elif op.kind == "select":
        yield from _ask(
            wire.Wait(execution, 0, tuple(children[-3:]), first=True, cancel_remaining=op.flag)
        )
    elif op.kind == "poll":
        yield from _ask(wire.Wait(execution, 0, (chosen,), timeout_ms=0 if op.flag else 100))
    elif op.kind == "wait long":
        yield from _ask(wire.Wait(execution, 0, (chosen,), timeout_ms=15_000))
    elif op.kind == "suspense":
        timeout = 0 if op.flag else 200
        answer = yield from _ask(
            wire.Wait(execution, 0, (chosen,), timeout_ms=timeout, suspend=True)
        )
        _judge(answer, True)
    elif op.kind == "cancel":
        yield from _ask(wire.Cancel(execution, 0, (chosen,)))
    elif op.kind == "handle":
        return encode("handle", chosen)
    return None


def _ask(request: Any) -> Generator[Step, Any, Any]:
    (answer,) = yield [request]
    _check(answer)
    return answer


def _check(answer: Any) -> None:
    if isinstance(answer, wire.Refusal):
        raise Failed(answer.message)


def _judge(answer: Any, tolerant: bool) -> None:
    bad = [o for o in answer.outcomes if not isinstance(o.result, Returned)]
    if bad and not tolerant:
        raise Failed(f"{bad[0].handle} did not end well")
