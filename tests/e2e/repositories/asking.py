"""Targets that ask people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from witness import saw

import coflux as cf


@dataclass
class Order:
    """What a person decides about."""

    count: int
    note: str = ""


free = cf.Prompt("What do you think of {thing}?", title="An opinion")
approve = cf.Prompt(
    "Ship {count:,} boxes to {place}?", model=Literal["yes", "no"], actions=("Decide", "Refuse")
)
order = cf.Prompt("How many?", model=Order)
strict = cf.Prompt("A secret?", model=bool, requires={"role": "boss"})


@cf.workflow()
def opinion(thing: str) -> object:
    """Asks, and waits."""
    saw("opinion")
    return free(thing=thing)


@cf.workflow()
def ships(count: int, place: str) -> str:
    """Asks for one of two words, and knows what to do when nobody will say."""
    try:
        return approve(count=count, place=place)
    except cf.InputDismissed as error:
        return f"dismissed: {error}"


@cf.workflow()
def orders() -> list[object]:
    """Asks for an object, beginning with a part of it."""
    found = order(initial={"note": "soon"})
    return [type(found).__name__, found.count, found.note]


@cf.workflow()
def patient(thing: str) -> object:
    """Gives up its process while it waits."""
    saw("patient")
    with cf.suspense():
        return free(thing=thing)


@cf.workflow()
def guarded() -> bool:
    """Asks somebody with a tag."""
    return strict()


@cf.task()
def asks(thing: str) -> cf.Input[object]:
    """Asks and hands the question on."""
    return free.submit(thing=thing)


@cf.workflow()
def passes_on() -> list[object]:
    """Waits for a question that another has asked, and for the first of two things."""
    asked = asks("soup")
    other = free.submit(thing="bread")
    first, rest = cf.select([other, asked])
    return [first.id, [each.id for each in rest], asked.result(), other.poll(default="nothing")]


@cf.workflow()
def withdraws() -> str:
    """Cancels what it has asked."""
    asked = free.submit(thing="nothing")
    asked.cancel()
    try:
        asked.result()
    except cf.ExecutionCancelled as error:
        return str(error)
    return "not cancelled"


@cf.workflow()
def gives_away() -> cf.Input[object]:
    """Ends before it is answered, and gives the handle to whoever waits."""
    return free.submit(thing="later")


@cf.workflow()
def forgets() -> str:
    """Ends before it is answered, and nobody has the handle."""
    return free.submit(thing="never").id


@cf.workflow()
async def both() -> list[object]:
    """Waits for two answers in one coroutine."""
    questions = [free.submit(thing=thing) for thing in ("a", "b")]
    return list(await asyncio.gather(*questions))
