"""The topics `graph` and `step`: a run in compact form, and one of its steps in full.

Belongs here: keeping these documents up to date at a cost that depends on what changed, not on the
size of the run. Does not belong here: what the fields are (`views.graph`), what is folded
(`folding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coflux.errors import NotFound
from coflux.model import run_of, target_id
from coflux.server.core import changes as c
from coflux.server.core.entities import Execution, Run, Step
from coflux.server.core.state import State
from coflux.server.project.calls import Call, no_such, parse_id
from coflux.server.project.folding import WHOLE, Folding, Node, sibling_key
from coflux.server.project.input_operations import rows_of_run
from coflux.server.project.kept_graphs import Kept
from coflux.server.views import graph, runs

#: Steps that are looked at between two chances for other work.
PORTION = 500
#: Inputs that are sent with a run.
INPUTS = 200
Document = dict[str, Any]
Operation = list[Any]

#: After these an execution may be queued for another reason.
STIRRING = (
    c.SessionOpened, c.SessionEnded, c.Connected, c.Announced, c.Drained, c.EnvironmentSet,
    c.Assigned, c.ResultRecorded, c.Blocked, c.Unblocked, c.SlotSet, c.SettingSet, c.InputEnded,
)  # fmt: skip


def part_of(run: str, change: c.Change) -> str | None:
    """The step of a run that a change is about: its number, `header`, or None."""
    if isinstance(change, c.RunsRemoved):
        return "header" if run in change.runs else None
    id = getattr(change, "execution", None) or (
        change.parent if isinstance(change, c.ChildJoined) else None
    )
    if id is not None and run_of(id) == run:
        return str(id).split(":")[1]
    if getattr(change, "run", None) == run:
        return str(getattr(change, "step", "header"))
    return None


class GraphFeed:
    """All steps of a run, those of a very big one partly folded."""

    has_more = False

    def __init__(self, call: Call, arguments: dict[str, Any], whole: int = WHOLE) -> None:
        self.call = call
        self._whole = whole
        self.run = parse_id(str(arguments.get("run") or "")).run
        call.query = {"environment": arguments.get("environment")}
        #: The document is an old one, of which nothing else is known.
        self._is_kept = False
        self._targets = graph.Targets()
        self._folding = Folding(is_big=False)
        self._nodes = Nodes()
        #: Steps whose latest attempt leads to an outcome that is not known yet.
        self._open: set[int] = set()
        self.document: Document = {}

    def take_kept(self) -> bool:
        """Take the document that is kept of a big finished run; whether there is one."""
        kept = self.call.project.graphs.get(self.run)
        if kept is None or not self.call.project.orchestrator.store.reader.is_there(self.run):
            return False
        environment = self.call.state.environments.get(kept.environment)
        viewpoint = self.call.viewpoint()
        if environment is None or not self.call.principal.may("read", environment.name):
            raise no_such(self.run)
        if kept.has_others and viewpoint not in (None, kept.environment):
            return False
        pin = runs.show_pin(self.call.state, self.run)
        self.document = {**kept.document, "environment": environment.name, "pinned": pin}
        self._is_kept = True
        return True

    def build(self) -> Iterator[None]:
        """Make the document; other work may be done between the steps.

        Whatever changes in the meantime must be patched afterwards.
        """
        self._is_kept = False
        state, run = self.call.find_run(self.run)
        seen = set(runs.visible_from(state, run, self.call.viewpoint()))
        self._targets = graph.Targets()
        self._folding = Folding(len(run.steps) > self._whole, self._whole)
        self._open.clear()
        steps: Document = {}
        groups: Document = {}
        every = list(run.steps.values())
        for count, step in enumerate(every):
            if count % PORTION == PORTION - 1:
                yield
            executions = [e for e in step.executions if e.environment in seen]
            if executions:
                self._folding.put(self._nodes.make(step, executions[-1]))
                for execution in executions:
                    if execution.groups:
                        groups[execution.id.partition(":")[2]] = graph.show_groups(execution)
        for count, step in enumerate([s for s in every if self._folding.is_shown(s.number)]):
            if count % PORTION == PORTION - 1:
                yield
            executions = [e for e in step.executions if e.environment in seen]
            steps[str(step.number)] = self._compact(state, step, executions)
        self.document = {
            **self._header(state, run), "targets": {}, "groups": groups, "steps": steps,
        }  # fmt: skip
        if self._folding.is_big:
            self.document["counts"] = dict(self._folding.counts)
            self.document["folds"] = {
                key: fold.show(self._targets.number(run.steps[fold.first.number]))
                for key, fold in self._folding.folds.items()
            }
        self.document["targets"] = dict(self._targets.rows)
        if self._folding.is_big and run.status is not None:
            self._keep(run, seen)

    def _keep(self, run: Run, seen: set[str]) -> None:
        made_in = {e.environment for step in run.steps.values() for e in step.executions}
        if made_in & seen <= {run.environment}:
            kept = Kept(run.environment, self.document, made_in != {run.environment})
            self.call.project.graphs.put(run.id, kept)

    def touched(self, change: c.Change) -> str | None:
        """The step it touches, `links` where an outcome elsewhere may be one of ours."""
        if isinstance(change, c.RunPinned):
            return "pin" if change.run == self.run else None
        part = part_of(self.run, change)
        if part is None and self._open and isinstance(change, c.ResultRecorded | c.RunFinished):
            return "links"
        return part

    def patch(self, parts: set[str]) -> list[Operation] | None:
        """The operations that bring a copy up to date; None when it must be built anew."""
        if parts == {"pin"}:  # which needs nothing of the run
            pin = runs.show_pin(self.call.state, self.run)
            self.document["pinned"] = pin
            return [["set", ["pinned"], pin]]
        state, run = self.call.find_run(self.run)
        if self._is_kept or (not self._folding.is_big and len(run.steps) > self._whole):
            return None
        seen = set(runs.visible_from(state, run, self.call.viewpoint()))
        operations: list[Operation] = []
        folds: set[str] = set()
        numbers = {int(part) for part in parts if part.isdigit()} | self._open
        for number in sorted(numbers):
            step = run.steps.get(number)
            executions = [e for e in step.executions if e.environment in seen] if step else []
            if step is not None and executions:
                folds |= self._folding.put(self._nodes.make(step, executions[-1]))
                self._put_step(state, step, executions, operations)
        self._put_folds(run, folds, operations)
        self._put_header(state, run, operations)
        if self._folding.is_big and run.status is not None:
            self._keep(run, seen)
        for number_text, row in self._targets.rows.items():
            if number_text not in self.document["targets"]:
                self.document["targets"][number_text] = row
                # First, because steps point to it.
                operations.insert(0, ["set", ["targets", number_text], row])
        return operations

    def _put_step(
        self, state: State, step: Step, executions: list[Execution], operations: list[Operation]
    ) -> None:
        for execution in executions:
            key = execution.id.partition(":")[2]
            shown = graph.show_groups(execution)
            if shown and self.document["groups"].get(key) != shown:
                self.document["groups"][key] = shown
                operations.append(["set", ["groups", key], shown])
        if not self._folding.is_shown(step.number):
            return
        compact = self._compact(state, step, executions)
        number = str(step.number)
        if self.document["steps"].get(number) != compact:
            self.document["steps"][number] = compact
            operations.append(["set", ["steps", number], compact])

    def _put_folds(self, run: Run, keys: set[str], operations: list[Operation]) -> None:
        for key in sorted(keys):
            fold = self._folding.folds.get(key)
            is_new = key not in self.document["folds"]
            if fold is not None:
                shown = fold.show(self._targets.number(run.steps[fold.first.number]))
                self.document["folds"][key] = shown
                operations.append(["set", ["folds", key], shown])
            if is_new:
                self._drop_folded(operations)
        if self._folding.is_big:
            self.document["counts"] = dict(self._folding.counts)
            operations.append(["set", ["counts"], self.document["counts"]])

    def _drop_folded(self, operations: list[Operation]) -> None:
        """A new fold takes away what was sent by itself until now."""
        for number in [n for n in self.document["steps"] if not self._folding.is_shown(int(n))]:
            del self.document["steps"][number]
            operations.append(["del", ["steps", number]])
        for key in [key for key in self.document["folds"] if key not in self._folding.folds]:
            del self.document["folds"][key]
            operations.append(["del", ["folds", key]])

    def _put_header(self, state: State, run: Run, operations: list[Operation]) -> None:
        for name, value in self._header(state, run).items():
            if self.document.get(name) != value:
                self.document[name] = value
                operations.append(["set", [name], value])

    def _header(self, state: State, run: Run) -> Document:
        asked = rows_of_run(self.call, state, run, INPUTS)
        seen = runs.visible_from(state, run, self.call.viewpoint())
        return {**runs.show_header(state, run, seen), "inputs": asked}

    def _compact(self, state: State, step: Step, executions: list[Execution]) -> graph.Compact:
        compact = graph.compact_step(state, step, executions, self._targets)
        latest = compact["a"][str(executions[-1].attempt)]
        if latest.get("o") in ("queued", "assigned", "running", "waiting"):
            self._open.add(step.number)
        else:
            self._open.discard(step.number)
        return compact


class Nodes:
    """Makes nodes of steps; what many of them share is worked out once."""

    def __init__(self) -> None:
        #: Target, parent and key by what they are made of.
        self._shared: dict[tuple[Any, ...], tuple[str, tuple[int, int] | None, str]] = {}

    def make(self, step: Step, latest: Execution) -> Node:
        """The node of a step with its latest attempt."""
        submission = step.submission
        group = submission.group.number if submission.group is not None else None
        place = (step.parent, group, submission.repository, submission.target)
        shared = self._shared.get(place)
        if shared is None:
            shared = self._shared[place] = _shared(*place)
        target, parent, key = shared
        return Node(
            step.number, target, parent, group, key, runs.status_of(latest), step.created_at,
            latest.started_at, latest.ended_at,
        )  # fmt: skip


def _shared(
    above: str | None, group: int | None, repository: str, name: str
) -> tuple[str, tuple[int, int] | None, str]:
    target = target_id(repository, name)
    parent = None
    if above is not None:
        _, number, attempt = above.split(":")
        parent = (int(number), int(attempt))
    return target, parent, sibling_key(target, parent, group)


class StepFeed:
    """One step with values, errors, reasons and explanations."""

    has_more = False

    def __init__(self, call: Call, arguments: dict[str, Any]) -> None:
        self.call = call
        id = parse_id(str(arguments.get("step") or ""))
        if id.step is None:
            raise NotFound("Name the step as RUN:STEP.", field="step")
        self.run, self.number = id.run, id.step
        call.query = {"environment": arguments.get("environment")}
        self.document: Document = {}

    def build(self) -> Iterator[None]:
        """Make the document."""
        self.document = self._make()
        yield from ()

    def touched(self, change: c.Change) -> str | None:
        """Whether the step, what it leads to or why it waits may have changed."""
        is_gone = isinstance(change, c.RunsRemoved) and self.run in change.runs
        if is_gone or part_of(self.run, change) == str(self.number):
            return "*"
        attempts = self.document.get("executions", {}).values()
        if any(e["status"] == "queued" for e in attempts) and isinstance(change, STIRRING):
            return "*"
        may_lead = isinstance(change, c.ResultRecorded | c.RunFinished)
        return "*" if may_lead and any(e["resolved"] for e in attempts) else None

    def patch(self, parts: set[str]) -> list[Operation]:
        """The fields that changed."""
        fresh = self._make()
        operations: list[Operation] = [
            ["set", [name], value] for name, value in fresh.items() if self.document[name] != value
        ]
        self.document = fresh
        return operations

    def _make(self) -> Document:
        return show_whole(self.call, self.run, self.number)


def show_whole(call: Call, run_id: str, number: int) -> Document:
    """One step in full, its attempts by number; raises `NotFound` where none is visible."""
    state, run = call.find_run(run_id)
    step = run.steps.get(number)
    if step is None:
        raise no_such(f"{run_id}:{number}")
    seen = runs.visible_from(state, run, call.viewpoint())
    shown = graph.show_step_whole(state, step, seen, call.reason_of, call.project.blobs)
    if not shown["executions"]:
        raise no_such(f"{run_id}:{number}")
    attempts = {e["execution"].split(":")[2]: e for e in shown["executions"]}
    return {**shown, "executions": attempts}


@dataclass(frozen=True)
class Wanted:
    """Which steps of a run are listed: all, or those of a fold, a status, a name."""

    under: str | None = None
    status: str | None = None
    text: str | None = None

    def accepts(self, node: Node) -> bool:
        """Whether a step fits."""
        if self.under is not None and node.key != self.under:
            return False
        if self.status is not None and node.status not in self.status.split(","):
            return False
        return not self.text or self.text.lower() in node.target.lower()


def list_page(
    state: State, run: Run, seen: set[str], wanted: Wanted, after: int, limit: int
) -> Document:
    """Steps after a number in the form of the topic `graph`; `next` is where the next page begins.

    This is how the members of a fold are seen.
    """
    targets, nodes = graph.Targets(), Nodes()
    steps: Document = {}
    groups: Document = {}
    following: int | None = None
    for number in range(after + 1, max(run.steps, default=0) + 1):
        step = run.steps.get(number)
        executions = [e for e in step.executions if e.environment in seen] if step else []
        if step is None or not executions or not wanted.accepts(nodes.make(step, executions[-1])):
            continue
        if len(steps) == limit:
            following = number - 1
            break
        steps[str(number)] = graph.compact_step(state, step, executions, targets)
        maker = state.executions.get(step.parent or "")
        if maker is not None and maker.groups:
            groups[maker.id.partition(":")[2]] = graph.show_groups(maker)
    return {"targets": dict(targets.rows), "groups": groups, "steps": steps, "next": following}
