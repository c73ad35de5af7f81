"""Asking the server for a session. Keeping it connected does not belong here (`session`)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from coflux import wire
from coflux.agent.config import AgentConfig
from coflux.agent.spool import Ticket
from coflux.errors import REFUSALS, Forbidden, InvalidRequest, Refused, Unavailable
from coflux.model import Record

_logger = logging.getLogger(__name__)

_BACKOFF_S = (1.0, 10.0)

#: What may go wrong on the way to a server that will come back.
_TRANSIENT = (OSError, HTTPStreamClosedError, HTTPTimeoutError, asyncio.TimeoutError)


def backoff() -> Iterator[float]:
    """Pauses before attempts to reach the server, in seconds: growing, and not in step."""
    pause, longest = _BACKOFF_S
    while True:
        yield pause * (1 + random.random() / 2)
        pause = min(pause * 2, longest)


class Opening:
    """Opens one session after another, with the token that is good at the time."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._token = config.token
        #: Only at the start: an environment that is archived later is not made anew (EV-5).
        self._may_create = config.dev

    async def ticket(self) -> Ticket:
        """Get a new session; waits for an absent server.

        Raises `Refused` where the server does not give one.
        """
        pauses = backoff()
        while True:
            try:
                return await self._post()
            except Unavailable as error:
                _logger.warning("%s; trying again", error)
                await asyncio.sleep(next(pauses))
            except Forbidden:
                renewed = self._config.renew_token() if self._config.renew_token else None
                if renewed is None or renewed == self._token:
                    raise
                self._token = renewed

    async def _post(self) -> Ticket:
        base = self._config.host.rstrip("/")
        body = {"environment": self._config.environment, "local": True}
        if self._may_create:
            body["create"] = True
        headers = {"Content-Type": "application/json", "X-Coflux-Protocol": str(wire.PROTOCOL)}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = HTTPRequest(
            f"{base}/api/v1/projects/{self._config.project}/sessions",
            method="POST",
            headers=headers,
            body=msgspec.json.encode(body),
            connect_timeout=10.0,
            request_timeout=30.0,
        )
        client = AsyncHTTPClient(force_instance=True)
        try:
            response = await client.fetch(request, raise_error=False)
        except _TRANSIENT as error:
            raise Unavailable(f"no Coflux server answers at {base} ({error})") from error
        finally:
            client.close()
        if response.code == 599 or response.code >= 500:
            raise Unavailable(f"no Coflux server answers at {base} ({response.reason})")
        if response.code >= 400:
            raise _refusal(response.code, response.body)
        given = msgspec.json.decode(response.body, type=_Given)
        self._may_create = False
        if given.created and self._config.notice is not None:
            name = given.environment.name
            self._config.notice(f"created the environment {name}, which there was not (--dev)")
        return Ticket(
            session=given.session,
            # An agent that a pool has started has the token of its session already.
            token=given.token or self._token or "",
            socket=given.socket,
            blobs=given.blobs,
            project=self._config.project,
            environment=given.environment.name or self._config.environment,
        )


class _Environment(Record):
    id: str = ""
    name: str = ""


class _Given(Record):
    """The answer of `POST /sessions`."""

    session: str
    token: str
    socket: str | None = None
    blobs: str | None = None
    environment: _Environment = _Environment()
    #: Whether the environment was made for this session.
    created: bool = False


class _Said(Record):
    code: str = ""
    message: str = ""


class _Body(Record):
    error: _Said = _Said()


def _refusal(status: int, body: bytes) -> Refused:
    try:
        said = msgspec.json.decode(body, type=_Body).error
    except msgspec.MsgspecError:
        said = _Said()
    kind: Callable[[str], Refused] = REFUSALS.get(
        said.code, Forbidden if status in (401, 403) else InvalidRequest
    )
    return kind(said.message or f"the server refused the session ({status})")
