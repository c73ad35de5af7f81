"""Making very many objects at once, without the search for cyclic garbage among them.

Python looks through new objects again and again as they become more; while a hundred thousand
steps are read, that takes as long as the reading. Belongs here: switching it off for a while, over
several users. Does not belong here: how often it runs otherwise (`process`).
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No automatic garbage collection within the block, in any thread; counting still works."""
    global _users
    with _lock:
        _users += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                gc.enable()
