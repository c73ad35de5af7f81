"""Registering what may be submitted (CO-1)."""

from __future__ import annotations

from coflux.model import Definition
from coflux.server.core import bounds, schedules
from coflux.server.core.changes import ManifestSet
from coflux.server.core.effects import Confirm
from coflux.server.core.events import ManifestsRegistered
from coflux.server.core.submission import find_environment
from coflux.server.core.turn import Limits, Turn


def registered(turn: Turn, event: ManifestsRegistered) -> None:
    """Replace the repositories named and no others, all or none."""
    environment = find_environment(turn, event.to, event.environment)
    if environment is None:
        return
    for repository, definitions in event.manifests.items():
        problem = _problem(turn.limits, repository, definitions)
        if problem:
            turn.refuse(event.to, "invalid", problem, f"manifests.{repository}")
            return
    problem = schedules.problem_of(turn, environment, event.manifests)
    if problem:
        turn.refuse(event.to, "conflict", problem, "manifests")
        return
    changed = []
    for repository, definitions in event.manifests.items():
        submittable = tuple(d for d in definitions if d.type != "task")
        current = environment.manifests.get(repository)
        if tuple((current or {}).values()) != submittable:
            wanted = submittable or None
            turn.record(ManifestSet(environment.id, repository, wanted, event.to.by, turn.now))
            changed.append(repository)
        schedules.register(turn, environment, repository, submittable, event.to.by)
    turn.send(Confirm(event.to, {"changed": changed}))


def _problem(limits: Limits, repository: str, definitions: tuple[Definition, ...]) -> str:
    if not bounds.is_repository(limits, repository):
        return f"{repository!r} is not a repository name (a dotted Python identifier)"
    names = [definition.name for definition in definitions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"{repository}/{twice} is given twice"
    problems = (bounds.problem_of_target(limits, repository, each) for each in definitions)
    return next(filter(None, problems), "")
