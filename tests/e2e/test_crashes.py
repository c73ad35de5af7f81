"""`kill -9` of everything, at random moments under load: nothing acknowledged is lost, nothing runs
twice, nothing is stuck, and each end says truly what happened (SE, the table of section 23).

A round that fails prints its seed; `E2E_SEED=N` repeats it.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import psutil
import pytest

from .load import Load
from .stack import Agent, Stack, until

pytestmark = pytest.mark.slow

#: Kills in a round, and the rounds: 104 kills.
KILLS = 26
SEEDS = [int(os.environ["E2E_SEED"])] if "E2E_SEED" in os.environ else [1, 2, 3, 4]
#: Seconds between two kills, at most.
_PAUSE_S = 0.8
#: A project that dies three times in a minute is given up for a while; its server is killed first.
_LIVES = 2


class Chaos:
    """Kills what there is, and puts back what does not come back by itself."""

    def __init__(self, stack: Stack, token: str, seed: int) -> None:
        self.stack = stack
        self._token = token
        self.random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        #: Executors that were killed by themselves.
        self.victims: set[int] = set()
        self._lives = _LIVES
        self._kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "executor": (9, self._kill_executor),
            "zygote": (4, self._kill_zygote),
            "project": (5, self._kill_project),
            "agent": (4, self._kill_agent),
            "gateway": (3, self._kill_gateway),
        }

    def start_agent(self) -> None:
        # Told where the server is, which may be away at the moment.
        where = {"COFLUX_HOST": self.stack.url, "COFLUX_TOKEN": self._token}
        isolation = self.random.choice(["fork", "reuse"])
        words = ("crash.py", "--concurrency", "6", "--isolation", isolation)
        self.stack.start_agent(*words, wait=False, **where)

    def kill_something(self) -> None:
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        while True:
            name = self.random.choices(names, weights)[0]
            if self._kinds[name][1]():
                self.kills[name] += 1
                return

    def _living(self) -> list[Agent]:
        return [agent for agent in self.stack.agents if agent.process.poll() is None]

    def _kill_executor(self) -> bool:
        # Also those that wait for work: their death must harm nobody.
        found = [each for agent in self._living() for each in agent.executors()]
        if not found:
            return False
        victim = self.random.choice(sorted(found, key=lambda process: process.pid))
        self.victims.add(victim.pid)
        return _kill(victim)

    def _kill_zygote(self) -> bool:
        found = [zygote for agent in self._living() for zygote in agent.zygotes()]
        return bool(found) and _kill(self.random.choice(found))

    def _kill_project(self) -> bool:
        process = self.stack.project_process()
        if process is None or self._lives == 0:
            return False
        self._lives -= 1
        return _kill(process)

    def _kill_agent(self) -> bool:
        self.random.choice(self._living()).kill()
        self.start_agent()
        return True

    def _kill_gateway(self) -> bool:
        self.stack.kill_server()
        self._lives = _LIVES
        self.stack.start_server()
        return True


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_runs_twice(
    fresh: Stack, seed: int
) -> None:
    print(f"E2E_SEED={seed}")
    fresh.environment["COFLUX_RECONNECT_MS"] = "3000"
    fresh.start_server()
    token = fresh.client().create_token("load", "run")["token"]
    fresh.cli("register", "crash.py")
    chaos = Chaos(fresh, token, seed)
    for _ in range(2):
        chaos.start_agent()
    moments = threading.Event()
    with Load(fresh.client_with(token), seed) as load:
        until(lambda: len(load.told) >= 3, "the load flows")
        while chaos.kills.total() < KILLS:
            moments.wait(chaos.random.random() * _PAUSE_S)
            chaos.kill_something()
        told = len(load.told)
        until(lambda: len(load.told) > told + 3, "work goes on after the last kill")
    print(chaos.kills, f"{len(load.acknowledged)} runs")
    until(load.look, "every run has an outcome", 60)
    check(fresh, load, chaos)


def check(stack: Stack, load: Load, chaos: Chaos) -> None:
    runs = {run: stack.client().inspect(run) for run in load.acknowledged}
    seen = stack.seen()
    attempts = [
        attempt for run in runs.values() for step in run["steps"] for attempt in step["executions"]
    ]
    check_once(stack, load, seen)
    check_outcomes(stack, load)
    pids = {each.execution: each.pid for each in seen if each.what == "begin"}
    for attempt in attempts:
        check_end(attempt, pids.get(attempt["execution"]), chaos.victims)
    for run in runs.values():
        for step in run["steps"]:
            check_chain(step["executions"])
    check_idle(stack)


def check_once(stack: Stack, load: Load, seen: list[Any]) -> None:
    begun = Counter(each.execution for each in seen if each.what == "begin")
    assert {id: count for id, count in begun.items() if count > 1} == {}
    listed: list[dict[str, Any]] = []
    while page := stack.client().runs(limit=1000, before=listed[-1]["run"] if listed else None):
        listed += page
    # One run for each key, however often it was asked for.
    unknown = {each["run"] for each in listed} - set(load.acknowledged)
    assert len(unknown) <= 1, "only the last submission may have been cut off"


def check_outcomes(stack: Stack, load: Load) -> None:
    for run, (target, number) in load.acknowledged.items():
        now = stack.client().outcome(run).body
        assert now == load.told[run], f"the outcome of {run} has changed"
        if target == "job":
            assert (now["kind"], now.get("value")) == ("value", number * 6), now
        elif now["kind"] == "value":
            assert now["value"] == (-number if target == "fragile" else number * 3)
        else:
            assert now["kind"] in ("crashed", "abandoned"), now


def check_end(attempt: dict[str, Any], pid: int | None, victims: set[int]) -> None:
    """It has ended, as what was killed makes it end."""
    assert attempt["status"] in ("value", "suspended", "crashed", "abandoned"), attempt
    if attempt["status"] == "crashed":
        assert attempt["result"]["signal"] == 9, attempt["result"]
        assert pid is None or pid in victims, f"nobody killed the executor of {attempt}"
    elif attempt["status"] == "abandoned":
        assert attempt["result"]["cause"], attempt
    assert attempt["ended_at"] >= (attempt["started_at"] or attempt["created_at"])


def check_chain(attempts: list[dict[str, Any]]) -> None:
    """Each attempt but the first follows from the end of the one before."""
    for before, after in pairwise(attempts):
        expected = {"suspended": "resume", "crashed": "retry", "abandoned": "retry"}
        assert after["origin"] == expected.get(before["status"]), attempts
        assert after["created_at"] >= before["ended_at"]


def check_idle(stack: Stack) -> None:
    """Nothing is queued, held or half-dead, and no process works any more."""
    assert stack.client().queue() == []

    def is_idle() -> bool:
        agents = stack.client().agents()
        connected = [each for each in agents if each["connected"]]
        return len(connected) == 2 and not any(a["running"] or a["waiting"] for a in agents)

    until(is_idle, "the agents are idle", step_s=0.5)
