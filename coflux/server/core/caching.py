"""Taking an earlier execution's outcome instead of running (CA), with the explanation (CA-12).

Belongs here: lookup, candidates, explanations, broken links to leaders. Does not belong here: when
a lookup is due (`scheduling`).
"""

from __future__ import annotations

from coflux.model import (
    Cached,
    Returned,
    target_id,
)
from coflux.server.core import circles, codes, results
from coflux.server.core.changes import CacheChecked, CacheForgotten
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import CacheEntry, Execution
from coflux.server.core.events import CacheForgetRequested
from coflux.server.core.keys import Key, cache_key
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn

#: Origins of attempts that look up (ST-3).
LOOKING = ("submit", "relink")


def check(turn: Turn, execution: Execution, again: bool = False) -> bool:
    """Give a due execution its key and look it up where its origin allows; True on a hit."""
    if not _has_cache(execution) or (execution.cache is not None and not again):
        return False
    key = cache_key(turn.state, execution.step.submission)
    if key.digest is None:
        _explain(turn, execution, key, "not cached", detail=key.problem)
        return False
    if execution.step.number == 1 and execution.run.parent is not None:
        # The initial step of a spawned run: the spawning step has done the lookup (SU-5).
        _explain(turn, execution, key, "not looked up", detail="spawned")
        return False
    if execution.origin not in LOOKING:
        _explain(turn, execution, key, "not looked up", detail=execution.origin)
        return False
    entry = _find(turn, execution, key.digest)
    if entry is None:
        _explain(turn, execution, key, "miss", detail=_nearest(turn, execution, key))
        return False
    _explain(turn, execution, key, "hit", entry.execution, _age(turn, execution, entry))
    results.end(turn, execution, Cached(entry.execution))
    return True


def forget(turn: Turn, event: CacheForgetRequested) -> None:
    """Mark entries as unusable from now on (CA-13)."""
    found = [
        id
        for id, entry in turn.state.entries.items()
        if entry.environment == event.environment and _is_meant(turn, event, entry)
    ]
    if found:
        turn.record(CacheForgotten(tuple(found), event.to.by, turn.now))
    turn.send(Confirm(event.to, {"forgotten": found}))


def _is_meant(turn: Turn, event: CacheForgetRequested, entry: CacheEntry) -> bool:
    if event.execution is not None:
        return entry.execution == event.execution or entry.execution.startswith(
            event.execution + ":"
        )
    if event.target is None or entry.namespace == event.target.replace("/", ":"):
        return True
    execution = turn.state.executions.get(entry.execution)
    if execution is None:
        return False
    submission = execution.step.submission
    return event.target == target_id(submission.repository, submission.target)


def _has_cache(execution: Execution) -> bool:
    submission = execution.step.submission
    return submission.options.cache is not None and submission.type != "sensor"


def _find(turn: Turn, seeker: Execution, key: bytes) -> CacheEntry | None:
    newest = [
        next((e for e in turn.state.cached(environment, key) if _serves(turn, seeker, e)), None)
        for environment in turn.state.lineage(seeker.environment)
    ]
    return max((e for e in newest if e is not None), key=lambda e: e.order, default=None)


def _serves(turn: Turn, seeker: Execution, entry: CacheEntry) -> bool:
    step = f"{seeker.run.id}:{seeker.step.number}:"
    if entry.execution.startswith(step) or entry.execution in turn.state.ancestors(seeker.id):
        return False
    if entry.value_at is not None:
        policy = seeker.step.submission.options.cache
        assert policy is not None
        return policy.max_age_ms is None or turn.now - entry.value_at <= policy.max_age_ms
    return _is_pending_for(turn, seeker, entry)


def _is_pending_for(turn: Turn, seeker: Execution, entry: CacheEntry) -> bool:
    leader = turn.state.executions.get(entry.execution)
    if leader is None or leader.result is not None:
        return False
    if not turn.state.is_active(leader.environment):
        return False
    if leader.status is Status.QUEUED and leader.due_at > seeker.due_at:
        return False
    # A leader that waits for the seeker would never end (WA-11).
    return not circles.closed_by(turn.state, seeker.id, (leader.id,))


def _explain(
    turn: Turn, execution: Execution, key: Key, outcome: str,
    source: str | None = None, detail: str = "",
) -> None:  # fmt: skip
    turn.record(
        CacheChecked(
            execution.id, key.digest, key.namespace, key.parts, outcome, source, detail, turn.now
        )
    )


def _age(turn: Turn, execution: Execution, entry: CacheEntry) -> str:
    if entry.value_at is None:
        return "still running"
    age = f"{(turn.now - entry.value_at) / 1000:.0f} s old"
    submission = execution.step.submission
    current = submission.code or codes.current(
        turn.state, execution.environment, submission.repository, submission.target
    )
    if current is not None and entry.code is not None and entry.code != current:
        return f"{age}, older code"
    return age


def _nearest(turn: Turn, execution: Execution, key: Key) -> str:
    """Which parts differ from the entry of the namespace that differs in the fewest."""
    entries = turn.state.namespaces.get(key.namespace, {}).values()
    others = [e for e in entries if not e.execution.startswith(execution.run.id + ":")] or [
        e for e in entries if e.execution != execution.id
    ]
    if not others:
        return "no earlier entry"
    nearest = _closest(others, key)
    differing = _differences(nearest, key) or [_why_not(turn, execution, nearest)]
    return f"nearest {nearest.execution}: " + ", ".join(differing)


def _closest(entries: list[CacheEntry], key: Key) -> CacheEntry:
    """The entry with the fewest differing parts, the newest of these."""
    same = [entry for entry in entries if entry.key == key.digest]
    if same:
        return max(same, key=lambda entry: entry.order)
    closest, fewest = entries[-1], len(key.parts) + 1
    for entry in reversed(entries):
        count = len(_differences(entry, key))
        if count < fewest:
            closest, fewest = entry, count
        if fewest == 1:  # without the same key there is at least one
            break
    return closest


def _differences(entry: CacheEntry, key: Key) -> list[str]:
    names = dict.fromkeys([*key.parts, *entry.parts])
    return [f"{n} differs" for n in names if key.parts.get(n) != entry.parts.get(n)]


def _why_not(turn: Turn, execution: Execution, entry: CacheEntry) -> str:
    if entry.environment not in turn.state.lineage(execution.environment):
        return "other environment"
    if entry.execution in turn.state.forgotten:
        return "forgotten"
    known = turn.state.executions.get(entry.execution)
    if entry.value_at is None:
        is_failed = known is None or (
            known.result is not None and not isinstance(known.result, Returned)
        )
        return "failed" if is_failed else "not finished"
    return "too old"
