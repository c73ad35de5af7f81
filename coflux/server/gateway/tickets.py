"""Tickets: how browsers of the server's own user stay signed in over restarts (AU-1).

Belongs here: the signed text that such a browser's cookie holds, and the key that signs it. The
token that a server prints lives as long as its process; the ticket that is given for it is good for
`DAYS`, because the key is a file in the data directory that only its owner may read. Who can read
that file can do as they like with the data anyway. Without the file, every ticket is void.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

FILE = "browser.key"
DAYS = 90
#: Not a token's prefix: a ticket counts in a cookie only.
PREFIX = "cfb_"
_KEY_BYTES = 32


class Tickets:
    """Writes tickets and reads them. `path` is the key's file; `now` gives the time in ms."""

    def __init__(self, path: Path, now: Callable[[], int]) -> None:
        self._now = now
        self._key = _read_key(path)

    def issue(self) -> str:
        """The text for a cookie: letters, digits, `_`, `-` and `.`."""
        content = f"{PREFIX}{self._now() + DAYS * 24 * 3600 * 1000}"
        return f"{content}.{self._sign(content)}"

    def read(self, ticket: str) -> int | None:
        """When the ticket ends, in ms; None for one that is forged, altered or too old."""
        content, _, signature = ticket.rpartition(".")
        given = signature.encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(self._sign(content).encode(), given):
            return None
        until = int(content.removeprefix(PREFIX))
        return until if until > self._now() else None

    def _sign(self, content: str) -> str:
        given = content.encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(self._key, given, hashlib.sha256)).decode()


def _read_key(path: Path) -> bytes:
    """The key in the file; a new one where there is none, or none that is whole."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) == _KEY_BYTES:
        os.chmod(path, 0o600)
        return key
    key = secrets.token_bytes(_KEY_BYTES)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    os.replace(temporary, path)
    return key
