"""Carrying out what pools want: launches and stops, through launchers, in threads (PO-2, PO-5).

Belongs here: orders, tokens of launched agents, watching them, and taking them up after a restart.
Does not belong here: how many agents there should be (the core's `launches`), and platforms.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec

from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.entities import LaunchRecord, Pool
from coflux.server.launchers.launcher import Launcher, LaunchFailed, Order
from coflux.server.project.agents import hash_secret
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.pool_secrets import PoolSecrets

#: Seconds between two looks at what runs.
LOOK_S = 1.0
#: Address for launched agents, where it is not that of this machine.
PUBLIC_URL = "COFLUX_PUBLIC_URL"

log = logging.getLogger("coflux.project")


class Pools:
    """The launched agents of a project."""

    def __init__(
        self,
        project: str,
        directory: Path,
        orchestrator: Orchestrator,
        launchers: Mapping[str, Launcher],
        variables: Mapping[str, str],
    ) -> None:
        self.launchers = launchers
        self.secrets = PoolSecrets(directory)
        self._project = project
        #: Tells the agents of this project's data from those of any other's.
        self._owner = directory.name
        self._lock = directory.parents[1] / "server.lock"
        self._variables = variables
        self._orchestrator = orchestrator
        self._tasks: set[asyncio.Task[None]] = set()
        #: Launches that are being started: not to be looked at yet.
        self._starting: set[str] = set()
        self._watch: asyncio.Task[None] | None = None
        orchestrator.on_launch = self.carry_out

    def start(self) -> None:
        """Take up what an earlier process of this project has started."""
        known = list(self._orchestrator.machine.state.launches.values())
        if known:
            self._do(self._take_up(known))

    async def close(self) -> None:
        """Look at nothing any more; what runs goes on."""
        for task in [*self._tasks, *([self._watch] if self._watch else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- wishes of the core ---------------------------------------------------------------------

    def carry_out(self, effect: fx.Launch | fx.StopLaunch) -> None:
        """Start or stop an agent, without waiting for it."""
        if isinstance(effect, fx.Launch):
            self._starting.add(effect.launch)
            self._do(self._launch(effect.launch))
        else:
            self._do(self._stop(effect))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._look())

    async def _launch(self, id: str) -> None:
        try:
            order = await self._order(id)
            if order is None:
                return
            launcher, what = order
            await asyncio.to_thread(launcher.start, what)
        except LaunchFailed as failure:
            self._report(id, str(failure), failure.lines)
        except Exception as error:
            # Whatever a platform does, the pool shows it, and the project lives.
            log.exception("launch %s failed", id)
            self._report(id, f"{type(error).__name__}: {error}")
        else:
            launch = self._orchestrator.machine.state.launches.get(id)
            if launch is None or launch.retired_at is not None:
                await asyncio.to_thread(launcher.stop, id, now=False)
        finally:
            self._starting.discard(id)

    async def _order(self, id: str) -> tuple[Launcher, Order] | None:
        state = self._orchestrator.machine.state
        launch = state.launches.get(id)
        if launch is None or launch.retired_at is not None:
            self._report(id, None)
            return None
        pool = state.pools[launch.pool]
        spec = pool.spec
        launcher = self.launchers.get(launch.launcher)
        if launcher is None:
            raise LaunchFailed(f"the launcher {launch.launcher} is not allowed on this server")
        values = self.secrets.get(spec.secrets_revision)
        missing = [name for name in spec.secrets if name not in values]
        if missing:
            raise LaunchFailed(
                f"the values of {', '.join(missing)} are not here (they are in no backup); set"
                " them again"
            )
        variables = await self._variables_for(id, pool)
        hidden = {name: values[name] for name in spec.secrets}
        hidden["COFLUX_TOKEN"] = variables.pop("COFLUX_TOKEN")
        order = Order(
            id, self._project, self._owner, spec.repositories, spec.concurrency, spec.provides,
            spec.accepts, spec.settings, {**spec.env, **variables}, hidden,
        )  # fmt: skip
        return launcher, order

    async def _variables_for(self, id: str, pool: Pool) -> dict[str, str]:
        """Who and where the agent is; its token is for its environment alone (PO-5)."""
        environment = self._orchestrator.machine.state.environments[pool.environment].name
        secret = secrets.token_urlsafe(32)
        answer = await self._orchestrator.ask(
            lambda to: e.SessionRequested(to, environment, hash_secret(secret), id),
            f"pool {pool.name}",
        )
        if not isinstance(answer, fx.Confirm):
            raise LaunchFailed("the project gave it no session")
        return {
            "COFLUX_HOST": pool.spec.settings.get("server") or self._address(),
            "COFLUX_PROJECT": self._project,
            "COFLUX_ENVIRONMENT": environment,
            "COFLUX_TOKEN": f"cfs_{self._project}.{answer.data['session']}.{secret}",
        }

    def _address(self) -> str:
        given = self._variables.get(PUBLIC_URL)
        if given:
            return given
        try:
            return str(msgspec.json.decode(self._lock.read_bytes())["url"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LaunchFailed(
                f"the address of this server is not known; set {PUBLIC_URL}"
            ) from error

    async def _stop(self, effect: fx.StopLaunch) -> None:
        launcher = self.launchers.get(effect.launcher)
        if launcher is None or effect.launch in self._starting:
            # One that is being started is stopped when it has been.
            return
        try:
            await asyncio.to_thread(launcher.stop, effect.launch, now=effect.now)
        except OSError as error:
            log.warning("launch %s could not be stopped: %s", effect.launch, error)

    # --- looking at what runs -------------------------------------------------------------------

    async def _look(self) -> None:
        """As long as anything is launched, see whether it still runs."""
        while launches := self._orchestrator.machine.state.launches:
            await asyncio.sleep(LOOK_S)
            by_launcher: dict[str, list[str]] = {}
            for launch in launches.values():
                if launch.id not in self._starting:
                    by_launcher.setdefault(launch.launcher, []).append(launch.id)
            for name, ids in by_launcher.items():
                try:
                    await self._look_at(name, ids)
                except Exception:
                    log.exception("looking at launches of %s failed", name)

    async def _look_at(self, name: str, ids: list[str]) -> None:
        launcher = self.launchers.get(name)
        if launcher is None:
            return
        try:
            looks = await asyncio.to_thread(launcher.look, ids)
        except OSError as error:
            log.warning("the launcher %s does not answer: %s", name, error)
            return
        for id in ids:
            look = looks.get(id)
            if look is None:
                self._report(id, f"the launcher {name} does not know it (any more)")
            elif not look.is_running:
                self._report(id, look.error, look.lines)

    async def _take_up(self, known: list[LaunchRecord]) -> None:
        """Adopt launches that still run, stop those that nobody wants, report the rest."""
        self._starting.update(launch.id for launch in known)
        try:
            for name, launcher in self.launchers.items():
                try:
                    found = await asyncio.to_thread(launcher.found, self._owner)
                except OSError as error:
                    log.warning("the launcher %s does not answer: %s", name, error)
                    continue
                wanted = self._orchestrator.machine.state.launches
                for id in found:
                    if id not in wanted:
                        await asyncio.to_thread(launcher.stop, id, now=True)
        finally:
            self._starting.difference_update(launch.id for launch in known)

    def _report(self, id: str, error: str | None, lines: tuple[str, ...] = ()) -> None:
        self._orchestrator.put(e.LaunchReported(id, error, lines))
