"""Times and caps that the rules go by (section 32), and which of them an environment may set.

Belongs here: names, defaults, bounds and meanings. Does not belong here: what follows from a limit.
"""

from __future__ import annotations

from typing import Literal

from coflux.model import Record


class Limits(Record):
    """Times in ms, and caps; what an operator changed for all projects is in here."""

    reconnect_ms: int = 30_000
    first_connection_ms: int = 600_000
    acknowledge_ms: int = 15_000
    start_ms: int = 300_000
    slack_ms: int = 15_000
    queue_timeout_ms: int = 0
    sensor_spacing_ms: int = 5_000
    sensor_backoff_ms: int = 300_000
    waiting_processes: int = 1_000
    run_steps: int = 100_000
    depth: int = 1_000
    suspensions: int = 10_000
    suspensions_per_minute: int = 60
    pool_idle_ms: int = 30_000
    parameters: int = 64
    name: int = 100
    environment_name: int = 100
    environment_segments: int = 8
    base_depth: int = 64
    batch: int = 1_000
    idempotency_ms: int = 24 * 3600 * 1000
    runs_kept_ms: int = 90 * 24 * 3600 * 1000
    runs_kept_bytes: int = 0
    logs_kept_ms: int = 30 * 24 * 3600 * 1000
    blob_grace_ms: int = 24 * 3600 * 1000


class Setting(Record):
    """A limit that each environment may set for itself; its default is the one of `Limits`."""

    summary: str
    unit: Literal["ms", "count", "bytes"] = "count"
    minimum: int = 1
    maximum: int = 10_000_000


_DAY = 24 * 3600 * 1000

#: By name, which is that of the field of `Limits`.
SETTINGS: dict[str, Setting] = {
    "queue_timeout_ms": Setting(
        "An execution that is ready and has not been assigned for so long ends as timed out;"
        " 0 = never.",
        "ms", 0, 366 * _DAY,
    ),
    "start_ms": Setting(
        "An assignment that has not started after so long is abandoned.", "ms", 1_000, _DAY
    ),
    "reconnect_ms": Setting(
        "An agent that is away for longer loses its session and what it ran.", "ms", 1_000, _DAY
    ),
    "pool_idle_ms": Setting(
        "An agent that a pool has started ends after so long without work.", "ms", 1_000, _DAY
    ),
    "waiting_processes": Setting("Executions that may wait in live processes of one agent."),
    "run_steps": Setting("Steps that a run may have before it is held."),
    "depth": Setting("Calls within calls, over spawned runs, before the run is held."),
    "suspensions": Setting("Suspensions of one chain of attempts before it is held."),
    "suspensions_per_minute": Setting(
        "Suspensions of one chain within a minute before it is held."
    ),
    "runs_kept_ms": Setting(
        "Finished runs are kept for so long after their end; 0 = for ever.", "ms", 0, 36_500 * _DAY
    ),
    "runs_kept_bytes": Setting(
        "The oldest finished runs go while all of them take more than this; 0 = no limit.",
        "bytes", 0, 2**60,
    ),
    "logs_kept_ms": Setting(
        "Logs and metrics are kept for so long; 0 = as long as their run.", "ms", 0, 36_500 * _DAY
    ),
    "blob_grace_ms": Setting(
        "Blobs that nothing refers to are kept for so long after they were stored; the longest of"
        " all environments counts.",
        "ms", 1_000, 366 * _DAY,
    ),
}  # fmt: skip
