"""Work counts as activity: what Jupyter ends when it is idle is not ended in the middle of it."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kernel import Kernel
from lab import Jupyter, until

from coflux.jupyter.activity import NAME, Activity
from coflux.server.answers import Working

CULLING = """
c.MappingKernelManager.cull_idle_timeout = 6
c.MappingKernelManager.cull_interval = 1
c.MappingKernelManager.cull_connected = True
c.ServerApp.log_level = "DEBUG"
"""
#: What Jupyter says when it looks for idle kernels, once a second.
LOOK = "for kernels idle >"
PATIENT = """
@cf.workflow()
def patient(path):
    while not os.path.exists(path):
        time.sleep(0.05)
    return "patience"
"""


@dataclass
class Kernels:
    """Kernels as Jupyter's manager has them: with the ids of their processes."""

    pids: dict[str, int]
    kernels: dict[str, Any] = field(default_factory=dict)

    def list_kernel_ids(self) -> list[str]:
        return list(self.pids)

    def get_kernel(self, id: str) -> Any:
        provisioner = SimpleNamespace(pid=self.pids[id])
        return self.kernels.setdefault(
            id, SimpleNamespace(provisioner=provisioner, last_activity=None)
        )


def look(working: list[Working], kernels: Kernels, *, is_own: bool) -> tuple[int, bool]:
    """Executions that count, and whether the server has been told of activity."""
    settings: dict[str, Any] = {"last_activity_times": {}}

    async def ask() -> list[Working]:
        return working

    activity = Activity(ask, settings, kernels, None, is_own=is_own)
    asyncio.run(activity.look())
    return activity.executions, NAME in settings["last_activity_times"]


def test_a_kernel_has_been_active_when_an_agent_below_it_works() -> None:
    parent = psutil.Process().ppid()
    kernels = Kernels({"ours": parent, "other": os.getpid(), "elsewhere": 0})
    mine = Working(host=socket.gethostname(), pid=os.getpid(), executions=2)
    assert look([mine], kernels, is_own=True) == (2, True)
    assert kernels.get_kernel("ours").last_activity is not None
    assert kernels.get_kernel("other").last_activity is None
    assert kernels.get_kernel("elsewhere").last_activity is None


def test_a_process_of_the_same_number_elsewhere_is_no_kernel_of_ours() -> None:
    kernels = Kernels({"ours": psutil.Process().ppid()})
    far = Working(host="far.example", pid=os.getpid(), executions=1)
    assert look([far], kernels, is_own=True) == (1, True)
    assert kernels.get_kernel("ours").last_activity is None


def test_work_that_goes_on_without_this_server_does_not_keep_it() -> None:
    """Attached to another server, only its own kernels' work ends with it."""
    kernels = Kernels({"ours": psutil.Process().ppid()})
    gone = Working(host=socket.gethostname(), pid=2**22 + 1, executions=1)
    assert look([gone], kernels, is_own=False) == (0, False)
    mine = Working(host=socket.gethostname(), pid=os.getpid(), executions=1)
    assert look([gone, mine], kernels, is_own=False) == (0, True)


def test_nothing_is_told_when_nobody_works() -> None:
    assert look([], Kernels({}), is_own=True) == (0, False)


@pytest.mark.slow
def test_a_kernel_is_culled_after_its_agents_work_and_not_in_the_middle() -> None:
    with Jupyter(settings=CULLING) as jupyter:
        jupyter.start("server")
        kernel = Kernel(jupyter)
        kernel.run("%load_ext coflux\nimport coflux as cf\nimport os, time")
        kernel.run("%coflux connect")
        kernel.run(PATIENT)
        end = jupyter.folder / "end"
        kernel.run(f"r = %coflux run patient '{end}'\nr.id")
        run = kernel.run("r.id").text.strip("'")

        looks = jupyter.said().count(LOOK)
        # Twice the time after which an idle kernel is culled.
        until(lambda: jupyter.said().count(LOOK) > looks + 12, "Jupyter has looked often enough")
        assert [each["id"] for each in jupyter.ask("GET", "api/kernels")] == [kernel.id]
        end.touch()
        until(lambda: jupyter.coflux(f"/runs/{run}")["status"] == "succeeded", "it succeeded")
        until(lambda: not jupyter.ask("GET", "api/kernels"), "the kernel is culled")
        assert "Culling" in jupyter.said()
        kernel.socket.close()
