"""Who asks, when the gateway's handlers are served by a Jupyter server (AU).

Belongs here: Jupyter's sign-in, authorisation, Origin and XSRF rules, applied to each of our
routes; and Coflux's own tokens beside them, which kernels and agents use. Does not belong here:
what a signed-in caller may do, once its rights are known.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from jupyter_core.utils import ensure_async
from jupyter_server import CallContext
from jupyter_server.auth import IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import Finish, HTTPError, RequestHandler

from coflux.errors import Forbidden
from coflux.server.access import Right
from coflux.server.gateway.accounts import TOKEN_PREFIX
from coflux.server.gateway.auth import SESSION_PREFIX, Unauthenticated
from coflux.server.gateway.identity import Grant, Identity
from coflux.server.gateway.pages import Page

#: What Jupyter's authorisers are asked about; weakest first.
RESOURCE = "coflux"
_ACTIONS: tuple[tuple[str, Right], ...] = (
    ("read", "read"),
    ("execute", "run"),
    ("write", "admin"),
)


class JupyterAuthenticator:
    """Jupyter's users with Jupyter's rules; and bearers of Coflux's tokens with ours.

    `identify` knows the latter. A Jupyter user has the right `read` where the server's authoriser
    allows the action `read` on the resource `coflux`, `run` where it allows `execute` as well, and
    `admin` where it allows `write` too.
    """

    def __init__(self, identify: Callable[[str], Awaitable[Identity | None]]) -> None:
        self._identify = identify

    def check_source(self, handler: RequestHandler) -> None:
        """Refuse names that this server does not go by. Origins are judged with the sign-in."""
        if not _jupyter(handler).check_host():
            raise Forbidden(
                f"This server does not go by the name {handler.request.host!r}; allow it with"
                " ServerApp.allow_remote_access or ServerApp.local_hostnames."
            )

    async def authenticate(self, handler: RequestHandler) -> Identity:
        """Who asks; pages send a stranger's browser to Jupyter's login."""
        token = own_token(handler)
        if token is not None:
            identity = await self._identify(token)
            if identity is None:
                raise Unauthenticated("The token is unknown, revoked or expired.")
            return identity
        asking = _jupyter(handler)
        user = await _user(asking)
        if user is None:
            if isinstance(handler, Page):
                _send_to_login(asking)
            raise Unauthenticated("Sign in to Jupyter, or send a token of Jupyter or Coflux.")
        _check_origin(asking)
        # Asking for it sets the cookie as well.
        xsrf = asking.xsrf_token.decode() if isinstance(handler, Page) else None
        grants = await _grants(asking, user)
        return Identity("T0", _name(asking, user), grants, xsrf=xsrf, tags=None)

    def sign_in(self, handler: RequestHandler, token: str) -> None:
        """Take Jupyter's token, as its own pages do, and set its cookie."""
        asking = _jupyter(handler)
        provider = asking.identity_provider
        if not isinstance(provider, IdentityProvider) or not _is_token(provider, token):
            raise Unauthenticated("This is not the Jupyter server's token; sign in to Jupyter.")
        provider.set_login_cookie(asking, provider.generate_anonymous_user(asking))


def _jupyter(handler: RequestHandler) -> JupyterHandler:
    assert isinstance(handler, JupyterHandler), "handlers are mounted with this base"
    return handler


def own_token(handler: RequestHandler) -> str | None:
    """A token of Coflux itself that the request bears, of a person, program or session."""
    scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    is_ours = token.startswith((TOKEN_PREFIX, SESSION_PREFIX))
    return token if scheme.lower() == "bearer" and is_ours else None


async def _user(handler: JupyterHandler) -> User | None:
    CallContext.set(CallContext.JUPYTER_HANDLER, handler)
    user: User | None = await ensure_async(handler.identity_provider.get_user(handler))
    # As Jupyter's own handlers do before anything asks for the current user.
    handler.current_user = handler._jupyter_current_user = user
    return user


def _check_origin(handler: JupyterHandler) -> None:
    """Jupyter's rules: none for a request with a token, which no foreign page can send."""
    if handler.token_authenticated:
        return
    if not handler.check_origin():
        raise Forbidden(f"Requests of pages from {handler.get_origin()!r} are not accepted.")
    if handler.request.method not in ("GET", "HEAD", "OPTIONS"):
        try:
            JupyterHandler.check_xsrf_cookie(handler)
        except HTTPError as error:
            raise Forbidden(
                "The request lacks the X-XSRFToken header, which has to hold the value of the"
                " `_xsrf` cookie."
            ) from error


async def _grants(handler: JupyterHandler, user: User) -> tuple[Grant, ...]:
    right: Right | None = None
    for action, given in _ACTIONS:
        allowed = handler.authorizer.is_authorized(handler, user, action, RESOURCE)
        if not await ensure_async(allowed):
            break
        right = given
    if right is None:
        raise Forbidden(f"Jupyter does not allow {user.username!r} to read {RESOURCE}.")
    return (Grant("*", "*", right),)


def _name(handler: JupyterHandler, user: User) -> str:
    if type(handler.identity_provider) is IdentityProvider:
        # It makes up a person for each browser, and another one for each request with a token.
        return os_user()
    return user.username


def os_user() -> str:
    """Name of the user whose server this is."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _is_token(provider: IdentityProvider, token: str) -> bool:
    import hmac

    known = provider.token
    return bool(known) and hmac.compare_digest(str(known).encode(), token.encode())


def _send_to_login(handler: JupyterHandler) -> None:
    handler.redirect(f"{handler.get_login_url()}?{urlencode({'next': handler.request.uri})}")
    raise Finish()
