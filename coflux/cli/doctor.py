"""`coflux doctor`: is everything as it should be, and what to do where it is not.

Belongs here: the checks, each with its way out. Does not belong here: repairing anything.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from coflux.cli.options import Invocation, common
from coflux.cli.output import emit, size
from coflux.errors import CofluxError, Forbidden

_LOW_DISK = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """What a check found. `advice` says what to do, where something is to be done."""

    check: str
    is_fine: bool
    found: str
    advice: str = ""


@click.command()
@common
def doctor(call: Invocation) -> int:
    """Check the configuration and the server, step by step, and say what to do.

    Exits with 3 when something is wrong.
    """
    findings = []
    for finding in _examine(call):
        findings.append(finding)
        if not call.as_json:
            _show(finding)
    if call.as_json:
        emit([asdict(finding) for finding in findings])
    return 0 if all(finding.is_fine for finding in findings) else 3


def _show(finding: Finding) -> None:
    mark = click.style("✓", fg="green") if finding.is_fine else click.style("✗", fg="red")
    click.echo(f"{mark} {finding.check}: {finding.found}")
    if finding.advice:
        click.echo(f"    {finding.advice}")


def _examine(call: Invocation) -> Iterator[Finding]:
    """All findings, up to the first that makes the others pointless."""
    yield _python()
    try:
        yield _configuration(call)
    except CofluxError as error:
        yield Finding("configuration", False, str(error))
        return
    yield _disk(call)
    checks: tuple[tuple[str, Callable[[Invocation], Finding]], ...] = (
        ("server", _server),
        ("access", _access),
        ("environment", _environment),
        ("manifests", _manifests),
        ("agents", _agents),
        ("queue", _queue),
        ("store", _store),
    )
    for name, check in checks:
        try:
            finding = check(call)
        except Forbidden as error:
            yield Finding(name, False, str(error), _token_advice(call))
            return
        except CofluxError as error:
            yield Finding(name, False, str(error))
            return
        yield finding


def _python() -> Finding:
    from importlib.metadata import version

    found = f"coflux {version('coflux-jupyter')} on Python {sys.version.split()[0]}, {sys.platform}"
    if sys.platform != "linux":
        return Finding("software", True, found, "Executors are spawned here, which is slower.")
    return Finding("software", True, found)


def _configuration(call: Invocation) -> Finding:
    settings = call.config
    shown = {
        "host": settings.host,
        "token": "set" if settings.token else "none",
        "project": settings.project,
        "environment": settings.environment,
    }
    parts = (f"{k} {v} ({settings.sources.get(k, 'default')})" for k, v in shown.items())
    return Finding("configuration", True, ", ".join(parts))


def _disk(call: Invocation) -> Finding:
    folder = call.config.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < _LOW_DISK:
        return Finding("disk", False, f"{size(free)} free at {folder}", "Make room there.")
    return Finding("disk", True, f"{size(free)} free at {folder}")


def _server(call: Invocation) -> Finding:
    from coflux.wire import PROTOCOL

    found = call.client.version()
    text = f"{call.config.host} runs coflux {found['version']}, protocol {found['protocol']}"
    if int(found["protocol"]) != PROTOCOL:
        advice = f"This is protocol {PROTOCOL}; install the same version on both sides."
        return Finding("server", False, text, advice)
    return Finding("server", True, text)


def _access(call: Invocation) -> Finding:
    names = [project["name"] for project in call.client.projects()]
    project = call.config.project
    if project not in names:
        found = f"project {project} is not among {', '.join(names) or 'none'}"
        return Finding("access", False, found, f"`coflux projects create {project}` creates it.")
    return Finding("access", True, f"project {project}")


def _environment(call: Invocation) -> Finding:
    info = call.client.environments.get(call.config.environment)
    name, state = info["name"], info["state"]
    if state == "paused":
        advice = f"`coflux env resume {name}` lets work start again."
        return Finding("environment", False, f"{name} is paused", advice)
    return Finding("environment", state == "active", f"{name} is {state}")


def _manifests(call: Invocation) -> Finding:
    found = call.client.manifests()
    advice = "" if found else "`coflux register REPOSITORY` makes workflows known by name."
    return Finding("manifests", True, ", ".join(sorted(found)) or "nothing registered", advice)


def _agents(call: Invocation) -> Finding:
    connected = [agent for agent in call.client.agents() if agent["connected"]]
    environment = call.config.environment
    advice = "" if connected else f"`coflux agent -e {environment} REPOSITORY` starts one."
    return Finding("agents", True, f"{len(connected)} connected to {environment}", advice)


def _queue(call: Invocation) -> Finding:
    queued = call.client.queue()
    reasons: dict[str, int] = {}
    for entry in queued:
        code = str(entry["reason"]["code"])
        reasons[code] = reasons.get(code, 0) + 1
    counts = ", ".join(f"{count} {code}" for code, count in sorted(reasons.items()))
    advice = "`coflux queue` says what each waits for." if queued else ""
    return Finding(
        "queue", True, f"{len(queued)} queued" + (f": {counts}" if counts else ""), advice
    )


def _store(call: Invocation) -> Finding:
    found = call.client.storage()
    rows, logs, blobs = (size(found[name]) for name in ("rows", "logs", "blobs"))
    text = f"{rows} of runs, {logs} of logs and metrics, {found['blob_count']:,} blobs ({blobs})"
    return Finding("store", True, text)


def _token_advice(call: Invocation) -> str:
    source: Any = call.config.sources.get("token")
    if source is None:
        return "Give a token: --token, COFLUX_TOKEN, or `coflux configure --token`."
    return f"The token comes from {source}; ask for another (`coflux tokens create`)."
