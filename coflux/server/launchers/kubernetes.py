"""Agents as Jobs of a Kubernetes cluster.

A Job is named after the hash of its launch (names are lower case there) and labelled with launch
and owner. Variables with secret values go into a Secret that the Job owns, so that it goes with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
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

_LAUNCH, _OWNER = "coflux/launch", "coflux/owner"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: A Job that nobody asks about any more is removed by the cluster after so long, in seconds.
_TTL_S = 3600
#: Reasons for which a container waits that do not pass by themselves.
_HOPELESS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")


class KubernetesLauncher:
    """Starts Jobs, one pod each."""

    settings: Mapping[str, str] = {
        "image": "the image, with Coflux and the repositories in it",
        "command": "what runs Coflux in the image (default: python -m coflux)",
        "cpu": "CPUs that are requested and allowed, such as 500m",
        "memory": "memory that is requested and allowed, such as 1Gi",
        "service_account": "the service account of its pods",
        "node_selector": "labels of nodes, as key=value, separated by commas",
        "server": "address of the server as pods see it",
    }
    required: tuple[str, ...] = ("image", "server")

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._core = f"/api/v1/namespaces/{namespace}"

    def start(self, order: Order) -> None:
        """Make a Job, and the Secret that it needs."""
        try:
            job = self._api.call("POST", self._jobs, _job(order))
            if order.secrets:
                self._api.call("POST", f"{self._core}/secrets", _secret(order, job["metadata"]))
        except OSError as error:
            self._forget(order.launch)
            raise LaunchFailed(f"the job could not be made: {error}") from error

    def stop(self, launch: str, *, now: bool) -> None:
        """Delete the Job with its pod, which is given time to drain, or none."""
        query = {"propagationPolicy": "Background"}
        pod = self._pod(launch)
        if now and pod is not None:
            name = pod["metadata"]["name"]
            self._delete(f"{self._core}/pods/{name}", {"gracePeriodSeconds": "0"})
        self._delete(f"{self._jobs}/{_name(launch)}", query)

    def look(self, launches: Iterable[str]) -> dict[str, Look]:
        """How the Jobs are; ended ones are deleted."""
        found = {}
        for launch in launches:
            try:
                job = self._api.call("GET", f"{self._jobs}/{_name(launch)}")
            except Refused as refused:
                if refused.status != 404:
                    raise
                continue
            found[launch] = self._look(launch, job.get("status") or {})
        return found

    def _look(self, launch: str, status: Mapping[str, Any]) -> Look:
        pod = self._pod(launch)
        if status.get("succeeded"):
            error = None
        elif status.get("failed"):
            error = _why(pod)
        else:
            waiting = _waiting(pod)
            if waiting is None:
                return Look(True)
            error = waiting
        lines = self._said(pod)
        self._forget(launch)
        return Look(False, error, lines)

    def _pod(self, launch: str) -> Any:
        query = {"labelSelector": f"{_LAUNCH}={launch}"}
        pods = self._api.call("GET", f"{self._core}/pods", query=query)["items"]
        return pods[0] if pods else None

    def _said(self, pod: Any) -> tuple[str, ...]:
        if pod is None:
            return ()
        path = f"{self._core}/pods/{pod['metadata']['name']}/log"
        try:
            data = self._api.call("GET", path, query={"tailLines": str(LAST_LINES)})
        except OSError:
            return ()
        return last_lines(data.decode("utf-8", "replace") if isinstance(data, bytes) else "")

    def _forget(self, launch: str) -> None:
        try:
            query = {"propagationPolicy": "Background"}
            self._delete(f"{self._jobs}/{_name(launch)}", query)
        except OSError:
            # It is found again at the next start; and the cluster removes it in the end.
            return

    def _delete(self, path: str, query: Mapping[str, str]) -> None:
        try:
            self._api.call("DELETE", path, query=query)
        except Refused as refused:
            if refused.status != 404:
                raise

    def found(self, owner: str) -> list[str]:
        """Jobs with this owner's label, running or not."""
        jobs = self._api.call("GET", self._jobs, query={"labelSelector": f"{_OWNER}={owner}"})
        return [str(job["metadata"]["labels"][_LAUNCH]) for job in jobs["items"]]


def from_surroundings(variables: Mapping[str, str]) -> KubernetesLauncher | None:
    """The cluster that the variables name, or the one that this process is in; None for none."""
    address = variables.get("COFLUX_KUBERNETES_URL")
    token_file = variables.get("COFLUX_KUBERNETES_TOKEN_FILE")
    ca_file = variables.get("COFLUX_KUBERNETES_CA_FILE")
    namespace = variables.get("COFLUX_KUBERNETES_NAMESPACE")
    if address is None and variables.get("KUBERNETES_SERVICE_HOST"):
        host, port = variables["KUBERNETES_SERVICE_HOST"], variables["KUBERNETES_SERVICE_PORT"]
        address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        token_file = token_file or str(_ACCOUNT / "token")
        ca_file = ca_file or str(_ACCOUNT / "ca.crt")
        namespace = namespace or _read(str(_ACCOUNT / "namespace"))
    if address is None:
        return None
    headers = {"Authorization": f"Bearer {_read(token_file)}"} if token_file else {}
    return KubernetesLauncher(Api(address, headers, ca_file), namespace or "default")


def _read(path: str) -> str:
    return Path(os.path.expanduser(path)).read_text("utf-8").strip()


def _name(launch: str) -> str:
    return f"coflux-{hashlib.sha256(launch.encode()).hexdigest()[:16]}"


def _labels(order: Order) -> dict[str, str]:
    return {_LAUNCH: order.launch, _OWNER: order.owner}


def _job(order: Order) -> dict[str, Any]:
    settings = order.settings
    container: dict[str, Any] = {
        "name": "agent",
        "image": settings["image"],
        "command": settings.get("command", "python -m coflux").split(),
        "args": agent_arguments(order),
        "env": [{"name": name, "value": value} for name, value in order.variables.items()],
    }
    if order.secrets:
        container["envFrom"] = [{"secretRef": {"name": _name(order.launch)}}]
    limits = {name: settings[name] for name in ("cpu", "memory") if settings.get(name)}
    if limits:
        container["resources"] = {"requests": limits, "limits": limits}
    # As long as an agent may drain, and a little.
    pod: dict[str, Any] = {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 150, "containers": [container],
    }  # fmt: skip
    if settings.get("service_account"):
        pod["serviceAccountName"] = settings["service_account"]
    if settings.get("node_selector"):
        pairs = (pair.partition("=") for pair in settings["node_selector"].split(","))
        pod["nodeSelector"] = {key.strip(): value.strip() for key, _, value in pairs}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _name(order.launch), "labels": _labels(order)},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _TTL_S,
            "template": {"metadata": {"labels": _labels(order)}, "spec": pod},
        },
    }


def _secret(order: Order, job: Mapping[str, Any]) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["name"], "uid": job["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _name(order.launch), "labels": _labels(order), "ownerReferences": [owner],
        },
        "stringData": dict(order.secrets),
    }  # fmt: skip


def _waiting(pod: Any) -> str | None:
    """Why a pod will never run, if that is so."""
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', '')}".removesuffix(": ")
    return None


def _why(pod: Any) -> str:
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ended = (status.get("state") or {}).get("terminated")
        if ended:
            reason = f", {ended['reason']}" if ended.get("reason") not in (None, "Error") else ""
            return f"its pod ended with code {ended.get('exitCode')}{reason}"
    return "its job failed"
