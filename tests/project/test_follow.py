"""Following a run tells each change of a step once, and everything to newcomers."""

from __future__ import annotations

from coflux.model import Reference, Returned, Spawned, Submission, Value
from coflux.server.core import changes as c
from coflux.server.core.state import State
from coflux.server.project.follow import Following

VALUE = Returned(Value(data=b"1", type="int"))


def a_state() -> State:
    state = State()
    state.load(
        [
            c.EnvironmentSet("E1", "default", None, "active", "", 0),
            c.RunCreated("R1", "E1", "shop", "order", "", 1),
            c.StepCreated("R1", 1, Submission("shop", "order", "workflow"), "E1", 1, 1),
            c.StepCreated("R1", 2, Submission("shop", "pay", "workflow"), "E1", 1, 1, "R1:1:1"),
        ]
    )
    return state


def apply(state: State, following: Following, *changes: c.Change) -> None:
    state.load(changes)
    following.committed(list(changes))


def test_a_newcomer_is_told_every_step() -> None:
    state, following = a_state(), Following()
    track = following.track("R1")
    assert following.read_cursor(track, None) is None
    assert following.steps_since(track, state, state.runs["R1"], None) == [1, 2]


def test_only_steps_that_changed_since_the_cursor_are_told() -> None:
    state, following = a_state(), Following()
    track = following.track("R1")
    since = following.read_cursor(track, following.cursor(track))
    apply(state, following, c.Assigned("R1:2:1", "S1", 2))
    assert since == 0
    assert following.steps_since(track, state, state.runs["R1"], since) == [2]
    now = following.read_cursor(track, following.cursor(track))
    assert following.steps_since(track, state, state.runs["R1"], now) == []


def test_a_step_that_leads_elsewhere_is_told_until_that_is_resolved() -> None:
    state, following = a_state(), Following()
    track = following.track("R1")
    call = Submission(
        "shop", "pay", "workflow", {"x": Value(references=(Reference("asset", "A"),))}
    )
    apply(
        state, following,
        c.RunCreated("R2", "E1", "shop", "pay", "", 2, parent="R1:2:1", root="R1"),
        c.StepCreated("R2", 1, call, "E1", 2, 2),
        c.ResultRecorded("R1:2:1", Spawned("R2:1:1"), 2, process="none"),
    )  # fmt: skip
    seq = track.seq
    assert following.steps_since(track, state, state.runs["R1"], 0) == [2]
    assert following.steps_since(track, state, state.runs["R1"], seq) == [2]
    apply(state, following, c.ResultRecorded("R2:1:1", VALUE, 3, process="gone"))
    assert following.steps_since(track, state, state.runs["R1"], seq) == [2]
    assert following.steps_since(track, state, state.runs["R1"], seq) == []


def test_a_cursor_of_another_process_or_from_the_future_is_none() -> None:
    following = Following()
    track = following.track("R1")
    assert following.read_cursor(track, Following().cursor(track)) is None
    assert following.read_cursor(track, following.cursor(track).split(".")[0] + ".7") is None
    assert following.read_cursor(track, "nonsense") is None
