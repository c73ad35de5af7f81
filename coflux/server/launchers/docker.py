"""Agents as containers, through the Engine API (Docker, Podman) on its Unix socket.

A container is named after its launch and carries the owner as a label, so that a restarted server
finds it. It is removed when its end has been told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from coflux.server.launchers.http import Api, Refused
from coflux.server.launchers.launcher import (
    LAST_LINES,
    LaunchFailed,
    Look,
    Order,
    agent_arguments,
    last_lines,
)

#: Of the Engine API; understood by engines since 2021.
_VERSION = "/v1.41"
_LAUNCH, _OWNER = "coflux.launch", "coflux.owner"
#: Pulling an image may take a while.
_PULL_S = 1800.0
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


class DockerLauncher:
    """Starts containers with an image that has Coflux and the repositories."""

    settings: Mapping[str, str] = {
        "image": "the image, with Coflux and the repositories in it",
        "command": "what runs Coflux in the image (default: python -m coflux)",
        "network": "the network to join, such as host (default: the engine's)",
        "memory": "most memory, such as 2g",
        "cpus": "most CPUs, such as 1.5",
        "volumes": "what is mounted, as host:container[:ro], separated by commas",
        "server": "address of the server as containers see it",
    }
    required: tuple[str, ...] = ("image", "server")

    def __init__(self, address: str = "unix:///var/run/docker.sock") -> None:
        self._api = Api(address.replace("tcp://", "http://"))

    def start(self, order: Order) -> None:
        """Create and start a container, pulling its image if need be."""
        path, query = f"{_VERSION}/containers/create", {"name": _name(order.launch)}
        try:
            body = _container(order)
            try:
                self._api.call("POST", path, body, query=query)
            except Refused as refused:
                if refused.status != 404:
                    raise
                self._pull(order.settings["image"])
                self._api.call("POST", path, body, query=query)
            self._api.call("POST", f"{_VERSION}/containers/{_name(order.launch)}/start")
        except (OSError, ValueError) as error:
            self._forget(order.launch)
            raise LaunchFailed(f"the container could not be started: {error}") from error

    def _pull(self, image: str) -> None:
        name, tag = _parts(image)
        path, query = f"{_VERSION}/images/create", {"fromImage": name, "tag": tag}
        try:
            progress = self._api.call("POST", path, query=query, timeout_s=_PULL_S)
        except Refused as refused:
            raise OSError(f"image {image} cannot be pulled: {refused}") from refused
        # The answer is 200 also where the pull fails half-way; its lines tell.
        text = progress.decode("utf-8", "replace") if isinstance(progress, bytes) else str(progress)
        found = re.search(r'"error"\s*:\s*"([^"]*)"', text)
        if found:
            raise OSError(f"image {image} cannot be pulled: {found[1]}")

    def stop(self, launch: str, *, now: bool) -> None:
        """Signal the container; one that is gone stays so."""
        signal = "SIGKILL" if now else "SIGTERM"
        path = f"{_VERSION}/containers/{_name(launch)}/kill"
        try:
            self._api.call("POST", path, query={"signal": signal})
        except Refused as refused:
            # Not running, or not there.
            if refused.status not in (404, 409):
                raise

    def look(self, launches: Iterable[str]) -> dict[str, Look]:
        """How the containers are; ended ones are removed."""
        found = {}
        for launch in launches:
            try:
                state = self._api.call("GET", f"{_VERSION}/containers/{_name(launch)}/json")
            except Refused as refused:
                if refused.status != 404:
                    raise
                continue
            found[launch] = self._look(launch, state["State"])
        return found

    def _look(self, launch: str, state: Mapping[str, Any]) -> Look:
        if state.get("Running") or state.get("Status") in ("created", "restarting", "paused"):
            return Look(True)
        code = int(state.get("ExitCode", 0))
        error: str | None = state.get("Error") or None
        if error is None and code != 0:
            memory = ", out of memory" if state.get("OOMKilled") else ""
            error = f"its container ended with code {code}{memory}"
        lines = self._said(launch)
        self._forget(launch)
        return Look(False, error, lines)

    def _said(self, launch: str) -> tuple[str, ...]:
        path = f"{_VERSION}/containers/{_name(launch)}/logs"
        query = {"stdout": "1", "stderr": "1", "tail": str(LAST_LINES)}
        try:
            data = self._api.call("GET", path, query=query)
        except OSError:
            return ()
        return last_lines(_without_headers(data if isinstance(data, bytes) else b""))

    def _forget(self, launch: str) -> None:
        path = f"{_VERSION}/containers/{_name(launch)}"
        try:
            self._api.call("DELETE", path, query={"force": "1", "v": "1"})
        except OSError:
            # It is found again at the next start, and removed then.
            return

    def found(self, owner: str) -> list[str]:
        """Containers with this owner's label, running or not."""
        filters = f'{{"label": ["{_OWNER}={owner}"]}}'
        query = {"all": "1", "filters": filters}
        containers = self._api.call("GET", f"{_VERSION}/containers/json", query=query)
        return [str(container["Labels"][_LAUNCH]) for container in containers]


def _container(order: Order) -> dict[str, Any]:
    settings = order.settings
    command = settings.get("command", "python -m coflux").split()
    host: dict[str, Any] = {"Init": True}
    if settings.get("network"):
        host["NetworkMode"] = settings["network"]
    if settings.get("memory"):
        host["Memory"] = _bytes(settings["memory"])
    if settings.get("cpus"):
        host["NanoCpus"] = round(float(settings["cpus"]) * 1e9)
    if settings.get("volumes"):
        host["Binds"] = [each.strip() for each in settings["volumes"].split(",")]
    variables = {**order.variables, **order.secrets}
    return {
        "Image": settings["image"],
        "Entrypoint": command,
        "Cmd": agent_arguments(order),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {_LAUNCH: order.launch, _OWNER: order.owner},
        "HostConfig": host,
    }


def _name(launch: str) -> str:
    return f"coflux-{launch}"


def _parts(image: str) -> tuple[str, str]:
    """Name and tag; a digest counts as part of the name."""
    if "@" in image:
        return image, ""
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError(f"memory is {text!r}; write 512m or 2g")
    return round(float(match[1]) * _UNITS[match[2]])


def _without_headers(data: bytes) -> str:
    """Text of a multiplexed stream: frames of stream, three zeros, length in four bytes."""
    parts, position = [], 0
    while position + 8 <= len(data) and data[position] in (0, 1, 2):
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        parts.append(data[position + 8 : position + 8 + length])
        position += 8 + length
    # With a terminal the stream has no frames.
    return (b"".join(parts) if parts else data).decode("utf-8", "replace")
