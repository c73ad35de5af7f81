"""Which steps of a very big run are sent one by one, and how the rest is counted.

Belongs here: folding siblings of one group or target, kept up to date as steps come and change;
nothing of it depends on the size of the run once it is built. Does not belong here: how a step
looks (`views.graph`), sending.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from coflux.server.core.statuses import Status

#: Runs up to this many steps are sent whole; in bigger ones at most this many are.
WHOLE = 5_000
#: Siblings of one group or target beyond which a big run has them folded.
SIBLINGS = 24
_UNFINISHED = frozenset(status.value for status in Status if status.value != "ended")


class Node(NamedTuple):
    """What folding needs to know of a step; instants in ms."""

    number: int
    target: str
    #: Step and attempt that made it.
    parent: tuple[int, int] | None
    group: int | None
    #: Siblings that fold together share it.
    key: str
    status: str
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None


def sibling_key(target: str, parent: tuple[int, int] | None, group: int | None) -> str:
    """What siblings that fold together share; browsers make the same key."""
    above = parent[0] if parent is not None else 0
    return f"{above}.g{group}" if group is not None else f"{above}.{target}"


@dataclass
class Fold:
    """Siblings that are counted instead of sent."""

    key: str
    first: Node
    members: dict[str, int] = field(default_factory=dict)
    #: What lies below the members.
    below: dict[str, int] = field(default_factory=dict)
    started_at: int | None = None
    ended_at: int | None = None

    def show(self, target: int) -> dict[str, Any]:
        """As sent: `c` members by status, `h` descendants by status, `f` its first step."""
        first = self.first
        shown: dict[str, Any] = {"t": target, "f": first.number, "c": dict(self.members)}
        if first.parent is not None:
            shown["p"] = first.parent
        if first.group is not None:
            shown["g"] = first.group
        if self.below:
            shown["h"] = dict(self.below)
        shown["q"] = first.created_at
        if self.started_at is not None:
            shown["st"] = self.started_at
        is_over = not any(self.members.get(status) for status in _UNFINISHED)
        if self.ended_at is not None and is_over:
            shown["en"] = self.ended_at
        return shown


class Folding:
    """Where each step of a run stands."""

    def __init__(self, is_big: bool, whole: int = WHOLE) -> None:
        self.is_big = is_big
        self._whole = whole
        self.counts: dict[str, int] = {}
        self.folds: dict[str, Fold] = {}
        self._nodes: dict[int, Node] = {}
        #: Fold of a step, and whether it is a member; steps sent one by one are absent.
        self._folded: dict[int, tuple[str, bool]] = {}
        #: One object for each of its values, of which there are few.
        self._places: dict[tuple[str, bool], tuple[str, bool]] = {}
        self._siblings: dict[str, list[int]] = {}
        self._children: dict[int, list[int]] = {}

    @property
    def total(self) -> int:
        """Number of steps."""
        return len(self._nodes)

    def is_shown(self, number: int) -> bool:
        """Whether the step is sent by itself."""
        return number in self._nodes and number not in self._folded

    def put(self, node: Node) -> set[str]:
        """Take in a new step or a new version of one; gives the keys of folds that changed."""
        before = self._nodes.get(node.number)
        self._nodes[node.number] = node
        _shift(self.counts, before.status if before else None, node.status)
        if before is None:
            return self._place(node)
        folded = self._folded.get(node.number)
        if folded is None:
            return set()
        self._count(folded, before.status, node)
        return {folded[0]}

    def _place(self, node: Node) -> set[str]:
        above = node.parent[0] if node.parent is not None else 0
        children = self._children.get(above)
        if children is None:
            children = self._children[above] = []
        children.append(node.number)
        if not self.is_big:
            return set()
        below = self._folded.get(above)
        if below is not None:
            self._fold(node, below[0], False)
            return {below[0]}
        if node.key not in self.folds and not self._begin_fold(node):
            return set()
        self._fold(node, node.key, True)
        return {node.key}

    def _begin_fold(self, node: Node) -> bool:
        """Fold the siblings of a new step, if they have become too many."""
        siblings = self._siblings.setdefault(node.key, [])
        siblings.append(node.number)
        shown = len(self._nodes) - len(self._folded)
        if len(siblings) <= SIBLINGS and shown <= self._whole:
            return False
        self.folds[node.key] = Fold(node.key, self._nodes[siblings[0]])
        for number in siblings[:-1]:
            self._fold_whole(self._nodes[number], node.key)
        return True

    def _fold_whole(self, node: Node, key: str) -> None:
        """Fold a step that was sent by itself, with all below it."""
        self._fold(node, key, True)
        waiting = list(self._children.get(node.number, ()))
        while waiting:
            number = waiting.pop()
            waiting += self._children.get(number, ())
            # Folds below it vanish into this one.
            self.folds.pop(self._nodes[number].key, None)
            self._fold(self._nodes[number], key, False)

    def _fold(self, node: Node, key: str, is_member: bool) -> None:
        folded = self._places.get((key, is_member))
        if folded is None:
            folded = self._places[key, is_member] = (key, is_member)
        self._folded[node.number] = folded
        self._count(folded, None, node)

    def _count(self, folded: tuple[str, bool], before: str | None, node: Node) -> None:
        fold = self.folds[folded[0]]
        _shift(fold.members if folded[1] else fold.below, before, node.status)
        started, ended = node.started_at, node.ended_at
        if started is not None and (fold.started_at is None or started < fold.started_at):
            fold.started_at = started
        if ended is not None and (fold.ended_at is None or ended > fold.ended_at):
            fold.ended_at = ended


def _shift(counts: dict[str, int], before: str | None, after: str) -> None:
    if before is not None:
        counts[before] -= 1
        if not counts[before]:
            del counts[before]
    counts[after] = counts.get(after, 0) + 1
