"""Forking a process that has one thread, at the least cost.

Python lets modules of its library put their locks in order in each forked child. Where no other
thread could hold one, that is not needed, and for a small task it is a good part of what the child
does: every page of memory that it touches is copied. So what those modules register while they are
first imported is kept here, and called only where there are threads.

Belongs here: that, and random states, which must differ. Does not belong here: what is forked, and
why. This module imports nothing that registers something.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_Hook = Callable[[], object]

_before: list[_Hook] = []
_in_parent: list[_Hook] = []
_in_child: list[_Hook] = []

#: Modules of Python's library whose hooks only care for locks.
_CAREFUL = ("threading", "logging")


@contextmanager
def hooks_kept() -> Iterator[None]:
    """Keep what modules register in this block."""
    register = os.register_at_fork

    def keep(
        *,
        before: _Hook | None = None,
        after_in_parent: _Hook | None = None,
        after_in_child: _Hook | None = None,
    ) -> None:
        _before.extend(filter(None, [before]))
        _in_parent.extend(filter(None, [after_in_parent]))
        _in_child.extend(filter(None, [after_in_child]))

    os.register_at_fork = keep
    try:
        yield
    finally:
        os.register_at_fork = register


def import_careful_modules() -> None:
    """Import the modules whose hooks are kept."""
    with hooks_kept():
        for name in _CAREFUL:
            __import__(name)


def fork() -> int:
    """As `os.fork`. Global random states are new in each child, without its doing."""
    _renew_random()
    if not _in_child or sys.modules["threading"].active_count() == 1:
        return os.fork()
    for hook in reversed(_before):
        hook()
    pid = os.fork()
    for hook in _in_parent if pid else _in_child:
        hook()
    return pid


def _renew_random() -> None:
    # `random` does it in the child as well, once somebody has imported it; numpy never does.
    for name in ("random", "numpy.random"):
        if (module := sys.modules.get(name)) is not None:
            module.seed()
