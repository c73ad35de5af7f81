"""Scripts that JupyterLab's side of Coflux fetches from the server. Nothing else belongs here."""

from __future__ import annotations

import re
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from tornado.routing import URLSpec

from coflux.server.gateway.auth import Authenticator
from coflux.server.gateway.gateway import Gateway
from coflux.server.gateway.pages import Page

WIDGET = Path(__file__).with_name("widget.js")


class WidgetScript(Page, JupyterHandler):  # type: ignore[misc]  # it comes without types
    """The view of a run, as a module."""

    def get(self, *parameters: str) -> None:
        """The module."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish(WIDGET.read_bytes())


def widget_script(gateway: Gateway, prefix: str, authenticator: Authenticator) -> URLSpec:
    """Where it is served: among the static files of the pages below `prefix`."""
    base = "/" + prefix.strip("/") + "/"
    arguments = {"gateway": gateway, "authenticator": authenticator, "base": base}
    return URLSpec(re.escape(base) + r"static/widget\.js", WidgetScript, arguments)
