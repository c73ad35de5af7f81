"""A request to the project, as operations see it: who asks, for what, and what they may.

Belongs here: reading ids, finding what they mean with the caller's rights, turning refusals of the
core into exceptions. Does not belong here: the operations themselves, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from coflux.blobs import LocalBlobs
from coflux.errors import REFUSALS, Forbidden, InvalidRequest, NotFound, Unavailable
from coflux.model import SYMBOLS, run_of
from coflux.server.access import Principal, Right
from coflux.server.core import effects as fx
from coflux.server.core.entities import Environment, Execution, Run
from coflux.server.core.events import Caller, Event
from coflux.server.core.state import State
from coflux.server.core.submission import nearest
from coflux.server.project.collecting import Collector
from coflux.server.project.follow import Following
from coflux.server.project.hooks import Hooks
from coflux.server.project.kept_graphs import KeptGraphs
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.pools import Pools
from coflux.server.space import shortage
from coflux.server.views import lists, runs

T = TypeVar("T")
_ID = re.compile(rf"(R[{SYMBOLS}]{{6,32}})(?::([1-9]\d{{0,8}})(?::([1-9]\d{{0,8}}))?)?")


class Found(NamedTuple):
    """A run, in the state that has it."""

    state: State
    run: Run


class Id(NamedTuple):
    """`RUN[:STEP[:ATTEMPT]]`, taken apart."""

    run: str
    step: int | None
    attempt: int | None


@dataclass
class Project:
    """What all requests to one project share."""

    name: str
    directory: Path
    socket: str
    orchestrator: Orchestrator
    blobs: LocalBlobs
    pools: Pools | None = None
    hooks: Hooks | None = None
    collector: Collector | None = None
    following: Following = field(default_factory=Following)
    graphs: KeptGraphs = field(init=False)
    _log_events: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.orchestrator.log_listeners.append(self._logs_came)
        self.orchestrator.listeners.append(self.following.committed)
        self.graphs = KeptGraphs(self.directory)
        self.orchestrator.listeners.append(self.graphs.committed)

    def check_space(self) -> None:
        """Refuse new work while the disk is nearly full (SE-11)."""
        problem = shortage(self.directory)
        if problem is not None:
            raise Unavailable(f"{problem}; free some space, then send the request again.")

    async def wait_for_logs(self, run: str, seconds: float) -> None:
        """Until something of the run is logged, or the time is up."""
        event = self.expect_logs(run)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    def expect_logs(self, run: str) -> asyncio.Event:
        """What is set when something of the run is logged or measured from now on."""
        return self._log_events.setdefault(run, asyncio.Event())

    def _logs_came(self, executions: Iterable[str]) -> None:
        for run in {run_of(execution) for execution in executions}:
            event = self._log_events.pop(run, None)
            if event is not None:
                event.set()


@dataclass
class Call:
    """One request. `body` is decoded already, `query` typed."""

    project: Project
    principal: Principal
    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    #: Whether the client is on this machine, as the gateway says.
    is_local: bool = False
    #: Status to answer with when it is not the route's.
    status: int | None = None

    @property
    def orchestrator(self) -> Orchestrator:
        """The project's loop."""
        return self.project.orchestrator

    @property
    def state(self) -> State:
        """What is live."""
        return self.orchestrator.machine.state

    # --- access ---------------------------------------------------------------------------------

    def environment(
        self, name: str | None, right: Right, field: str = "environment"
    ) -> Environment:
        """The environment, when the caller may; `default` when none is named.

        `field` is where the request names it.
        """
        name = name if name is not None else "default"
        found = self.state.environment_named(name)
        if found is None or not self.principal.may("read", found.name):
            names = [e.name for e in self.visible("read") if e.state != "archived"]
            raise NotFound(
                f"There is no environment {name!r}{nearest(name, names) or '.'}", field=field
            )
        if not self.principal.may(right, found.name):
            raise Forbidden(f"The token does not give the right to {right} in {name!r}.")
        return found

    def environment_by_id(self, right: Right) -> Environment:
        """The environment that the path names by id, when the caller may."""
        found = self.state.environments.get(self.path["id"])
        if (
            found is None or found.state == "archived"
            or not self.principal.may("read", found.name)
        ):  # fmt: skip
            raise NotFound(f"There is no environment {self.path['id']}.", field="id")
        if not self.principal.may(right, found.name):
            raise Forbidden(f"The token does not give the right to {right} in {found.name!r}.")
        return found

    def visible(self, right: Right) -> list[Environment]:
        """Environments in which the caller has a right."""
        every = self.state.environments.values()
        return [e for e in every if self.principal.may(right, e.name)]

    def allowed(self, right: Right) -> tuple[str, ...]:
        """Their ids."""
        return tuple(e.id for e in self.visible(right))

    def chosen(self) -> list[Environment]:
        """The environment of the query, or all that may be read."""
        name = self.query.get("environment")
        return [self.environment(name, "read")] if name is not None else self.visible("read")

    # --- runs -----------------------------------------------------------------------------------

    def find_run(self, id: str) -> Found:
        """The run of an id, when the caller may see it (ID-4)."""
        run_id = parse_id(id).run
        state = self.orchestrator.state_with(run_id)
        run = state.runs.get(run_id) if state is not None else None
        if state is None or run is None or not self._may_read(run):
            raise no_such(id)
        return Found(state, run)

    def find_execution(self, id: str, environment: str | None = None) -> tuple[Found, Execution]:
        """The attempt that an id means (ID-3), seen from an environment (RR-6).

        That is the one that is named here, or else that of the query.
        """
        found = self.find_run(id)
        wanted = parse_id(id)
        seen_from = self.viewpoint()
        if environment is not None:
            seen_from = self.environment(environment, "read").id
        execution = runs.find(found.state, found.run, wanted.step or 1, wanted.attempt, seen_from)
        if execution is None:
            raise no_such(id)
        return found, execution

    def find_part(self, id: str) -> Found:
        """The run of an id whose step and attempt, where it names them, can be seen (ID-4)."""
        return self.find_execution(id)[0] if parse_id(id).step is not None else self.find_run(id)

    def viewpoint(self) -> str | None:
        """The id of the environment that the query looks from."""
        name = self.query.get("environment")
        return self.environment(name, "read").id if name is not None else None

    def is_seen(self, execution: str, environments: Collection[str]) -> bool:
        """Whether an execution is of one of these environments (RR-6)."""
        state = self.orchestrator.state_with(run_of(execution))
        found = state.executions.get(execution) if state is not None else None
        return found is not None and found.environment in environments

    def cursor(self, name: str) -> int | None:
        """A query parameter that is the cursor of another page; `before=end` is past all."""
        text = self.query.get(name)
        if text is None:
            return None
        if name == "before" and text == "end":
            return 2**62
        if not text.isdigit() or len(text) > 18:
            raise InvalidRequest(f"`{name}` is the cursor of another page.", field=name)
        return int(text)

    def reason_of(self, execution: Execution) -> dict[str, Any]:
        """Why a queued execution is queued."""
        return lists.show_reason(self.orchestrator.machine, execution, self.orchestrator.now())

    def _may_read(self, run: Run) -> bool:
        return self.principal.may("read", self.state.environments[run.environment].name)

    # --- asking the core --------------------------------------------------------------------------

    async def ask(self, event: Callable[[Caller], Event], answer: type[T]) -> T:
        """The core's answer; its refusal raised as the error that it is (ER-4)."""
        effect = await self.orchestrator.ask(event, self.principal.name)
        if isinstance(effect, fx.Refuse):
            message = sentence(effect.message, effect.field)
            raise REFUSALS.get(effect.code, InvalidRequest)(message, field=effect.field)
        assert isinstance(effect, answer)
        return effect


def sentence(message: str, field: str | None = None) -> str:
    """What is wrong, as a sentence begins; but the name of a field stays as it is written."""
    word = message.partition(" ")[0]
    # Words such as "environment" are names only where they are what the sentence is about.
    is_subject = re.match(r"\w+ (is|has|names|must|may|takes|needs)\b", message) is not None
    is_name = is_subject and word == (field or "").rpartition(".")[2]
    if is_name or re.search(r"[_.=]", word):
        return message
    return message[:1].upper() + message[1:]


def parse_id(id: str) -> Id:
    """An id taken apart; anything malformed is simply not found (ID-4)."""
    match = _ID.fullmatch(id)
    if match is None:
        raise no_such(id)
    run, step, attempt = match.groups()
    return Id(run, int(step) if step else None, int(attempt) if attempt else None)


def no_such(id: str) -> NotFound:
    """What is said of an id that is malformed, unknown or not for the caller's eyes."""
    return NotFound(f"There is no {id[:80]!r}.", field="id")
