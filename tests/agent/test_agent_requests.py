"""What running code asks: children, waits, suspension, assets, checkpoints, cancellation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet

from coflux import values, wire
from coflux.model import Crashed, Error, Frame, Group, Raised, Reference, Result, Returned

FLOW = """
import asyncio, threading
import coflux as cf

@cf.task
def add(a, b=2):
    return a + b

@cf.task(cache=cf.Cache(code=True), retries=(2, 1.5), timeout=3)
def busy(a, *args, key=4, **kwargs):
    pass

@cf.workflow
def call(a):
    return add(a) + 1

@cf.workflow
def submit_two(a):
    first, second = add.submit(a), add.submit(b=1, a=a)
    return first.id, second.id

@cf.workflow
def all_options():
    busy(1, 2, 3, other=5)

@cf.workflow
def misfit():
    add.submit(1, 2, 3)

@cf.workflow
def forgets_refusal():
    add.submit(1)
    return "done"

@cf.workflow
def catches_refusal():
    handle = add.submit(1)
    try:
        handle.result()
    except cf.Conflict as error:
        return str(error)

@cf.workflow
def passes_handle(a):
    return add.submit(add.submit(a))

@cf.workflow
def catch(a):
    try:
        add(1)
    except ValueError as error:
        return [type(error).__name__, str(error), isinstance(error, cf.ExecutionError),
                error.remote_type, list(error.remote_frames[0])]
    except cf.ExecutionCrashed as error:
        return ["crashed", str(error), error.fields["exit_code"]]

@cf.workflow
def reraise():
    add(1)

@cf.workflow
def timed_out():
    handle = add.submit(1)
    try:
        handle.result(timeout=0.5)
    except TimeoutError as error:
        assert not isinstance(error, cf.CofluxError)
        return "timed out"

@cf.workflow
def polls():
    handle = add.submit(1)
    return [handle.poll(), handle.poll(1, "not yet"), handle.poll(), handle.result()]

@cf.workflow
def suspense(a):
    handle = add.submit(1)
    with cf.suspense(a):
        with cf.suspense():
            handle.poll()
        return handle.result()

@cf.workflow
def suspends():
    try:
        cf.suspend(1.5)
    finally:
        print("never printed")

@cf.workflow
def ahead():
    first, second = add.submit(1), add.submit(2)
    return first.result() + second.result() + second.result()

@cf.workflow
def selects():
    handles = [add.submit(n) for n in range(3)]
    winner, others = cf.select(handles, cancel_remaining=True)
    return winner.result(), [each.id for each in others]

@cf.workflow
def empty_select():
    cf.select([])

@cf.workflow
def cancels():
    handles = [add.submit(n) for n in range(2)]
    cf.cancel(handles)
    handles[0].cancel()

@cf.workflow
def groups():
    with cf.group("outer"):
        add.submit(1)
        with cf.group():
            add.submit(2)
        add.submit(3)
    add.submit(4)

@cf.workflow
async def awaits():
    handles = [add.submit(n) for n in range(3)]
    return await asyncio.gather(*handles)

@cf.workflow
def threads():
    results = {}
    def work(n):
        results[n] = add(n)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    return results

@cf.workflow
def checks(a=1, b=2):
    cf.checkpoint(a + 1)
    return a

@cf.workflow
def big(a):
    return "x" * a

@cf.workflow
def own_handle():
    import os
    pid = os.fork()
    if pid == 0:
        try:
            add.submit(1).result()
            cf.suspend()
        except cf.NotInExecution:
            os._exit(7)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def started(agent: AgentProcess) -> AgentProcess:
    agent.write("flow.py", FLOW)
    agent.start("flow.py")
    return agent


@pytest.fixture
def run(puppet: Puppet, started: AgentProcess) -> Callable[..., None]:
    def run(target: str, *args: Any) -> None:
        puppet.execute("R1:1:1", target, *args, target_type="workflow")

    return run


Run = Callable[..., None]


def accept(puppet: Puppet, *ids: str) -> list[wire.Submit]:
    """Take submissions and give them these ids."""
    submits = []
    for id in ids:
        submit = puppet.wait(wire.Submit)
        puppet.answer(submit, wire.Submitted((id,)))
        submits.append(submit)
    return submits


def resolved(*pairs: tuple[str, Any], also: tuple[tuple[str, Any], ...] = ()) -> wire.Resolved:
    def outcome(handle: str, value: Any) -> wire.Outcome:
        result: Result = (
            value
            if isinstance(value, (Raised, Crashed))
            else Returned(values.encode(value, blobs=None))
        )
        return wire.Outcome(handle, handle, result)

    return wire.Resolved(
        tuple(outcome(*pair) for pair in pairs), also=tuple(outcome(*pair) for pair in also)
    )


def test_a_call_waits_with_one_request_SU_5(puppet: Puppet, run: Run) -> None:
    run("call", 5)
    submit, submission = puppet.submission("R1:1:1")
    assert submit.wait
    assert (submission.repository, submission.target, submission.type) == ("flow", "add", "task")
    assert list(submission.arguments) == ["a", "b"]
    assert values.decode(submission.arguments["b"], blobs=None) == 2
    puppet.answer(submit, resolved(("R1:2:1", 7)))
    assert puppet.value("R1:1:1") == 8


def test_submissions_travel_before_their_answers(puppet: Puppet, run: Run) -> None:
    run("submit_two", 5)
    first, second = puppet.wait(wire.Submit), puppet.wait(wire.Submit)
    assert first.key != second.key
    puppet.answer(second, wire.Submitted(("R1:3:1",)))
    puppet.answer(first, wire.Submitted(("R1:2:1",)))
    assert puppet.value("R1:1:1") == ("R1:2:1", "R1:3:1")


def test_a_submission_carries_bound_arguments_options_and_code_SU_1_EN_2(
    puppet: Puppet, run: Run
) -> None:
    run("all_options")
    _, submission = puppet.submission("R1:1:1")
    decoded = {k: values.decode(v, blobs=None) for k, v in submission.arguments.items()}
    assert decoded == {"a": 1, "args": (2, 3), "key": 4, "kwargs": {"other": 5}}
    assert submission.options.timeout_ms == 3000
    assert submission.options.retries is not None
    assert submission.options.retries.min_ms == 1500
    assert submission.code is not None


def test_what_does_not_bind_is_a_type_error_and_creates_nothing_SU_1(
    puppet: Puppet, run: Run
) -> None:
    run("misfit")
    assert puppet.outcome("R1:1:1").error.type == "builtins.TypeError"
    assert not puppet.pending(wire.Submit)


def test_a_refusal_that_no_code_has_seen_becomes_the_outcome(puppet: Puppet, run: Run) -> None:
    run("forgets_refusal")
    puppet.answer(puppet.wait(wire.Submit), wire.Refusal("not_found", "no such thing"))
    error = puppet.outcome("R1:1:1").error
    assert (error.type, error.message) == ("coflux.errors.NotFound", "no such thing")


def test_a_refusal_is_raised_where_the_handle_is_used_ER_4(puppet: Puppet, run: Run) -> None:
    run("catches_refusal")
    puppet.answer(puppet.wait(wire.Submit), wire.Refusal("conflict", "twice"))
    assert puppet.value("R1:1:1") == "twice"


def test_a_handle_travels_as_a_reference_VA_4(puppet: Puppet, run: Run) -> None:
    run("passes_handle", 1)
    accept(puppet, "R1:2:1")
    (outer,) = accept(puppet, "R1:3:1")
    assert outer.submissions[0].arguments["a"].references == (Reference("execution", "R1:2:1"),)
    result = puppet.outcome("R1:1:1")
    assert result.value.references == (Reference("execution", "R1:3:1"),)


def test_a_childs_error_is_raised_as_its_own_class_and_ours_ER_1(puppet: Puppet, run: Run) -> None:
    run("catch", "value")
    frame = Frame("/x.py", 3, "add", "raise")
    error = Error("builtins.ValueError", "bad", frames=(frame,))
    puppet.answer(puppet.wait(wire.Submit), resolved(("R1:2:1", Raised(error))))
    assert puppet.value("R1:1:1") == [
        "ValueError", "bad", True, "builtins.ValueError", ["/x.py", 3, "add", "raise"],
    ]  # fmt: skip


def test_a_childs_crash_is_raised_RS(puppet: Puppet, run: Run) -> None:
    run("catch", "crash")
    puppet.answer(puppet.wait(wire.Submit), resolved(("R1:2:1", Crashed(exit_code=3))))
    kind, text, code = puppet.value("R1:1:1")
    assert (kind, code) == ("crashed", 3)
    assert "R1:2:1" in text


def test_an_error_raised_again_keeps_type_and_frames_ER_1(puppet: Puppet, run: Run) -> None:
    run("reraise")
    frame = Frame("/x.py", 3, "add", "raise")
    error = Error("elsewhere.Odd", "bad", frames=(frame,), notes=("a note",))
    puppet.answer(puppet.wait(wire.Submit), resolved(("R1:2:1", Raised(error))))
    again = puppet.outcome("R1:1:1").error
    assert (again.type, again.message, again.notes) == ("elsewhere.Odd", "bad", ("a note",))
    assert [f.function for f in again.frames] == ["reraise", "add"]
    assert again.frames[1] == frame


def test_a_wait_with_a_timeout_raises_the_builtin_error_WA_1(puppet: Puppet, run: Run) -> None:
    run("timed_out")
    accept(puppet, "R1:2:1")
    wait = puppet.wait(wire.Wait)
    assert (wait.timeout_ms, wait.suspend) == (500, False)
    puppet.answer(wait, wire.Expired())
    assert puppet.value("R1:1:1") == "timed out"


def test_polls_look_and_outcomes_are_remembered_WA_2_WA_8(puppet: Puppet, run: Run) -> None:
    run("polls")
    accept(puppet, "R1:2:1")
    look = puppet.wait(wire.Wait)
    assert (look.timeout_ms, look.suspend) == (0, False)
    puppet.answer(look, wire.Expired())
    look = puppet.wait(wire.Wait)
    assert look.timeout_ms == 1000
    puppet.answer(look, wire.Expired())
    puppet.answer(puppet.wait(wire.Wait), resolved(("R1:2:1", 3)))
    assert puppet.value("R1:1:1") == [None, "not yet", 3, 3]
    assert not puppet.pending(wire.Wait)


def test_inside_suspense_a_wait_may_suspend_and_a_poll_never_WA_3(puppet: Puppet, run: Run) -> None:
    run("suspense", 2)
    accept(puppet, "R1:2:1")
    look = puppet.wait(wire.Wait)
    assert (look.timeout_ms, look.suspend) == (0, False)
    puppet.answer(look, wire.Expired())
    wait = puppet.wait(wire.Wait)
    assert (wait.timeout_ms, wait.suspend) == (2000, True)
    puppet.send(wire.Abort("R1:1:1", now=True))
    assert puppet.wait(wire.Gone).execution == "R1:1:1"


def test_no_user_code_runs_after_a_suspension_WA_5(puppet: Puppet, run: Run) -> None:
    run("suspends")
    suspend = puppet.wait(wire.Suspend)
    assert suspend.delay_ms == 1500
    puppet.send(wire.Abort("R1:1:1", now=True))
    assert puppet.wait(wire.Gone, timeout_s=2).execution == "R1:1:1"
    assert not puppet.pending(wire.Ended)
    assert not puppet.pending(wire.Logged)


def test_outcomes_that_came_ahead_need_no_answer_EN_5(puppet: Puppet, run: Run) -> None:
    run("ahead")
    accept(puppet, "R1:2:1", "R1:3:1")
    wait = puppet.wait(wire.Wait)
    puppet.answer(wait, resolved(("R1:2:1", 10), also=(("R1:3:1", 20),)))
    assert puppet.value("R1:1:1") == 50
    assert puppet.wait(wire.Depend).handles == ("R1:3:1",)
    assert not puppet.pending(wire.Wait)
    assert not puppet.pending(wire.Depend)


def test_select_gives_the_winner_and_the_others_in_order_WA_7(puppet: Puppet, run: Run) -> None:
    run("selects")
    accept(puppet, "R1:2:1", "R1:3:1", "R1:4:1")
    wait = puppet.wait(wire.Wait)
    assert wait.first
    assert wait.cancel_remaining
    assert wait.handles == ("R1:2:1", "R1:3:1", "R1:4:1")
    puppet.answer(wait, resolved(("R1:3:1", "won")))
    assert puppet.value("R1:1:1") == ("won", ["R1:2:1", "R1:4:1"])
    assert not puppet.pending(wire.Wait)


def test_an_empty_select_is_a_value_error_WA(puppet: Puppet, run: Run) -> None:
    run("empty_select")
    assert puppet.outcome("R1:1:1").error.type == "builtins.ValueError"


def test_cancelling_several_is_one_request_CN_6(puppet: Puppet, run: Run) -> None:
    run("cancels")
    accept(puppet, "R1:2:1", "R1:3:1")
    for handles in (("R1:2:1", "R1:3:1"), ("R1:2:1",)):
        cancel = puppet.wait(wire.Cancel)
        assert cancel.handles == handles
        puppet.answer(cancel, wire.Done())
    assert puppet.value("R1:1:1") is None


def test_children_carry_the_innermost_group_SU_8(puppet: Puppet, run: Run) -> None:
    run("groups")
    submits = accept(puppet, "R1:2:1", "R1:3:1", "R1:4:1", "R1:5:1")
    assert [submit.submissions[0].group for submit in submits] == [
        Group(0, "outer"), Group(1), Group(0, "outer"), None,
    ]  # fmt: skip


def test_handles_are_awaitable_together_WA_1(puppet: Puppet, run: Run) -> None:
    run("awaits")
    accept(puppet, "R1:2:1", "R1:3:1", "R1:4:1")
    waits = [puppet.wait(wire.Wait) for _ in range(3)]
    for wait in reversed(waits):
        puppet.answer(wait, resolved((wait.handles[0], wait.handles[0])))
    assert puppet.value("R1:1:1") == ["R1:2:1", "R1:3:1", "R1:4:1"]


def test_several_threads_may_wait_at_once_WA_9(puppet: Puppet, run: Run) -> None:
    run("threads")
    submits = [puppet.wait(wire.Submit) for _ in range(4)]
    for submit in reversed(submits):
        n = values.decode(submit.submissions[0].arguments["a"], blobs=None)
        puppet.answer(submit, resolved((f"R1:{n + 2}:1", n * 10)))
    assert puppet.value("R1:1:1") == {0: 0, 1: 10, 2: 20, 3: 30}


def test_a_checkpoint_is_durable_when_it_returns_RC_5(puppet: Puppet, run: Run) -> None:
    run("checks", 4)
    checkpoint = puppet.wait(wire.Checkpoint)
    decoded = {k: values.decode(v, blobs=None) for k, v in checkpoint.arguments.items()}
    assert decoded == {"a": 5, "b": 2}
    assert not puppet.pending(wire.Ended)
    puppet.answer(checkpoint, wire.Done())
    assert puppet.value("R1:1:1") == 4


def test_a_large_value_becomes_a_blob_VA_4(puppet: Puppet, run: Run) -> None:
    run("big", 100_000)
    result = puppet.outcome("R1:1:1")
    assert isinstance(result, Returned)
    assert result.value.data is None
    assert result.value.blob is not None
    assert len(list(puppet.blobs.rglob(result.value.blob))) == 1


def test_code_in_a_forked_child_is_in_no_execution(puppet: Puppet, run: Run) -> None:
    run("own_handle")
    assert puppet.value("R1:1:1") == 7
