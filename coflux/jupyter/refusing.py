"""What is served when there is no orchestrator: the reason. Nothing else belongs here."""

from __future__ import annotations

import html
import re

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import JupyterHandler
from tornado.routing import URLSpec
from tornado.web import HTTPError, authenticated

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Coflux is not available</title>
<body style="font-family: system-ui, sans-serif; margin: 4rem auto; max-width: 40rem">
<h1>Coflux is not available</h1>
<p>{problem}</p>
<p>When that is settled, start the Jupyter server again.</p>
"""


class Refusing(JupyterHandler):
    """Any path, any method."""

    def initialize(self, problem: str) -> None:
        """Called by Tornado with the arguments of the URL specification."""
        self.problem = problem

    @authenticated
    async def get(self, path: str | None) -> None:
        """The reason, as a page or as the API's errors are."""
        await self._refuse(path or "")

    @authenticated
    async def post(self, path: str | None) -> None:
        """As `get`."""
        await self._refuse(path or "")

    async def _refuse(self, path: str) -> None:
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", "coflux")
        if not await ensure_async(allowed):
            raise HTTPError(403)
        self.set_status(503)
        if path.startswith("api/"):
            self.finish({"error": {"code": "unavailable", "message": self.problem}})
        else:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish(_PAGE.format(problem=html.escape(self.problem)))


def refuse_all(prefix: str, problem: str) -> list[URLSpec]:
    """Specifications that answer everything below `prefix` with the problem."""
    start = re.escape("/" + prefix.strip("/"))
    return [URLSpec(rf"{start}(?:/(.*))?", Refusing, {"problem": problem})]
