"""Docker and Kubernetes: what they are told and what is made of their answers, from recordings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from platform_player import Player

from coflux.errors import InvalidRequest
from coflux.server.launchers.available import launchers
from coflux.server.launchers.docker import DockerLauncher
from coflux.server.launchers.kubernetes import KubernetesLauncher
from coflux.server.launchers.launcher import LaunchFailed, Look, Order, check_settings

LAUNCH = "Lbcdfgh"
OWNER = "0123456789abcdef"

Docker = Callable[[str], DockerLauncher]
Kubernetes = Callable[[str], KubernetesLauncher]


def order(**settings: str) -> Order:
    return Order(
        LAUNCH, "default", OWNER, ("shop", "billing.*"), 3, {"gpu": ("a100", "t4")},
        {"team": ("ml",)}, settings, {"COLOUR": "green", "COFLUX_HOST": "http://host:7777"},
        {"COFLUX_TOKEN": "cfs_x"},
    )  # fmt: skip


@pytest.fixture
def docker() -> Iterator[Docker]:
    players = []
    with tempfile.TemporaryDirectory(prefix="cfx-") as folder:

        def play(recording: str) -> DockerLauncher:
            players.append(Player(recording, Path(folder) / "engine.sock"))
            return DockerLauncher(players[-1].address)

        yield play
        for player in players:
            player.close()


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[Kubernetes]:
    players = []
    (tmp_path / "token").write_text("abc\n")

    def play(recording: str) -> KubernetesLauncher:
        players.append(Player(recording))
        found = launchers(
            {
                "COFLUX_LAUNCHERS": "kubernetes",
                "COFLUX_KUBERNETES_URL": players[-1].address,
                "COFLUX_KUBERNETES_TOKEN_FILE": str(tmp_path / "token"),
                "COFLUX_KUBERNETES_NAMESPACE": "flows",
            },
            tmp_path,
        )["kubernetes"]
        assert isinstance(found, KubernetesLauncher)
        return found

    yield play
    for player in players:
        player.close()
        for body in player.bodies:
            check_kind(body)


def check_kind(body: dict[str, Any]) -> None:
    """What a cluster is sent is what Kubernetes' own schemas allow, where they are installed."""
    try:
        import kubernetes_validate as schemas
    except ImportError:
        return
    if body["kind"] != "DeleteOptions":
        schemas.validate(body, schemas.latest_version(), strict=True)


# --- docker -------------------------------------------------------------------------------------


def test_a_container_is_started_looked_at_stopped_and_removed(docker: Docker) -> None:
    launcher = docker("docker_runs_and_ends")
    launcher.start(
        order(
            image="shop:2", network="host", memory="2g", cpus="1.5", volumes="/data:/data:ro",
            server="http://host:7777",
        )
    )  # fmt: skip
    assert launcher.look([LAUNCH]) == {LAUNCH: Look(True)}
    launcher.stop(LAUNCH, now=False)
    ended = launcher.look([LAUNCH])[LAUNCH]
    assert ended == Look(False, None, ("ready: session S1", "draining"))
    assert launcher.look([LAUNCH]) == {}
    launcher.stop(LAUNCH, now=True)


def test_an_image_that_is_not_there_is_pulled(docker: Docker) -> None:
    docker("docker_pulls").start(order(image="registry.example/shop:2"))


def test_an_image_that_cannot_be_pulled_is_told(docker: Docker) -> None:
    with pytest.raises(LaunchFailed, match="cannot be pulled: pull access denied for shop"):
        docker("docker_cannot_pull").start(order(image="shop:2"))


def test_a_container_that_died_says_how_with_its_last_lines(docker: Docker) -> None:
    look = docker("docker_dies").look([LAUNCH])[LAUNCH]
    assert look == Look(False, "its container ended with code 137, out of memory", ("MemoryError",))


def test_containers_of_a_project_are_found_again(docker: Docker) -> None:
    assert docker("docker_finds").found(OWNER) == [LAUNCH, "Lzzzzzz"]


def test_an_engine_that_is_not_there_fails_the_launch(tmp_path: Path) -> None:
    launcher = DockerLauncher(f"unix://{tmp_path}/none.sock")
    with pytest.raises(LaunchFailed, match="the container could not be started"):
        launcher.start(order(image="shop:2"))
    with pytest.raises(OSError, match="No such file"):
        launcher.look([LAUNCH])


def test_memory_that_is_none_is_told(docker: Docker, tmp_path: Path) -> None:
    launcher = DockerLauncher(f"unix://{tmp_path}/none.sock")
    with pytest.raises(LaunchFailed, match="write 512m or 2g"):
        launcher.start(order(image="shop:2", memory="much"))


# --- kubernetes ---------------------------------------------------------------------------------


def test_a_job_with_its_secret_is_made_looked_at_and_removed(kubernetes: Kubernetes) -> None:
    launcher = kubernetes("kubernetes_runs_and_ends")
    launcher.start(
        order(
            image="shop:2", cpu="500m", memory="1Gi", service_account="flows",
            node_selector="gpu=yes, zone=a", server="http://host:7777",
        )
    )  # fmt: skip
    assert launcher.look([LAUNCH]) == {LAUNCH: Look(True)}
    assert launcher.look([LAUNCH]) == {LAUNCH: Look(True)}
    assert launcher.look([LAUNCH]) == {LAUNCH: Look(False, None, ("drained",))}
    assert launcher.look([LAUNCH]) == {}


def test_a_pod_that_will_never_run_is_a_failure(kubernetes: Kubernetes) -> None:
    look = kubernetes("kubernetes_cannot_pull").look([LAUNCH])[LAUNCH]
    assert look == Look(False, 'ImagePullBackOff: Back-off pulling image "shop:2"')


def test_a_pod_that_died_says_how_with_its_last_lines(kubernetes: Kubernetes) -> None:
    look = kubernetes("kubernetes_dies").look([LAUNCH])[LAUNCH]
    assert look.error == "its pod ended with code 137, OOMKilled"
    assert look.lines == ("loading", "MemoryError")


def test_a_job_is_stopped_in_good_order_or_at_once(kubernetes: Kubernetes) -> None:
    launcher = kubernetes("kubernetes_is_stopped")
    launcher.stop(LAUNCH, now=False)
    launcher.stop(LAUNCH, now=True)


def test_a_cluster_that_refuses_is_quoted(kubernetes: Kubernetes) -> None:
    with pytest.raises(LaunchFailed, match=r"jobs\.batch is forbidden"):
        kubernetes("kubernetes_refuses").start(order(image="shop:2"))


def test_jobs_of_a_project_are_found_again(kubernetes: Kubernetes) -> None:
    assert kubernetes("kubernetes_finds").found(OWNER) == [LAUNCH]


# --- which there are ----------------------------------------------------------------------------


def test_the_operator_says_which_launchers_there_are_PO_1(tmp_path: Path) -> None:
    assert list(launchers({}, tmp_path)) == ["process"]
    assert list(launchers({"COFLUX_LAUNCHERS": "docker, process"}, tmp_path)) == [
        "docker", "process",
    ]  # fmt: skip
    assert launchers({"COFLUX_LAUNCHERS": "none"}, tmp_path) == {}
    with pytest.raises(InvalidRequest, match="names 'dokcer'"):
        launchers({"COFLUX_LAUNCHERS": "dokcer"}, tmp_path)
    with pytest.raises(InvalidRequest, match="there is no cluster"):
        launchers({"COFLUX_LAUNCHERS": "kubernetes"}, tmp_path)


def test_settings_are_checked_by_their_launcher(tmp_path: Path) -> None:
    launcher = launchers({"COFLUX_LAUNCHERS": "docker"}, tmp_path)["docker"]
    assert check_settings(launcher, {"image": "x", "server": "http://x"}) is None
    assert "needs the setting 'server'" in str(check_settings(launcher, {"image": "x"}))
    problem = check_settings(launcher, {"imagee": "x"})
    assert "no setting 'imagee'" in str(problem)
