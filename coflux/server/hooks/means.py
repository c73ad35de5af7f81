"""How a hook is told: a command, a request, or whatever apprise knows.

Belongs here: one attempt, and what went wrong with it. Does not belong here: when there is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from coflux.server.hooks.hook import Hook

#: One attempt may take so long, in seconds.
TIMEOUT_S = 60.0
_CONNECT_S = 10.0
_SHOWN = 500


class Undelivered(Exception):
    """The attempt failed; why."""


async def deliver(hook: Hook, message: dict[str, Any]) -> None:
    """Tell a hook; raises `Undelivered`."""
    await _MEANS[hook.kind](hook, message)


async def _run_command(hook: Hook, message: dict[str, Any]) -> None:
    """The message is its stdin, as JSON, and in its environment."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("COFLUX_")}
    own = {f"RUN_{name.upper()}": str(message[name]) for name in ("status", "target", "text")}
    own |= {"RUN_ID": message["run"], "RUN_ENVIRONMENT": message["environment"]}
    try:
        process = await asyncio.create_subprocess_exec(
            *hook.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**variables, **own},
            start_new_session=True,
        )
    except OSError as error:
        raise Undelivered(f"the command cannot be run: {error}") from error
    try:
        _, said = await asyncio.wait_for(
            process.communicate(msgspec.json.encode(message)), TIMEOUT_S
        )
    except asyncio.TimeoutError:
        raise Undelivered(f"the command took longer than {TIMEOUT_S:g} s") from None
    finally:
        # With all that it started, also when it has ended itself or the server does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(asyncio.CancelledError):
            await process.wait()
    if process.returncode != 0:
        text = said.decode("utf-8", "replace").strip()
        why = f": {text.splitlines()[-1][:_SHOWN]}" if text else ""
        raise Undelivered(f"the command ended with code {process.returncode}{why}")


async def _post(hook: Hook, message: dict[str, Any]) -> None:
    request = HTTPRequest(
        hook.url,
        method="POST",
        headers={"Content-Type": "application/json", **hook.headers},
        body=msgspec.json.encode(message),
        connect_timeout=_CONNECT_S,
        request_timeout=TIMEOUT_S,
        follow_redirects=False,
    )
    client = AsyncHTTPClient(force_instance=True)
    try:
        response = await client.fetch(request, raise_error=False)
    except (OSError, HTTPStreamClosedError, HTTPTimeoutError) as error:
        raise Undelivered(f"it cannot be reached: {error}") from error
    finally:
        client.close()
    if not 200 <= response.code < 300:
        raise Undelivered(f"it answered {response.code} {response.reason}")


async def _notify(hook: Hook, message: dict[str, Any]) -> None:
    problem = await asyncio.wait_for(asyncio.to_thread(_notify_now, hook, message), 2 * TIMEOUT_S)
    if problem is not None:
        raise Undelivered(problem)


def _notify_now(hook: Hook, message: dict[str, Any]) -> str | None:
    with warnings.catch_warnings():
        # Of what it imports in turn, now and later: nothing that an operator could mend.
        warnings.simplefilter("ignore")
        try:
            import apprise
        except ImportError:
            return "apprise is not installed on the server: pip install '.[notify]'"
        told = apprise.Apprise()
        if not told.add(hook.url):
            return "apprise does not know this kind of address"
        is_good = message["status"] == "succeeded"
        kind = apprise.NotifyType.SUCCESS if is_good else apprise.NotifyType.FAILURE
        title = f"{message['target']} {message['status']}"
        if told.notify(body=message["text"], title=title, notify_type=kind):
            return None
        return "apprise could not deliver it"


_MEANS: dict[str, Callable[[Hook, dict[str, Any]], Awaitable[None]]] = {
    "command": _run_command,
    "webhook": _post,
    "apprise": _notify,
}
