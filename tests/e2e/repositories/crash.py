"""Small work for the crash tests: what dies is tried again, and the values prove the rest."""

from __future__ import annotations

import time

from witness import saw

import coflux as cf

AGAIN = cf.Retries(limit=None, backoff=(0.02, 0.2))


@cf.workflow(retries=AGAIN)
def job(number: int) -> int:
    """Its parts are joined again by an attempt that follows a failed one."""
    saw("begin")
    parts = [part.submit(number, each) for each in range(3)]
    total = sum(each.result() for each in parts) + part(number, 3)
    saw("end")
    return total


@cf.task(retries=AGAIN, memo=True)
def part(number: int, each: int) -> int:
    saw("begin")
    time.sleep((number * 7 + each * 3) % 11 / 50)
    saw("end")
    return number * each


@cf.workflow()
def fragile(number: int) -> int:
    """Is tried once."""
    saw("begin")
    time.sleep(number % 7 / 20)
    saw("end")
    return -number


@cf.workflow()
def suspending(number: int) -> int:
    """Gives up its process each time it waits, and is nobody's retry."""
    saw("begin")
    with cf.suspense():
        return part.submit(number, 1).result() + part.submit(number, 2).result()
