"""Start and stop a server: the only place that wires its parts together.

Belongs here: the configuration of a server, its listening sockets, lock, runtime file and end.
Does not belong here: what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from coflux.errors import Conflict, InvalidRequest, Refused
from coflux.server.gateway import datadir, runtimefile
from coflux.server.gateway.auth import TokenAuthenticator, is_loopback, own_names
from coflux.server.gateway.gateway import Gateway
from coflux.server.gateway.mounting import mount
from coflux.server.gateway.tickets import FILE, Tickets

DEFAULT_PORT = 7777
#: Exit code when a server refuses to start.
EXIT_REFUSED = 3
#: How long open answers may take at the end, in seconds.
_CLOSE_SECONDS = 5.0

log = logging.getLogger("coflux.server")


def project_command(nice: int = 0, linger_s: float = 0.0) -> tuple[str, ...]:
    """What starts a project process.

    It gives way to others by `nice`, and goes on for `linger_s` seconds when the server is gone.
    """
    options = ("--nice", str(nice), "--linger", f"{linger_s:g}")
    return (sys.executable, "-m", "coflux.server.project.process", *options)


@dataclass(frozen=True)
class ServerConfig:
    """How a server is started. Everything has a default that is safe on one's own machine."""

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: 0 = any free one.
    port: int = DEFAULT_PORT
    data_dir: Path = Path(".coflux")
    #: Path that all addresses begin with, for servers behind a proxy.
    base_url: str = "/"
    #: Ask for no token. Refused on addresses other machines can reach, unless forced.
    no_auth: bool = False
    force: bool = False
    #: Names that clients may call this server by, besides its addresses; `*` = any.
    allowed_hosts: tuple[str, ...] = ()
    #: Called once the server answers.
    ready: Callable[[RunningServer], None] | None = None
    #: End when stdin does, as a server should that another program started for itself.
    exit_on_stdin_eof: bool = False
    #: Folder of the runtime file; None = the user's. `write_runtime_file=False`: there is none.
    runtime_dir: Path | None = None
    write_runtime_file: bool = True
    #: Starts a project process.
    command: tuple[str, ...] = field(default_factory=project_command)

    @property
    def base_path(self) -> str:
        """`base_url` with one slash at each end."""
        middle = self.base_url.strip("/")
        return f"/{middle}/" if middle else "/"


class RunningServer:
    """A server that answers. Made by `start`; ended by `stop`."""

    def __init__(
        self,
        config: ServerConfig,
        gateway: Gateway,
        http: HTTPServer,
        port: int,
        token: str | None,
        cleanup: contextlib.ExitStack,
    ) -> None:
        self.gateway = gateway
        self.port = port
        #: Admin token of the server's own user; None without authentication.
        self.token = token
        self.data_dir = gateway.data_dir
        host = _reachable(config.host)
        #: Address for clients on this machine, ending with the base path's slash.
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}{config.base_path}"
        self._http = http
        self._cleanup = cleanup

    @property
    def sign_in_url(self) -> str:
        """Address that signs a browser in."""
        return f"{self.url}?{urlencode({'token': self.token})}" if self.token else self.url

    async def stop(self) -> None:
        """Stop listening, end the projects' processes, leave nothing behind but the data."""
        self._http.stop()
        try:
            await self.gateway.stop()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._http.close_all_connections(), _CLOSE_SECONDS)
        finally:
            self._cleanup.close()


async def start(config: ServerConfig) -> RunningServer:
    """Start a server on the running event loop.

    Raises a `Refused` that says in one line why it cannot be, having changed nothing.
    """
    _check(config)
    with contextlib.ExitStack() as cleanup:
        gateway, announce = open_gateway(config.data_dir, config.command, cleanup)
        sockets = _bind(config)
        for listening in sockets:
            cleanup.callback(listening.close)
        port = sockets[0].getsockname()[1]
        token = None if config.no_auth else gateway.accounts.add_transient(_user())
        http = HTTPServer(_application(config, gateway, port), chunk_size=256 * 1024)
        http.add_sockets(sockets)
        server = RunningServer(config, gateway, http, port, token, cleanup)
        announce(server.url)
        if config.write_runtime_file:
            path = runtimefile.write(server.url, token, gateway.data_dir, config.runtime_dir)
            cleanup.callback(runtimefile.remove, path)
        gateway.start()
        server._cleanup = cleanup.pop_all()
    return server


def open_gateway(
    data_dir: Path, command: tuple[str, ...], cleanup: contextlib.ExitStack
) -> tuple[Gateway, Callable[[str], None]]:
    """A gateway over a data directory that is nobody else's, for `start` and other applications.

    Returns it with a function that tells others its address. To be followed by `Gateway.start`
    on the event loop, and ended by `Gateway.stop` and then `cleanup.close()`, also after a failure
    in between. Raises a `Refused` that says in one line why it cannot be.
    """
    data_dir = datadir.prepare(data_dir)
    lock = datadir.Lock(data_dir)
    cleanup.callback(lock.release)
    folder = datadir.make_socket_folder(data_dir)
    gateway = Gateway(data_dir, folder, command)
    cleanup.callback(_remove_sockets, folder, gateway)
    lock.write(sockets=str(folder))
    cleanup.callback(gateway.accounts.close)
    return gateway, lambda url: lock.write(sockets=str(folder), url=url)


def _remove_sockets(folder: Path, gateway: Gateway) -> None:
    if not gateway.has_left_processes:
        shutil.rmtree(folder, ignore_errors=True)


def _check(config: ServerConfig) -> None:
    if config.no_auth and not is_loopback(config.host) and not config.force:
        raise InvalidRequest(
            f"Without tokens anybody who reaches {config.host} could run code here; leave out"
            " --no-auth, listen on 127.0.0.1, or add --force if you really mean it."
        )
    if not 0 <= config.port <= 65535:
        raise InvalidRequest(f"{config.port} is no port; choose one from 0 to 65535.")


def _bind(config: ServerConfig) -> list[socket.socket]:
    try:
        return bind_sockets(config.port, config.host)
    except OSError as error:
        where = f"{config.host}:{config.port}"
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"{where} is in use by another program; choose another --port (0 = any free one)."
            ) from error
        raise InvalidRequest(f"Cannot listen on {where}: {error.strerror or error}.") from error


def _application(config: ServerConfig, gateway: Gateway, port: int) -> Application:
    authenticator = TokenAuthenticator(
        gateway.accounts,
        gateway.identify_session,
        allowed_hosts={*own_names(config.host), *config.allowed_hosts},
        # Browsers send cookies to every port of a host.
        cookie=f"coflux-{port}",
        cookie_path=config.base_path,
        loopback_only=is_loopback(config.host),
        open_to_all=config.no_auth,
        tickets=Tickets(gateway.data_dir / FILE, lambda: time.time_ns() // 1_000_000),
    )
    return Application(
        list(mount(gateway, config.base_path, authenticator)),
        log_function=_log_request,
    )


def _log_request(handler: RequestHandler) -> None:
    # The path only: a query may hold a token.
    request = handler.request
    log.debug(
        "%s %s %d %.1f ms",
        request.method, request.path, handler.get_status(), 1000 * request.request_time(),
    )  # fmt: skip


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _reachable(host: str) -> str:
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def serve(config: ServerConfig) -> int:
    """Run a server until it is told to end (SIGINT, SIGTERM, or stdin's end); the exit code."""
    try:
        asyncio.run(_serve(config))
    except Refused as refusal:
        sys.stderr.write(f"coflux server: {refusal}\n")
        return EXIT_REFUSED
    return 0


async def _serve(config: ServerConfig) -> None:
    end = asyncio.Event()
    with _ended_by_signals(end):
        server = await start(config)
        try:
            if config.exit_on_stdin_eof:
                _watch_stdin(end)
            if config.ready is not None:
                config.ready(server)
            await end.wait()
        finally:
            await server.stop()


@contextlib.contextmanager
def _ended_by_signals(end: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # Only the main thread may; on another one the embedder says when to end.
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    for number in numbers:
        loop.add_signal_handler(number, end.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _watch_stdin(end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def watch() -> None:
        # A thread, because epoll takes no regular files.
        while _read_stdin():
            pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(end.set)

    threading.Thread(target=watch, name="coflux-stdin", daemon=True).start()


def _read_stdin() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""


__all__ = [
    "DEFAULT_PORT",
    "EXIT_REFUSED",
    "RunningServer",
    "ServerConfig",
    "open_gateway",
    "serve",
    "start",
]
