"""Which launchers a server has: what its operator allows (PO-1). Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coflux.errors import InvalidRequest
from coflux.server.launchers.docker import DockerLauncher
from coflux.server.launchers.kubernetes import from_surroundings
from coflux.server.launchers.launcher import Launcher
from coflux.server.launchers.process import ProcessLauncher

KINDS = ("process", "docker", "kubernetes")
#: Names the launchers that pools may use, separated by commas.
ALLOWED = "COFLUX_LAUNCHERS"
_SOCKET = "unix:///var/run/docker.sock"


def launchers(variables: Mapping[str, str], folder: Path) -> dict[str, Launcher]:
    """The launchers that are allowed, by name; `folder` takes the output of processes.

    Raises `InvalidRequest` for a name that is none, and for a cluster that cannot be found.
    """
    found: dict[str, Launcher] = {}
    for name in filter(None, (n.strip() for n in variables.get(ALLOWED, "process").split(","))):
        if name == "process":
            found[name] = ProcessLauncher(folder)
        elif name == "docker":
            address = variables.get("COFLUX_DOCKER_HOST") or variables.get("DOCKER_HOST")
            found[name] = DockerLauncher(address if address else _SOCKET)
        elif name == "kubernetes":
            cluster = from_surroundings(variables)
            if cluster is None:
                raise InvalidRequest(
                    f"{ALLOWED} names kubernetes, but there is no cluster: set"
                    " COFLUX_KUBERNETES_URL, or run the server in one."
                )
            found[name] = cluster
        elif name != "none":
            raise InvalidRequest(
                f"{ALLOWED} names {name!r}; there are {', '.join(KINDS)}, and none."
            )
    return found
