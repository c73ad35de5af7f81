"""How a request says who sends it, and which requests are not even heard (AU-1).

Belongs here: the Authorization header, the cookie of browsers, Host and Origin. What a caller may
do is decided by its scopes. Another application may bring its own `Authenticator`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from coflux.errors import Forbidden, InvalidRequest
from coflux.server.gateway.accounts import Accounts
from coflux.server.gateway.identity import Grant, Identity
from coflux.server.gateway.tickets import DAYS, PREFIX, Tickets

#: Session tokens are `cfs_<project>.<session>.<random>`; their project knows them.
SESSION_PREFIX = "cfs_"
#: Who asks when no token is wanted.
ANYBODY = Identity("T0", "anonymous", (Grant("*", "*", "admin"),), tags=None)

COOKIE_DAYS = 365


class Unauthenticated(Exception):
    """Nobody is signed in, or the token is wrong."""


class Authenticator(Protocol):
    """Finds out who asks. Implemented here for tokens, in Jupyter for its users."""

    def check_source(self, handler: RequestHandler) -> None:
        """Refuse (`Forbidden`) requests that come from a foreign page or by a foreign name."""

    async def authenticate(self, handler: RequestHandler) -> Identity:
        """Who asks; raises `Unauthenticated` for nobody."""

    def sign_in(self, handler: RequestHandler, token: str) -> None:
        """Make the browser that sent this request remember the token.

        Raises `Unauthenticated` if the token is wrong.
        """


class TokenAuthenticator:
    """Tokens in the header or, for browsers, in a cookie.

    `allowed_hosts` are the names a client may call this server by, besides its addresses; `*`
    allows all. `identify_session` asks a project whose session token it is. With `open_to_all`
    requests without a token count as `ANYBODY`; those with a wrong one are refused all the same.
    `tickets` keep browsers of the server's own user signed in over its restarts.
    """

    def __init__(
        self,
        accounts: Accounts,
        identify_session: Callable[[str], Awaitable[Identity | None]],
        allowed_hosts: Iterable[str],
        cookie: str,
        cookie_path: str = "/",
        loopback_only: bool = True,
        open_to_all: bool = False,
        tickets: Tickets | None = None,
    ) -> None:
        self._accounts = accounts
        self._identify_session = identify_session
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)
        self._cookie = cookie
        self._cookie_path = cookie_path
        self._loopback_only = loopback_only
        self._open_to_all = open_to_all
        self._tickets = tickets

    def check_source(self, handler: RequestHandler) -> None:
        host = handler.request.headers.get("Host", "")
        if not self._is_own(host):
            raise Forbidden(
                f"This server does not go by the name {host!r}; call it by its address, or allow"
                " the name when the server is started."
            )
        origin = handler.request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Forbidden(f"Requests of pages from {origin!r} are not accepted.")

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if "*" in self._allowed_hosts or name in self._allowed_hosts:
            return True
        try:
            # An address cannot be made to point elsewhere (DNS rebinding), a name can.
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_only

    async def authenticate(self, handler: RequestHandler) -> Identity:
        token = bearer(handler.request)
        cookie = handler.get_cookie(self._cookie) if token is None else None
        if not token and not cookie:
            if self._open_to_all:
                return ANYBODY
            raise Unauthenticated("A token is needed: send the header `Authorization: Bearer …`.")
        if cookie and cookie.startswith(PREFIX):
            identity = self._identify_ticket(cookie)
        else:
            identity = await self.identify(token or cookie or "")
        if identity is None:
            raise Unauthenticated("The token is unknown, revoked or expired.")
        return identity

    def _identify_ticket(self, ticket: str) -> Identity | None:
        until = self._tickets.read(ticket) if self._tickets is not None else None
        if until is None:
            return None
        owner = self._accounts.owner
        return replace(owner, expires_at=until) if owner is not None else ANYBODY

    async def identify(self, token: str) -> Identity | None:
        """Whose token it is, be it a person's, a program's or an agent session's."""
        if token.startswith(SESSION_PREFIX):
            return await self._identify_session(token)
        return self._accounts.identify(token)

    def sign_in(self, handler: RequestHandler, token: str) -> None:
        identity = self._accounts.identify(token)
        if identity is None:
            raise Unauthenticated("The token is unknown, revoked or expired.")
        content, days = token, COOKIE_DAYS
        if self._tickets is not None and identity == self._accounts.owner:
            # Its token ends with this process, and the browser shall outlive it.
            content, days = self._tickets.issue(), DAYS
        handler.set_cookie(
            self._cookie,
            content,
            path=self._cookie_path,
            expires_days=days,
            httponly=True,
            # Lax, not Strict: links to a run from elsewhere must open; nothing changes by GET.
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )


def bearer(request: HTTPServerRequest) -> str | None:
    """The token of the Authorization header; None if there is no such header.

    Raises `Unauthenticated` for a header of another kind.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be `Bearer` and a token.")
    return token.strip()


def refuse_query_token(request: HTTPServerRequest) -> None:
    """Query strings end up in logs and histories: no token there, right or wrong."""
    if "token" in request.query_arguments:
        raise Unauthenticated(
            "A token in the query string is not accepted here; send the header"
            " `Authorization: Bearer …`."
        )


def check_protocol(request: HTTPServerRequest, spoken: int) -> None:
    """Refuse another major protocol version, naming both (LI-2)."""
    header = request.headers.get("X-Coflux-Protocol")
    if header is not None and header.partition(".")[0] != str(spoken):
        raise InvalidRequest(
            f"You speak protocol {header[:20]!r}, this server speaks {spoken}; use matching"
            " versions of coflux."
        )


def is_loopback(address: str) -> bool:
    """Whether an address, as in `remote_ip` or a bind, is this machine talking to itself."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> set[str]:
    """The names this machine goes by, as far as they are known without asking the network."""
    names = {"localhost", socket.gethostname().lower()}
    try:
        ipaddress.ip_address(host)
    except ValueError:
        names.add(host.lower())
    return names - {""}
