"""A notebook's kernel as a client and as an agent: what is connected, offered and shown.

Belongs here: the state that the magics work on, and what happens after each cell. Does not belong
here: the magics' forms (`magics`), finding and pickling targets (`namespace`), the agent's process
(`agent_process`), and how runs look (`display`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from coflux import config
from coflux.client import Client
from coflux.client.client import use
from coflux.errors import CofluxError, InvalidRequest, NotSerialisable, Unavailable
from coflux.jupyter.agent_process import AgentProcess
from coflux.jupyter.following import follower
from coflux.jupyter.namespace import Found, Namespace, size_warning
from coflux.jupyter.surroundings import LocalServer, notebook_path, repository_for
from coflux.names import check_name, name_repository
from coflux.target import Target
from coflux.wire import Repository

#: How long a submission waits until the server knows the code it is about, in seconds.
PATIENCE_S = 15.0


#: How long a cell may take longer so that pictures of ended runs are among its outputs, in s.
SETTLE_S = 0.5


class WaitInterrupted(KeyboardInterrupt):
    """Interrupting stopped the waiting; what is waited for goes on."""

    def __init__(self, id: str) -> None:
        self.run = id.partition(":")[0]
        super().__init__(
            f"stopped waiting; run {self.run} goes on (`%coflux cancel {self.run}` ends it)"
        )


class NotebookClient(Client):
    """A client whose submissions are preceded by the code that they are about."""

    def __init__(self, settings: config.Config, before: Callable[[Any], None]) -> None:
        super().__init__(settings)
        self._before = before
        #: A step's function runs here under the debugger: what it calls does as well.
        self.is_stepping = False

    def start(
        self, target: Any, args: tuple[Any, ...] = (), kwargs: Any = None, **more: Any
    ) -> Any:
        """As for any client; the agent has the notebook's targets as they are now."""
        if self.is_stepping and isinstance(target, Target):
            return target.submit_here(args, dict(kwargs or {}))
        self._before(target)
        return super().start(target, args, kwargs, **more)

    def wait_outcome(self, id: str, *args: Any, **kwargs: Any) -> Any:
        """As for any client; an interrupt says what it did not stop."""
        try:
            outcome = super().wait_outcome(id, *args, **kwargs)
        except KeyboardInterrupt:
            raise WaitInterrupted(id) from None
        follower().hurry(id.partition(":")[0])
        return outcome


class Notebook:
    """One shell's connection and agent; `names` is its namespace.

    Raises, wherever it talks to the server, what a client raises.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.namespace = Namespace(names)
        self.path = notebook_path(names)
        self.repository = repository_for(self.path)
        self.agent: AgentProcess | None = None
        self._client: NotebookClient | None = None
        self._settings: config.Config | None = None
        self._local: LocalServer | None = None
        #: Cleared when the user stops the agent: submitting then does not start it.
        self._is_agent_wanted = True
        self._offered: tuple[Repository, ...] | None = None
        self._number = 0
        self._told: dict[str, str] = {}
        name_repository("__main__", self.repository)

    # --- connecting -----------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    @property
    def client(self) -> NotebookClient:
        """The client; connects as `connect()` does, where that has not been done."""
        if self._client is None:
            self.connect()
        assert self._client is not None
        return self._client

    def connect(
        self,
        *,
        host: str | None = None,
        project: str | None = None,
        environment: str | None = None,
        token: str | None = None,
        repository: str | None = None,
        is_local: bool = False,
    ) -> NotebookClient:
        """Connect to the server of these settings, or of the kernel's surroundings.

        With `is_local` to one over `./.coflux`, which is started if need be and then ends with
        the kernel.
        """
        if repository is not None:
            _check_repository(repository)
        if is_local:
            if host is not None:
                raise InvalidRequest("give --host or --local, not both")
            local = LocalServer(Path(".coflux"))
            running = local.start()
            host, token = running.url, running.token
        settings = config.resolve(host=host, project=project, environment=environment, token=token)
        client = self._try(settings)
        self.disconnect()
        self._local = local if is_local else None
        if repository is not None:
            name_repository("__main__", repository)
            self.repository = repository
        self._settings, self._client = settings, client
        use(client)
        return client

    def _try(self, settings: config.Config) -> NotebookClient:
        client = NotebookClient(settings, self._before_submission)
        try:
            # Proves address, token, project and environment, while the mistake is in sight.
            client.runs(limit=1)
        except Unavailable as error:
            raise Unavailable(f"{error}; `%coflux connect --local` starts one here") from None
        return client

    def use_environment(self, name: str) -> NotebookClient:
        """Work in another environment from now on; the agent moves as well."""
        self.client.environments.get(name)
        assert self._settings is not None
        has_agent = self.agent is not None
        self._end_agent()
        sources = {**self._settings.sources, "environment": "%coflux env use"}
        self._settings = replace(self._settings, environment=name, sources=sources)
        old = self._client
        self._client = NotebookClient(self._settings, self._before_submission)
        use(self._client)
        if old is not None:
            old.close()
        if has_agent:
            self.start_agent()
        return self._client

    def disconnect(self) -> None:
        """End agent, connection and the server that was started for it."""
        self._end_agent()
        client, self._client = self._client, None
        use(None)
        if client is not None:
            client.close()
        local, self._local = self._local, None
        if local is not None:
            local.stop()

    # --- the agent ------------------------------------------------------------------------------

    def start_agent(self, concurrency: int | None = None) -> AgentProcess:
        """The kernel's agent, started if it does not live."""
        _ = self.client
        self._is_agent_wanted = True
        if self.agent is not None and self.agent.is_alive:
            return self.agent
        self._end_agent()
        assert self._settings is not None
        self.agent = AgentProcess(self._settings, Path.cwd(), concurrency)
        self._offered = None
        self._offer(self.namespace.look())
        return self.agent

    def stop_agent(self) -> None:
        """End the agent, until it is started; what is queued waits for another."""
        self._is_agent_wanted = False
        self._end_agent()

    def _end_agent(self) -> None:
        agent, self.agent = self.agent, None
        if agent is not None:
            agent.stop()

    def synchronise(self) -> list[str]:
        """Start the agent if need be, and wait until the server knows the targets as they are.

        Gives what the user should know.
        """
        if not self._is_agent_wanted:
            return ["this kernel's agent was stopped; other agents know the targets as they were"]
        agent = self.start_agent()
        self._offer(self.namespace.look())
        problem = agent.wait(self._number, PATIENCE_S)
        return [problem] if problem else []

    def _before_submission(self, target: Any) -> None:
        if not isinstance(target, Target):
            # By name: the manifest has to be the present one.
            if self.agent is not None and str(target).startswith(f"{self.repository}/"):
                self.synchronise()
            return
        if target.repository != self.repository and target.__module__ != "__main__":
            self.synchronise()
            return
        self.synchronise()
        key = f"{target.repository}/{target.name}"
        if key in self._told and key not in self._hosted():
            raise NotSerialisable(self._told[key])

    def _hosted(self) -> set[str]:
        return {
            f"{repository.name}/{definition.name}"
            for repository in self._offered or ()
            for definition in repository.targets
        }

    def _offer(self, found: Found) -> None:
        assert self.agent is not None
        self._told = {**found.problems}
        if found.repositories != self._offered:
            self._number = self.agent.offer(found, self.repository)
            self._offered = found.repositories

    # --- after each cell ------------------------------------------------------------------------

    def after_cell(self) -> list[str]:
        """Offer what the cell has changed; gives what the user should know."""
        follower().wait_hurried(SETTLE_S)
        agent = self.agent
        if agent is None:
            return []
        notes = agent.take_notices()
        if not agent.is_alive:
            return notes
        told = dict(self._told)
        found = self.namespace.look()
        fresh = found.repositories != self._offered
        self._offer(found)
        notes += [text for key, text in found.problems.items() if told.get(key) != text]
        if fresh:
            notes += self._size_warnings(found)
        return notes

    def remarks(self) -> list[str]:
        """What agents of the environment say of how they run this notebook's targets (CO-3)."""
        return [
            f"{agent['host']}, process {agent['pid']}: {text}"
            for agent in self.client.agents()
            if agent["connected"]
            for text in agent.get("remarks", {}).get(self.repository, ())
        ]

    def _size_warnings(self, found: Found) -> list[str]:
        targets = self.namespace.targets()
        warnings = []
        for repository in found.repositories:
            for definition in repository.targets:
                target = targets.get(f"{repository.name}/{definition.name}")
                pickle = found.pickles[definition.pickle or ""]
                warning = size_warning(target, pickle) if target is not None else None
                if warning is not None:
                    warnings.append(warning)
        return warnings


def _check_repository(name: str) -> None:
    try:
        check_name(name, "the repository's name")
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def explain(error: CofluxError) -> str:
    """An error in one line, for a cell's output."""
    return f"{type(error).__name__}: {error}"


def warn(text: str) -> None:
    """A short line below the running cell; on the shell's own thread only."""
    sys.stderr.write(f"\x1b[33mcoflux:\x1b[0m {text}\n")
