"""The Jupyter server's extension: the orchestrator inside the server that people run already.

Belongs here: the extension's life with its server, its settings, and what kernels inherit. Does
not belong here: who may ask (`sign_in`), what is served (`coflux.server.gateway`), kernels' work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.routing import URLSpec
from tornado.web import RequestHandler
from traitlets import Float, Unicode

from coflux.config import BESIDE_NOTEBOOKS
from coflux.errors import Conflict, Refused, Unavailable
from coflux.jupyter.activity import Activity, Working
from coflux.jupyter.attaching import Attached, Place, at, over
from coflux.jupyter.forwarding import forward, take_token
from coflux.jupyter.refusing import refuse_all
from coflux.jupyter.scripts import widget_script
from coflux.jupyter.sign_in import JupyterAuthenticator, os_user
from coflux.server.gateway import runtimefile
from coflux.server.gateway.auth import TokenAuthenticator
from coflux.server.gateway.gateway import Gateway
from coflux.server.gateway.mounting import mount
from coflux.server.gateway.operations import installed_version
from coflux.server.main import open_gateway, project_command

#: Where the pages are, below the server's base URL.
PLACE = "coflux"
#: How long the end may take, in seconds; Jupyter itself sets no limit.
STOP_SECONDS = 15.0
#: What kernels and terminals inherit.
VARIABLES = ("COFLUX_HOST", "COFLUX_TOKEN")


class CofluxApp(ExtensionApp):
    """Coflux under `<base_url>coflux/` of a Jupyter server."""

    name = "coflux"
    extension_url = f"/{PLACE}/"
    load_other_extensions = True
    version = installed_version()
    description = "Orchestrate and observe workflows written as plain Python functions."

    data_dir = Unicode(
        "",
        help="""Folder of Coflux's data; default: `.coflux` in the folder that the server shows.
        COFLUX_DATA_DIR names another as well.""",
    ).tag(config=True)
    server_url = Unicode(
        "",
        help="""Address of a Coflux server that runs already: pages and kernels use that one, and
        none is started here. Without it, a server that runs over `data_dir` is used if there is
        one.""",
    ).tag(config=True)
    server_token = Unicode(
        "",
        help="""Token for `server_url`; default: COFLUX_TOKEN, or that of a server of this user on
        this machine. Everybody who may use this Jupyter server works with it.""",
    ).tag(config=True)

    linger = Float(
        0.0,
        min=0.0,
        help="""How long, in seconds, the projects' processes go on when this server has ended, so
        that a server that is started again within that time finds the work going on. Agents that
        are no part of this server (those of its kernels are) work meanwhile, and schedules are
        met. 0: the processes end with the server.""",
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Open the data; what goes wrong is shown on the pages instead of stopping Jupyter."""
        self._cleanup = contextlib.ExitStack()
        self._gateway: Gateway | None = None
        self._attached: Attached | None = None
        self._announce: Callable[[str], None] | None = None
        self._inherited: dict[str, str | None] = {}
        self._activity: Activity | None = None
        self._watch: asyncio.Task[None] | None = None
        #: Why there is no orchestrator.
        self.problem: str | None = None
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - Jupyter goes on without us, whatever it is
            self._fail(error)

    def _open(self) -> None:
        if self.server_url:
            self._attached = at(self.server_url, self.server_token)
            return
        try:
            self._gateway, self._announce = open_gateway(
                self._data_dir(), project_command(BESIDE_NOTEBOOKS, self.linger), self._cleanup
            )
        except Conflict as conflict:
            # Another server has the data: that one is as good as one of our own.
            self._attached = over(self._data_dir(), str(conflict))

    def initialize_handlers(self) -> None:
        """Mount the gateway's handlers on Jupyter's own."""
        server = self._server()
        prefix = url_path_join(server.base_url, PLACE)
        if self._attached is not None:
            specs = forward(self._attached, prefix, JupyterAuthenticator(take_token))
        elif self._gateway is None:
            assert self.problem is not None
            specs = refuse_all(prefix, self.problem)
        else:
            tokens = TokenAuthenticator(
                self._gateway.accounts, self._gateway.identify_session, (), cookie=""
            )
            authenticator = JupyterAuthenticator(tokens.identify)
            specs = [
                widget_script(self._gateway, prefix, authenticator),
                *mount(self._gateway, prefix, authenticator, JupyterHandler),
            ]
        for spec in specs:
            _mark(spec)
        # Through its own method, which tells whether Jupyter misses a mark.
        add: Callable[[str, list[URLSpec]], None] = server.web_app.add_handlers
        add(".*$", specs)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """The loop runs and the server's address is final: begin to work."""
        try:
            if self._attached is not None:
                self._begin_attached(self._attached)
            elif self._gateway is not None and self._announce is not None:
                self._begin(self._gateway, self._announce, _address(serverapp))
        except Exception as error:  # noqa: BLE001 - logged by Jupyter otherwise, and forgotten
            self._fail(error)

    def _begin(self, gateway: Gateway, announce: Callable[[str], None], url: str) -> None:
        announce(url)
        token = gateway.accounts.add_transient(os_user())
        gateway.start()
        path = runtimefile.write(url, token, gateway.data_dir)
        self._cleanup.callback(runtimefile.remove, path)
        self._hand_down(url.rstrip("/"), token)
        self._activity = self._watched(gateway.working, is_own=True)
        self.log.info("Coflux is at %s (data in %s)", url, gateway.data_dir)

    def _begin_attached(self, attached: Attached) -> None:
        self._cleanup.callback(attached.close)
        known: Place | None = None

        async def ask() -> Sequence[Working]:
            nonlocal known
            place = attached.place()
            if place != known:
                # Started again it may have another port and token; kernels to come are told.
                known = place
                self._hand_down(place.url, place.token)
                self.log.info("Coflux is at %s, which this server is attached to", place.url)
            return await attached.working()

        try:
            attached.place()
        except Unavailable as missing:
            self.log.warning("%s", missing)
        self._activity = self._watched(ask, is_own=False)

    def _hand_down(self, url: str, token: str | None) -> None:
        """Let kernels and terminals inherit where the server is."""
        for name, value in zip(VARIABLES, (url, token), strict=True):
            self._inherited.setdefault(name, os.environ.get(name))
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _watched(self, ask: Callable[[], Any], *, is_own: bool) -> Activity:
        server = self._server()
        activity = Activity(
            ask, server.web_app.settings, server.kernel_manager, self.log, is_own=is_own
        )
        self._watch = asyncio.create_task(activity.watch())
        return activity

    async def stop_extension(self) -> None:
        """End the projects' processes, or leave them. Never raises: Jupyter would hang for ever."""
        try:
            await asyncio.wait_for(self._stop(), STOP_SECONDS)
        except asyncio.TimeoutError:
            self.log.warning("Coflux did not end within %d s", STOP_SECONDS)
        except Exception:
            self.log.exception("Coflux did not end in good order")

    async def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        gateway, self._gateway = self._gateway, None
        for name, value in self._inherited.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        try:
            if gateway is not None and self._inherited:
                await gateway.stop(leave=self.linger > 0)
        finally:
            self._cleanup.close()

    def current_activity(self) -> Any:
        """Work that should keep an idle server alive: executions that would end with it."""
        return (self._activity and self._activity.executions) or None

    def _fail(self, error: BaseException) -> None:
        self._cleanup.close()
        self.problem = str(error) if isinstance(error, Refused) else f"Coflux failed: {error!r}"
        self.log.error("Coflux is not available: %s", self.problem)

    def _data_dir(self) -> Path:
        chosen = self.data_dir or os.environ.get("COFLUX_DATA_DIR")
        if chosen:
            return Path(chosen).expanduser()
        return Path(self._server().root_dir) / ".coflux"

    def _server(self) -> ServerApp:
        assert self.serverapp is not None, "an extension is linked to its server first"
        return self.serverapp


def _address(server: ServerApp) -> str:
    return url_path_join(server.connection_url, PLACE) + "/"


def _mark(spec: URLSpec) -> None:
    """Tell Jupyter that the handler sees to its callers itself, as `@ws_authenticated` does."""
    handler: type[RequestHandler] = spec.handler_class
    for name in handler.SUPPORTED_METHODS:
        method = getattr(handler, name.lower())
        if method is not RequestHandler._unimplemented_method:
            setattr(method, "__allow_unauthenticated", False)


main = CofluxApp.launch_instance
