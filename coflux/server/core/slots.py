"""Named slots and rate limits (SC-7, SC-8): who holds what, and whether another may have it.

What is in use is computed from the executions whose process may be alive, and a rate from the times
of assignments; nothing is counted up and down, so nothing can leak. Belongs here: reading what is
in use, lending. Does not belong here: the order in which executions are assigned (`scheduling`).
"""

from __future__ import annotations

from collections.abc import Iterable

from coflux.server.core import circles
from coflux.server.core.entities import Execution
from coflux.server.core.specs import SlotLimit
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn

#: What holds of a name that nobody has defined.
UNDEFINED = SlotLimit(1, None, None)


def units_of(execution: Execution) -> dict[str, int]:
    """The slots that an execution names, with units."""
    return execution.step.submission.options.slots or {}


def limit_of(state: State, name: str, environment: str) -> SlotLimit:
    """The environment's own limit, else the project's (SC-7)."""
    own = state.slots.get((environment, name))
    return own or state.slots.get((None, name)) or UNDEFINED


def is_shared(state: State, name: str, environment: str) -> bool:
    """Whether the project's limit is the one that counts there."""
    return (environment, name) not in state.slots and (None, name) in state.slots


def holders(state: State, name: str, environment: str) -> list[Execution]:
    """Executions that hold the slot, as seen from an environment, in order of assignment."""
    found = state.holders.get(name, {}).values()
    return [e for e in found if _counts(state, name, environment, e.environment)]


def lacking(state: State, execution: Execution, now: int) -> list[str]:
    """Slots that an execution would need and cannot have now."""
    return [
        name
        for name, units in units_of(execution).items()
        if not has_room(state, name, execution, units)
        or next_free(state, name, execution.environment, now) > now
    ]


def keeps_for_itself(state: State, execution: Execution, now: int) -> list[str]:
    """Slots that nobody may have before it, because it needs more units than are free (SC-7).

    None that it could never have: whoever asks for more than there is holds up only himself.
    """
    units = units_of(execution)
    limits = {name: limit_of(state, name, execution.environment).units for name in units}
    if any(limit is not None and units[name] > limit for name, limit in limits.items()):
        return []
    return lacking(state, execution, now)


def has_room(state: State, name: str, execution: Execution, units: int) -> bool:
    """Whether so many units are free, those that waiting holders would lend it included."""
    allowed = limit_of(state, name, execution.environment).units
    if allowed is None:
        return True
    found = [*holders(state, name, execution.environment), execution]
    total = sum(units_of(each)[name] for each in found)
    return total <= allowed or total - sum(_lent(state, name, found).values()) <= allowed


def lenders(state: State, name: str, execution: Execution) -> list[str]:
    """Holders whose units an execution takes because they wait for it."""
    found = [*holders(state, name, execution.environment), execution]
    return [lender for lender, borrower in _lent(state, name, found) if borrower == execution.id]


def next_free(state: State, name: str, environment: str, now: int) -> int:
    """When the rate of a slot allows another assignment: `now`, or an instant to come."""
    limit = limit_of(state, name, environment)
    if limit.rate is None or limit.period_ms is None:
        return now
    left = limit.rate
    for at, place in reversed(state.uses.get(name, ())):
        if at + limit.period_ms <= now:
            return now
        if _counts(state, name, environment, place):
            left -= 1
            if left == 0:
                return at + limit.period_ms
    return now


def awaited_by_holders(state: State, name: str, environment: str) -> list[str]:
    """Everything that waiting holders of a slot cannot go on without."""
    waiting = [e for e in holders(state, name, environment) if e.status is Status.WAITING]
    return list(dict.fromkeys(id for holder in waiting for id in _distances(state, holder.id)))


def borrow(turn: Turn, execution: Execution) -> None:
    """Note whose units it takes; those go on only when it has given them back."""
    for name, units in units_of(execution).items():
        allowed = limit_of(turn.state, name, execution.environment).units
        found = holders(turn.state, name, execution.environment)
        in_use = sum(units_of(each)[name] for each in found)
        if allowed is not None and in_use + units > allowed:
            for lender in lenders(turn.state, name, execution):
                turn.agenda.lent.setdefault(lender, {})[execution.id] = name


def has_all_back(turn: Turn, execution: Execution) -> bool:
    """Whether nobody has units of an execution that is about to go on."""
    borrowers = turn.agenda.lent.get(execution.id)
    if borrowers is None:
        return True
    for borrower, name in list(borrowers.items()):
        if borrower not in turn.state.holders.get(name, {}):
            del borrowers[borrower]
    if not borrowers:
        del turn.agenda.lent[execution.id]
    return not borrowers


def stir(turn: Turn, names: Iterable[str], environment: str | None) -> None:
    """Units have become free: see what can be assigned, everywhere where they count."""
    for name in names:
        for place in turn.agenda.lanes:
            if environment is None or _counts(turn.state, name, place, environment):
                turn.agenda.stirred[place] = None


def _counts(state: State, name: str, environment: str, other: str) -> bool:
    """Whether what is held in another environment counts in this one."""
    if environment == other:
        return True
    return is_shared(state, name, environment) and is_shared(state, name, other)


def _lent(state: State, name: str, found: list[Execution]) -> dict[tuple[str, str], int]:
    """Units by lender and borrower; each borrower takes from the nearest who wait for it."""
    spare = {e.id: units_of(e)[name] for e in found if e.status is Status.WAITING}
    awaited = {lender: _distances(state, lender) for lender in spare}
    lent: dict[tuple[str, str], int] = {}
    for borrower in found:
        wanted = units_of(borrower)[name]
        near = [lender for lender in spare if borrower.id in awaited[lender]]
        for lender in sorted(near, key=lambda one: awaited[one][borrower.id]):
            taken = min(spare[lender], wanted)
            if taken:
                lent[lender, borrower.id] = taken
                spare[lender] -= taken
                wanted -= taken
    return lent


def _distances(state: State, waiter: str) -> dict[str, int]:
    """Everything that an execution waits for, directly or not, by how directly."""
    found: dict[str, int] = {waiter: 0}
    todo = [waiter]
    for id in todo:  # grows while it is gone through
        for following in circles.waits_for(state, id):
            if following not in found:
                found[following] = found[id] + 1
                todo.append(following)
    del found[waiter]
    return found
