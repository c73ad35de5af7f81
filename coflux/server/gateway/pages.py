"""The user interface: one HTML page for all its paths, and its static files.

Belongs here: serving them and telling the page where it is. Does not belong here: data.
"""

from __future__ import annotations

import hashlib
import html
import json
import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from tornado.web import HTTPError

from coflux.server.gateway.auth import Authenticator, Unauthenticated
from coflux.server.gateway.gateway import Gateway
from coflux.server.gateway.handler import Handler
from coflux.server.gateway.operations import installed_version

STATIC = Path(__file__).resolve().parent.parent / "static"
#: First segments of the paths that the page itself understands.
PLACES = (
    "workflows", "runs", "queue", "agents", "pools", "assets", "inputs", "environments", "search",
    "schedules", "settings", "tokens", "projects", "hooks",
)  # fmt: skip
_MARK = "<!--coflux-config-->"
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline';"
    " connect-src 'self' ws: wss:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
_SIGN_IN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Coflux: sign in</title>
<meta name="viewport" content="width=device-width">
<body style="font-family: system-ui, sans-serif; margin: 4rem auto; max-width: 30rem">
<h1>Sign in to Coflux</h1>
<p>{message}</p>
<form method="get"><label>Token <input name="token" type="password" autocomplete="off" autofocus
 required></label> <button>Sign in</button></form>
<p>The server prints an address with a token when it starts; <code>coflux tokens create</code>
makes further ones.</p>
"""


class Page(Handler):
    """A path of the user interface."""

    def initialize(  # type: ignore[override]  # what the rules of its routes pass
        self, gateway: Gateway, authenticator: Authenticator, base: str
    ) -> None:
        super().initialize(gateway, authenticator)
        self.base = base

    async def prepare(self) -> None:
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", _POLICY)
        self.authenticator.check_source(self)
        if "token" in self.request.query_arguments:
            self._sign_in()
            return
        self.identity = await self.authenticator.authenticate(self)

    def _sign_in(self) -> None:
        self.authenticator.sign_in(self, self.get_query_argument("token"))
        rest = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            for value in values
            if name != "token"
        ]
        # A path that begins with two slashes would lead to another host.
        path = "/" + self.request.path.lstrip("/")
        self.redirect(path + (f"?{urlencode(rest)}" if rest else ""))

    def get(self, *parameters: str) -> None:
        page = (STATIC / "index.html").read_text("utf-8")
        for name in ("app.js", "app.css"):
            # An address of its own for each content, which browsers may keep for ever.
            version = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]
            page = page.replace(f"static/{name}", f"static/{name}?v={version}", 1)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page.replace(_MARK, self._config(), 1))

    def _config(self) -> str:
        project = self.get_query_argument("project", "default")
        config = {
            "base": self.base,
            "api": f"{self.base}api/v1",
            "version": installed_version(),
            "user": self.identity.name,
            "project": project,
            # What the person may do, so that the page offers nothing that would be refused.
            "scopes": msgspec.to_builtins(self.identity.principal(project).scopes),
            **({"xsrf": self.identity.xsrf} if self.identity.xsrf else {}),
        }
        # `<` would end the script element.
        text = json.dumps(config).replace("<", "\\u003c")
        return (
            f'<base href="{html.escape(self.base)}">\n'
            f'<script type="application/json" id="coflux-config">{text}</script>'
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(error, Unauthenticated):
            super().write_error(status_code, **kwargs)
            return
        self.set_status(401)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(_SIGN_IN.format(message=html.escape(str(error))))


class Static(Page):
    """A file of the user interface."""

    def get(self, *parameters: str) -> None:
        path = (STATIC / parameters[0]).resolve()
        if not path.is_relative_to(STATIC) or not path.is_file():
            raise HTTPError(404)
        kind, _ = mimetypes.guess_type(path.name)
        self.set_header("Content-Type", kind or "application/octet-stream")
        if "v" in self.request.query_arguments:
            self.set_header("Cache-Control", "private, immutable, max-age=31536000")
        self.finish(path.read_bytes())
