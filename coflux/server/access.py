"""Who asks, and what they may do: rights, scopes, patterns of environments (AU-2).

Belongs here: the principal and the pure rules on it, shared by the gateway (which finds out who
asks) and the project process (which knows the environments). Does not belong here: tokens, where
they are kept, and HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

import msgspec

Right = Literal["read", "run", "admin"]
#: Weakest first; each includes the ones before it.
RIGHTS: tuple[Right, ...] = ("read", "run", "admin")

#: Carries the principal from the gateway to the project process.
PRINCIPAL_HEADER = "X-Coflux-Principal"
#: Says `1` when the client is on the server's machine.
LOCAL_HEADER = "X-Coflux-Local"


class Scope(msgspec.Struct, frozen=True):
    """A right where the pattern fits: `*`, a name, or `prefix/*` (strictly below the prefix)."""

    environment: str
    right: Right


class Principal(msgspec.Struct, frozen=True):
    """Who asks. The scopes are those of the project that is asked."""

    name: str
    id: str
    scopes: tuple[Scope, ...] = ()
    #: What it may answer besides (IN-5); None = whatever is required.
    tags: dict[str, tuple[str, ...]] | None = {}

    def may(self, right: Right, environment: str) -> bool:
        """Whether some scope gives `right` in the environment of that name."""
        return any(
            includes(scope.right, right) and covers(scope.environment, environment)
            for scope in self.scopes
        )

    def may_somewhere(self, right: Right) -> bool:
        """Whether some scope gives `right` in any environment."""
        return any(includes(scope.right, right) for scope in self.scopes)

    def may_grant(self, wanted: Scope) -> bool:
        """Whether `wanted` is no more than a scope of this principal (AU-3)."""
        return grants(self.scopes, wanted)


def includes(held: Right, needed: Right) -> bool:
    """Whether the right held is the right needed, or a stronger one."""
    return RIGHTS.index(held) >= RIGHTS.index(needed)


def covers(pattern: str, environment: str) -> bool:
    """Whether the pattern fits the environment name, or everything another pattern fits."""
    if pattern == "*" or pattern == environment:
        return True
    return pattern.endswith("/*") and environment.startswith(pattern[:-1])


def grants(held: Iterable[Scope], wanted: Scope) -> bool:
    """Whether one of the scopes held includes all that the wanted scope would allow."""
    return any(
        includes(scope.right, wanted.right) and covers(scope.environment, wanted.environment)
        for scope in held
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Principal)


def encode_principal(principal: Principal) -> str:
    """The value of the header; ASCII, because headers are."""
    content = _encoder.encode(principal)
    if not content.isascii():
        content = json.dumps(msgspec.to_builtins(principal)).encode()
    return content.decode()


def decode_principal(header: str) -> Principal:
    """The principal in a header; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(header)
