"""The client: what a program outside any execution may ask the server of a project.

Belongs here: one method for each thing that can be asked, and the current client of the process.
Does not belong here: connections (`transport`), handles (`run`), encoding (`payload`, `outcome`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coflux import config
from coflux.client.environments import Environments
from coflux.client.hooks import Hooks
from coflux.client.inputs import Inputs
from coflux.client.outcome import Outcome, read_outcome
from coflux.client.patience import Patience
from coflux.client.pools import Pools
from coflux.client.run import Run
from coflux.client.schedules import Schedules
from coflux.client.slots import Slots
from coflux.client.transport import Transport, segment
from coflux.errors import Unavailable

if TYPE_CHECKING:
    from inspect import BoundArguments, Signature

    from coflux.client.execution import Execution
    from coflux.client.views import RunView
    from coflux.model import AssetManifest, Value

#: The longest time that one request may ask the server to wait, in seconds.
_WAIT_MAX_S = 30.0
#: How often one wants to know what has been removed so far, in ms.
_COLLECTING_MS = 1_000


class Client:
    """A connection to one project of a server, and an environment to address in it.

    Threads may share a client. Every method raises a subclass of `coflux.errors.Refused` where
    the server refuses, and `Unavailable` where none answers.
    """

    def __init__(self, settings: config.Config) -> None:
        self.host = settings.host
        self.project = settings.project
        self.environment = settings.environment
        #: From where runs are seen (RR-6): the environment, where one was named; else their own.
        self.viewpoint = (
            None if settings.sources.get("environment") == "default" else settings.environment
        )
        self.transport = Transport(settings.host, settings.token)
        self.environments = Environments(self)
        self.pools = Pools(self)
        self.hooks = Hooks(self)
        self.slots = Slots(self)
        self.schedules = Schedules(self)
        self.inputs = Inputs(self)
        self._blobs: Any = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Client {self.host} project={self.project} environment={self.environment}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections; the client opens new ones when it is used again."""
        self.transport.close()
        with self._lock:
            if self._blobs is not None:
                self._blobs.close()

    # --- runs ---------------------------------------------------------------------------------

    def submit(
        self, target: Any, /, *args: Any, idempotency_key: str | None = None, **kwargs: Any
    ) -> Run:
        """Start a run of a workflow, and return without waiting for it.

        `target` is a decorated function, or `"repository/target"` for one that is registered in
        the environment. With an `idempotency_key` (at most 200 characters, remembered for 24 h)
        the same request gives the run that it gave before.

        Raises `TypeError` for arguments that do not fit, `NotFound` for a target that is not
        registered, `Conflict` for a key that was used for another request.
        """
        return self.start(target, args, kwargs, idempotency_key=idempotency_key)

    def start(
        self,
        target: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """As `submit`, with arguments given as such and options for this submission.

        `options` are `requires`, `memo`, `delay_ms`, `retries`, `timeout_ms` and `priority`;
        those that are absent are as the target says.
        """
        body = _payload().run_body(self, target, args, dict(kwargs or {}), dict(options or {}))
        body["environment"] = self.environment
        # Every submission has a key, so that one whose answer was lost can be sent again.
        own = _payload().own_key()
        body["idempotency_key"] = own if idempotency_key is None else idempotency_key
        answer = self._post("/runs", _payload().encode_body(body), repeatable=True)
        return Run(self, answer["run"], answer)

    def run(self, id: str) -> Run:
        """The run with this id; whether it exists is seen when it is used."""
        return Run(self, id)

    def runs(
        self,
        *,
        target: str | None = None,
        limit: int = 100,
        before: str | None = None,
        pinned: bool = False,
    ) -> list[dict[str, Any]]:
        """The environment's runs, newest first, at most `limit` and older than `before`.

        With `pinned` only those that are pinned.
        """
        query = {"target": target, "limit": limit, "before": before, "pinned": pinned or None}
        return self._list("/runs", environment=self.environment, **query)

    def view(self, run: str) -> RunView:
        """A run with its steps and attempts."""
        from coflux.client.views import run_view

        return run_view(self.inspect(run))

    def inspect(self, run: str) -> dict[str, Any]:
        """A run as the server's JSON describes it."""
        answer: dict[str, Any] = self._get(f"/runs/{segment(run)}", environment=self.viewpoint)
        return answer

    def changes(self, run: str, cursor: str, wait_s: float = 20.0) -> dict[str, Any]:
        """What changed in a run since the `cursor` of an earlier look, waiting for it so long."""
        query = {"environment": self.viewpoint, "since": cursor, "wait_ms": int(wait_s * 1000)}
        answer: dict[str, Any] = self._get(f"/runs/{segment(run)}", wait_s=wait_s, **query)
        return answer

    def rerun(
        self,
        id: str,
        environment: str | None = None,
        code: str = "current",
        reuse: bool = False,
    ) -> Execution:
        """Run a step again with its saved arguments.

        `id` is `RUN:STEP`; `environment` defaults to the step's own. `code` is `current` or
        `original`. With `reuse` its calls take the outcomes of equal calls of its last attempt.
        """
        body = {"environment": environment, "code": code, "reuse": reuse}
        answer = self._post(f"/rerun/{segment(id)}", body)
        return self._execution(answer, environment)

    def cancel(self, id: str, environment: str | None = None) -> list[str]:
        """Cancel a run, step or execution; gives the ids of the executions that it ended."""
        answer = self._post(f"/cancel/{segment(id)}", {"environment": environment})
        return list(answer["cancelled"])

    def pin(self, run: str) -> dict[str, Any] | None:
        """Keep a run for ever; gives who pinned it (`by`) and when (`at`, in ms)."""
        answer: dict[str, Any] = self._post(f"/runs/{segment(run)}/pin", {}, repeatable=True)
        return answer.get("pinned")

    def unpin(self, run: str) -> None:
        """Let a run be like any other again; nothing happens where it is not pinned."""
        self._post(f"/runs/{segment(run)}/unpin", {}, repeatable=True)

    def set_result(
        self, id: str, body: Mapping[str, Any], environment: str | None = None
    ) -> Execution:
        """Give a step an outcome by hand: `body` has `reason` and either `value` or `error`."""
        answer = self._post(f"/set-result/{segment(id)}", {**body, "environment": environment})
        return self._execution(answer, environment)

    def _execution(self, answer: Mapping[str, Any], environment: str | None) -> Execution:
        # Brings the whole SDK with it, which most users of a client have no need of.
        from coflux.client.execution import Execution

        return Execution(self, answer, environment)

    # --- outcomes -----------------------------------------------------------------------------

    def outcome(
        self,
        id: str,
        wait_s: float = 0.0,
        *,
        encoded: bool = False,
        environment: str | None = None,
    ) -> Outcome:
        """The resolved outcome of a run, step or execution as far as it is there in `wait_s`.

        `environment` is from where it is seen, if not from the client's.
        """
        wait_s = min(wait_s, _WAIT_MAX_S)
        query = {
            "environment": environment or self.viewpoint,
            "wait_ms": int(wait_s * 1000),
            "encoded": encoded or None,
        }
        return read_outcome(self._get(f"/results/{segment(id)}", wait_s=wait_s, **query))

    def wait_outcome(
        self,
        id: str,
        timeout: float | None = None,
        *,
        encoded: bool = False,
        environment: str | None = None,
    ) -> Outcome:
        """The final outcome; raises `TimeoutError` when it is not there in `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        patience = Patience()
        while True:
            left = _WAIT_MAX_S if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                outcome = self.outcome(id, left, encoded=encoded, environment=environment)
                patience.renew()
            except Unavailable:
                if not patience.spend(deadline):
                    raise
                continue
            if outcome.kind is not None:
                return outcome
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{id} is still {outcome.status} after {timeout} s")

    def wait(self, id: str, timeout: float | None = None, *, environment: str | None = None) -> Any:
        """The value of an outcome, or its exception; see `Run.result`."""
        outcome = self.wait_outcome(id, timeout, encoded=True, environment=environment)
        return outcome.value(self._decode)

    def _decode(self, value: Value) -> Any:
        return _payload().decode_value(self, value)

    def arguments(self, id: str, signature: Signature | None = None) -> BoundArguments:
        """The arguments that a step was called with, decoded.

        `signature` is the function's, where it is at hand; else the manifest's is taken, and for
        a task, which has none there, its parameters count as plain ones.
        """
        answer = self._get(f"/arguments/{segment(id)}", environment=self.viewpoint)
        bound: BoundArguments = _payload().bound_arguments(self, answer, signature)
        return bound

    def logs(
        self,
        id: str,
        *,
        after: str | None = None,
        level: str | None = None,
        limit: int = 1000,
        wait_s: float = 0.0,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of log entries and the cursor after it; waits up to `wait_s` for a first one."""
        wait_s = min(wait_s, _WAIT_MAX_S)
        query = {
            "id": id, "after": after, "level": level, "limit": limit, "environment": self.viewpoint,
        }  # fmt: skip
        answer = self._get("/logs", wait_s=wait_s, wait_ms=int(wait_s * 1000), **query)
        return answer["entries"], answer.get("cursor")

    def metrics(
        self,
        id: str,
        *,
        key: str | None = None,
        points: int = 500,
        after: str | None = None,
        wait_s: float = 0.0,
    ) -> tuple[list[dict[str, Any]], str]:
        """The metrics of a run, step or execution, and a cursor.

        Each has about `points` of its points (at most 10,000); with the cursor of an answer before
        as `after`, all those that came since, waiting up to `wait_s` for the first.
        """
        wait_s = min(wait_s, _WAIT_MAX_S)
        query = {
            "id": id, "key": key, "points": points, "after": after, "environment": self.viewpoint,
        }  # fmt: skip
        answer = self._get("/metrics", wait_s=wait_s, wait_ms=int(wait_s * 1000), **query)
        return answer["metrics"], answer["cursor"]

    # --- what else is in the project ----------------------------------------------------------

    def manifests(self) -> dict[str, Any]:
        """The registered repositories: `{repository: {"targets": […], "revision"}}`."""
        answer: dict[str, Any] = self._get("/manifests", environment=self.environment)
        return answer

    def register(self, manifests: Mapping[str, Any]) -> dict[str, Any]:
        """Register `{repository: [Definition, …]}` in the environment."""
        body = {"environment": self.environment, "manifests": manifests}
        answer: dict[str, Any] = self._post("/manifests", _payload().encode_body(body))
        return answer

    def archive_manifest(self, repository: str) -> None:
        """Hide a repository's targets until it is registered again."""
        body = {"environment": self.environment, "repository": repository}
        self._post("/manifests/archive", body)

    def agents(self) -> list[dict[str, Any]]:
        """The sessions of the environment's agents."""
        return self._list("/agents", environment=self.environment)

    def queue(self) -> list[dict[str, Any]]:
        """What is queued in the environment, each with its reason."""
        return self._list("/queue", environment=self.environment)

    def assets(
        self,
        run: str | None = None,
        *,
        name: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[dict[str, Any]]:
        """The assets of a run, or without one the environment's, newest first.

        Of the environment's at most `limit`, older than the asset `before`, and only those whose
        name or files' paths have the text `name`; of each the first files are given.
        """
        if run is not None:
            return self._list("/assets", run=run)
        query = {"name": name, "limit": limit, "before": before}
        return self._list("/assets", environment=self.environment, **query)

    def asset(self, id: str) -> dict[str, Any]:
        """An asset with its files."""
        answer: dict[str, Any] = self._get(f"/assets/{segment(id)}")
        return answer

    def asset_manifest(self, id: str) -> AssetManifest:
        """The files of an asset, and where they were."""
        manifest: AssetManifest = _payload().asset_manifest(self.asset(id))
        return manifest

    def explain_cache(self, id: str) -> Any:
        """Why a step or execution took an earlier outcome, or did not."""
        answer = self._get(f"/cache/{segment(id)}", environment=self.viewpoint)
        return answer["cache"]

    def forget_cache(self, *, target: str | None = None, execution: str | None = None) -> list[str]:
        """Make the cache entries of a target or of one execution unusable; gives what it forgot."""
        body = {"environment": self.environment, "target": target, "execution": execution}
        return list(self._post("/cache/forget", body).get("forgotten", ()))

    @property
    def blobs(self) -> Any:
        """The project's blobs."""
        with self._lock:
            if self._blobs is None:
                self._blobs = _payload().open_blobs(self)
            return self._blobs

    # --- administration -----------------------------------------------------------------------

    def version(self) -> dict[str, Any]:
        """The server's version and protocol; needs no token."""
        answer: dict[str, Any] = self.transport.request("GET", "/api/v1/version").body
        return answer

    def projects(self) -> list[dict[str, Any]]:
        """The projects that may be seen."""
        answer: list[dict[str, Any]] = self.transport.request("GET", "/api/v1/projects").body
        return answer

    def create_project(self, name: str) -> dict[str, Any]:
        """Create a project."""
        body = {"name": name}
        answer: dict[str, Any] = self.transport.request("POST", "/api/v1/projects", body=body).body
        return answer

    def tokens(self) -> list[dict[str, Any]]:
        """The tokens in force, without their values."""
        return self._list("/tokens")

    def create_token(
        self,
        name: str,
        right: str,
        environment: str = "*",
        expires_ms: int | None = None,
        tags: Mapping[str, tuple[str, ...]] | None = None,
    ) -> dict[str, Any]:
        """Create a token; the answer is the only place that shows its value.

        With `tags` it may answer inputs that require them.
        """
        body: dict[str, Any] = {
            "name": name,
            "right": right,
            "environment": environment,
            "expires_ms": expires_ms,
        }
        if tags:
            body["tags"] = dict(tags)
        answer: dict[str, Any] = self._post("/tokens", body)
        return answer

    def revoke_token(self, id: str) -> None:
        """Revoke a token at once."""
        self.request("DELETE", f"/tokens/{segment(id)}")

    def backup(self, path: Path) -> Iterator[int]:
        """Write a consistent copy of the project to `path`; yields the bytes written so far."""
        from coflux.client.backup import download

        return download(self, path)

    def storage(self) -> dict[str, int]:
        """What the project takes on the server's disk, in bytes: `rows`, `logs`, `blobs`."""
        answer: dict[str, int] = self._get("/storage")
        return answer

    def collect(self, *, dry_run: bool = False) -> Iterator[dict[str, Any]]:
        """Have the project's runs, logs and blobs that are past their time removed.

        Yields what has been removed so far, at last with `done`. With `dry_run` nothing is removed,
        and what is said is what would be.
        """
        number, done = 0, False
        while not done:
            query = {"dry_run": dry_run, "collection": number, "wait_ms": _COLLECTING_MS}
            found: dict[str, Any] = self.request(
                "POST", "/gc", query=query, body={}, wait_s=_COLLECTING_MS / 1000
            )
            number, done = found["collection"], found["done"]
            yield found

    # --- requests -----------------------------------------------------------------------------

    @property
    def prefix(self) -> str:
        """Path of the project's part of the API."""
        return f"/api/v1/projects/{segment(self.project)}"

    def request(self, method: str, path: str, **more: Any) -> Any:
        """The body of an answer to a request below the project's path (see `Transport.request`)."""
        return self.transport.request(method, self.prefix + path, **more).body

    def _get(self, path: str, *, wait_s: float = 0.0, **query: Any) -> Any:
        return self.request("GET", path, query=query, wait_s=wait_s)

    def _list(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._get(path, **query)
        return answer

    def _post(self, path: str, body: Any, *, repeatable: bool = False) -> Any:
        return self.request("POST", path, body=body, repeatable=repeatable)


def _payload() -> Any:
    """What encodes and decodes; most requests do without, and it takes a while to import."""
    from coflux.client import payload

    return payload


# --- the current client -----------------------------------------------------------------------

_current: Client | None = None


def connect(
    host: str | None = None,
    *,
    project: str | None = None,
    environment: str | None = None,
    token: str | None = None,
) -> Client:
    """Connect this process: from now on `target.submit()` outside an execution starts a run.

    What is not given comes from `COFLUX_*`, the nearest `coflux.toml`, a server of this user that
    runs on this machine, or the defaults, in this order.

    Raises `Unavailable` where no server answers, `Forbidden` for a token that does not cover the
    project, `NotFound` for a project or environment that does not exist.
    """
    client = Client(
        config.resolve(host=host, project=project, environment=environment, token=token)
    )
    # One question proves address, token, project and environment, while the mistake is in sight.
    client.runs(limit=1)
    use(client)
    return client


def use(client: Client | None) -> None:
    """Make it the client that `target.submit()` outside an execution goes to."""
    global _current
    _current = client


def disconnect() -> None:
    """End what `connect` began; `target.submit()` runs the plain function again."""
    global _current
    client, _current = _current, None
    if client is not None:
        client.close()


def current() -> Client | None:
    """The client of the last `connect`, if any."""
    return _current
