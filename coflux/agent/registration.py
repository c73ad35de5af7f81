"""Registering what an agent hosts (CO-1). Loading it does not belong here."""

from __future__ import annotations

from coflux.agent.config import AgentConfig
from coflux.agent.control import Loaded
from coflux.agent.loader import repository_name
from coflux.model import Definition


def register(config: AgentConfig, loaded: Loaded) -> list[str]:
    """Register the workflows and sensors of the repositories asked for; returns their names.

    Those that failed to import, or that others only re-export, are left as they are.

    Raises `Refused` where the server refuses.
    """
    manifests = manifests_of(config, loaded)
    if not manifests:
        return []
    post_manifests(config, manifests)
    return sorted(manifests)


def post_manifests(config: AgentConfig, manifests: dict[str, list[Definition]]) -> None:
    """Register definitions by repository. Raises `Refused` where the server refuses."""
    from coflux.client import payload
    from coflux.client.transport import Transport, segment

    body = payload.encode_body({"environment": config.environment, "manifests": manifests})
    transport = Transport(config.host, config.token)
    try:
        transport.request(
            "POST", f"/api/v1/projects/{segment(config.project)}/manifests", body=body
        )
    finally:
        transport.close()


def manifests_of(config: AgentConfig, loaded: Loaded) -> dict[str, list[Definition]]:
    """Definitions by repository, as a registration wants them.

    Modules of a package that have none are left out, unless they are named themselves.
    """
    explicit = {repository_name(name) for name in config.repositories}
    manifests: dict[str, list[Definition]] = {}
    for repository in loaded.repositories:
        if repository.failure is not None or repository.name not in loaded.named:
            continue
        targets = [target for target in repository.targets if target.type != "task"]
        if targets or repository.name in explicit:
            manifests[repository.name] = targets
    return manifests
