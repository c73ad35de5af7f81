"""Asking people (IN): one input for each key of a run, one end, and no answer that nobody wants."""

from __future__ import annotations

from coflux.model import Cancelled, Dismissed, Returned
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core.entities import Execution
from coflux.server.core.inputs import is_awaited
from tests.core.given import World, handles, value


def asking(world: World, environment: str = "default", **options: object) -> str:
    """A running workflow with an agent."""
    found = world.state.environment_named(environment)
    assert found is not None
    if all(s.environment != found.id for s in world.state.sessions.values()):
        world.agent(environment=environment)
    parent = world.submit("wf", environment=environment, **options)
    world.start(parent)
    return parent


def awaited(world: World, input: str) -> bool:
    return is_awaited(world.state, world.machine.agenda, input)


class TestAsking:
    def test_a_question_is_open_at_once_and_waited_for_when_somebody_waits_IN_1(
        self, world: World
    ) -> None:
        parent = asking(world)
        input = world.asks(parent)
        assert input == "R1/i1"
        assert world.asked(input).state == "open"
        assert not awaited(world, input)
        world.waits(parent, input)
        assert awaited(world, input)
        assert world.status(parent) == "waiting"
        assert world.reason(parent).text == f"waits for an answer to {input}"

    def test_asking_records_no_dependency_and_waiting_records_one_EN_5(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        assert not world.of(parent).dependencies
        world.waits(parent, input, timeout=0)
        assert list(world.of(parent).dependencies) == [input]

    def test_inputs_are_numbered_in_their_run_ID_2(self, world: World) -> None:
        parent = asking(world)
        child = world.calls(parent, "t", 1)
        world.start(child)
        assert [world.asks(parent, "a"), world.asks(child, "b")] == ["R1/i1", "R1/i2"]

    def test_code_that_has_ended_asks_nothing_ST_6(self, world: World) -> None:
        parent = asking(world)
        world.cancel(parent)
        world.asks(parent)
        assert "has ended" in world.refusal("conflict")


class TestKeys:
    def test_the_same_question_is_asked_once_in_a_run_IN_2(self, world: World) -> None:
        parent = asking(world)
        first = world.asks(parent, "Ship {x}?", placeholders={"x": value(1)})
        assert world.asks(parent, "Ship {x}?", placeholders={"x": value(1)}) == first
        assert not world.recorded(c.InputCreated)
        assert world.asks(parent, "Ship {x}?", placeholders={"x": value(2)}) != first

    def test_each_part_but_the_initial_value_makes_another_question_IN_2(
        self, world: World
    ) -> None:
        parent = asking(world)
        plain = world.asks(parent)
        others = [
            world.asks(parent, **fields)
            for fields in (
                {"schema": "{}"}, {"title": "T"}, {"actions": ("A", "B")},
                {"requires": {"role": ("boss",)}}, {"key": "k"},
            )
        ]  # fmt: skip
        assert len({plain, *others}) == 6
        assert world.asks(parent, schema="{}", initial="1") == others[0]

    def test_the_order_of_a_schema_s_names_does_not_count_IN_2(self, world: World) -> None:
        parent = asking(world)
        one = world.asks(parent, schema='{"type": "object", "title": "T"}')
        assert world.asks(parent, schema='{"title":"T","type":"object"}') == one

    def test_a_given_key_alone_decides_IN_2(self, world: World) -> None:
        parent = asking(world)
        one = world.asks(parent, "Ship {x}?", placeholders={"x": value(1)}, key="ship")
        assert world.asks(parent, "Ship {x}?", placeholders={"x": value(2)}, key="ship") == one

    def test_a_given_key_of_another_question_is_a_conflict_IN_2(self, world: World) -> None:
        parent = asking(world)
        world.asks(parent, "a", key="k")
        for template, fields in (
            ("b", {}), ("a", {"schema": "true"}), ("a", {"requires": {"r": True}}),
        ):  # fmt: skip
            assert world.asks(parent, template, key="k", **fields) == ""
            assert "'k' is that of R1/i1" in world.refusal("conflict")
        assert world.asks(parent, "a", key="k", title="another title") == "R1/i1"

    def test_another_run_asks_for_itself_IN_2(self, world: World) -> None:
        one, other = asking(world), asking(world)
        assert world.asks(one) == "R1/i1"
        assert world.asks(other) == "R2/i1"

    def test_a_retry_and_a_re_run_find_the_answer_IN_2(self, world: World) -> None:
        parent = asking(world, retries=1)
        input = world.asks(parent)
        world.answer(input)
        world.fails(parent)
        second = "R1:1:2"
        world.start(second)
        assert world.asks(second) == input
        world.returns(second)
        again = world.rerun(parent)
        world.start(again)
        assert world.asks(again) == input
        world.waits(again, input)
        assert world.answers()[0][1] == {input: "value"}

    def test_a_child_environment_inherits_answers_and_gives_none_EV_1(self, world: World) -> None:
        world.environment("dev", "default")
        world.agent(environment="dev")
        parent = asking(world)
        world.returns(parent)
        below = world.rerun(parent, "dev")
        world.start(below)
        mine = world.asks(below)
        assert world.asked(mine).environment != world.of(parent).environment
        again = world.rerun(parent)
        world.start(again)
        own = world.asks(again)
        assert own != mine
        assert world.asks(again, "Another?") == "R1/i3"
        assert world.asks(below, "Another?") == "R1/i3"
        # The nearest comes first, or a later question of the base would change what it got.
        assert world.asks(below) == mine

    def test_what_was_cancelled_with_its_run_is_asked_anew(self, world: World) -> None:
        """Decision 0060: nobody has answered it, and a re-run must be able to go on."""
        parent = asking(world)
        first = world.asks(parent)
        world.cancel("R1")
        world.dies(parent)
        again = world.rerun(parent)
        world.start(again)
        assert world.asks(again) == "R1/i2" != first

    def test_what_was_cancelled_by_name_stays_so(self, world: World) -> None:
        """Decision 0060: an attempt that goes on must find what it has done."""
        parent = asking(world)
        first = world.asks(parent)
        world.child_cancels(parent, first)
        assert world.asks(parent) == first


class TestAnswering:
    def test_the_answer_comes_in_the_commit_of_the_response_RS_2(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        to = world.waits(parent, input)
        world.answer(input, 7)
        answered = fx.Answer(to, (fx.Outcome(input, input, Returned(value(7))),))
        assert world.the(fx.Answer) == answered
        assert world.status(parent) == "running"
        assert world.the(fx.Confirm).data == {"input": input}

    def test_a_second_response_is_a_conflict_that_says_who_was_first_IN_3(
        self, world: World
    ) -> None:
        input = world.asks(asking(world))
        world.answer(input, by="alice")
        world.answer(input, "no", by="bob")
        assert "was answered by alice already" in world.refusal("conflict")
        world.dismiss(input)
        world.refusal("conflict")
        assert world.asked(input).answer == value("yes")

    def test_dismissing_tells_who_waits_IN_3(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.waits(parent, input)
        world.dismiss(input, by="bob")
        assert world.the(fx.Answer).outcomes[0].result == Dismissed("bob")

    def test_what_is_answered_never_suspends_WA_3(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.answer(input)
        world.waits(parent, input, timeout=0, suspend=True)
        assert world.status(parent) == "running"

    def test_an_unknown_input_is_not_found_ID_4(self, world: World) -> None:
        parent = asking(world)
        world.answer("R1/i9")
        world.refusal("not_found")
        world.waits(parent, "R1/i9")
        assert "no input R1/i9" in world.refusal("not_found")

    def test_a_client_waits_for_an_answer(self, world: World) -> None:
        input = world.asks(asking(world))
        token = world.await_outcome(input)
        assert awaited(world, input)
        world.answer(input)
        assert [to.token for to, _ in world.answers()] == [token]  # type: ignore[union-attr]

    def test_an_answer_of_a_run_that_was_let_go_of_is_found_again_DM_1(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.answer(input)
        world.returns(parent)
        world.evict("R1")
        assert input not in world.state.inputs
        other = asking(world)
        world.waits(other, input)
        assert world.answers()[0][1] == {input: "value"}


class TestWaiting:
    def test_a_wait_inside_suspense_gives_up_its_process_until_the_answer_WA_3(
        self, world: World
    ) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.waits(parent, input, timeout=0, suspend=True)
        assert world.status(parent) == "suspended"
        world.dies(parent)
        assert world.reason("R1:1:2").text == f"waits for an answer to {input}"
        assert world.reason("R1:1:2").data == {"ids": [input]}
        assert awaited(world, input)
        world.answer(input)
        assert world.executed == ["R1:1:2"]

    def test_of_a_suspended_select_the_first_answer_is_enough_WA_7(self, world: World) -> None:
        parent = asking(world)
        one, two = world.asks(parent, "a"), world.asks(parent, "b")
        world.waits(parent, one, two, timeout=0, suspend=True, first=True)
        world.dies(parent)
        assert "the first of an answer to R1/i1, an answer to R1/i2" in world.reason("R1:1:2").text
        world.answer(two)
        assert world.executed == ["R1:1:2"]
        world.start("R1:1:2")
        world.waits("R1:1:2", one, two, first=True)
        assert world.answers()[0][1] == {two: "value"}

    def test_select_takes_both_kinds_and_never_cancels_inputs_WA_7(self, world: World) -> None:
        parent = asking(world)
        child = world.calls(parent, "t", 1)
        world.start(child)
        input = world.asks(parent)
        world.waits(parent, input, child, first=True, cancel_remaining=True)
        world.returns(child)
        assert world.answers()[0][1] == {child: "value"}
        assert world.asked(input).state == "open"

    def test_an_answer_that_wins_has_the_executions_cancelled_WA_7(self, world: World) -> None:
        parent = asking(world)
        child = world.calls(parent, "t", 1)
        world.start(child)
        input = world.asks(parent)
        world.waits(parent, child, input, first=True, cancel_remaining=True)
        world.answer(input)
        assert world.answers()[0][1] == {input: "value"}
        assert world.status(child) == "cancelled"

    def test_a_wait_for_an_input_closes_no_circle_and_holds_no_slot_WA_9(
        self, world: World
    ) -> None:
        world.agent(concurrency=1)
        parent = asking(world)
        input = world.asks(parent)
        world.waits(parent, input)
        other = world.submit("t")
        assert world.status(other) == "assigned"

    def test_inputs_do_not_gate_DL_2(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        child = world.calls(parent, "t", handles(input), wait=True)
        assert world.status(child) == "assigned"

    def test_in_keys_an_input_counts_as_its_id_CA_3(self, world: World) -> None:
        parent = asking(world)
        one, two = world.asks(parent, "a"), world.asks(parent, "b")
        first = world.calls(parent, "t", handles(one), memo=True)
        assert world.calls(parent, "t", handles(two), memo=True) != first
        assert world.calls(parent, "t", handles(one), memo=True) == first

    def test_a_call_with_a_handle_to_nothing_is_refused_LI_1(self, world: World) -> None:
        parent = asking(world)
        assert world.calls(parent, "t", handles("R1/i7")) == ""
        assert "refers to R1/i7" in world.refusal("not_found")

    def test_waits_survive_a_restart_SE_10(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.waits(parent, input, timeout=0, suspend=True)
        world.restart()
        assert awaited(world, input)
        (session,) = world.state.sessions
        world.connect(session, held=((parent, True),))
        world.dies(parent)
        world.answer(input)
        assert world.executed == ["R1:1:2"]

    def test_a_paused_environment_still_takes_answers_ST_2(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.waits(parent, input, timeout=0, suspend=True)
        world.dies(parent)
        world.put("default", "paused")
        assert awaited(world, input)
        world.answer(input)
        assert world.executed == []
        world.put("default", "active")
        assert world.executed == ["R1:1:2"]


class TestCancelling:
    def test_cancelled_by_name_it_tells_who_waits_IN_6(self, world: World) -> None:
        parent = asking(world)
        child = world.calls(parent, "t", 1)
        world.start(child)
        input = world.asks(parent)
        world.waits(parent, input)
        world.child_cancels(child, input)
        assert world.asked(input).state == "cancelled"
        assert world.the(fx.Answer).outcomes[0].result == Cancelled(child, "requested")

    def test_several_are_cancelled_together_or_none_CN_6(self, world: World) -> None:
        world.environment("dev", "default")
        world.agent(environment="dev")
        parent = asking(world)
        input = world.asks(parent)
        world.returns(parent, handles(input))
        below = world.submit("wf", environment="dev")
        world.start(below)
        mine = world.asks(below)
        world.child_cancels(below, mine, input)
        assert "may not be cancelled" in world.refusal("forbidden")
        assert world.asked(mine).is_open
        assert world.cancel(mine) == [mine]
        assert world.cancel(mine) == []

    def test_cancelling_an_execution_leaves_its_inputs_CN_3(self, world: World) -> None:
        parent = asking(world)
        child = world.calls(parent, "t", 1)
        world.start(child)
        input = world.asks(child)
        world.cancel(child)
        assert world.asked(input).is_open

    def test_cancelling_the_run_cancels_them_IN_6(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.cancel("R1")
        assert world.asked(input).state == "cancelled"

    def test_archiving_the_environment_closes_them_and_tells_who_waits_EV_5(
        self, world: World
    ) -> None:
        world.environment("dev")
        world.agent(environment="dev")
        asker = asking(world, "dev")
        input = world.asks(asker)
        world.agent()
        waiter = asking(world)
        world.waits(waiter, input)
        world.put("dev", "archived")
        assert world.asked(input).state == "cancelled"
        assert world.answers()[0][1] == {input: "cancelled"}

    def test_when_the_run_is_finished_and_nobody_refers_to_it_it_is_cancelled_IN_6(
        self, world: World
    ) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.returns(parent)
        assert world.asked(input).state == "cancelled"
        assert world.recorded(c.InputEnded)[0].cause == "its run ended"

    def test_a_result_that_refers_to_it_keeps_it_open_IN_6(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        world.returns(parent, handles(input))
        assert world.asked(input).is_open
        assert not world.machine.is_evictable("R1")
        world.answer(input)
        assert world.machine.is_evictable("R1")

    def test_an_unfinished_execution_that_has_the_handle_keeps_it_open_IN_6(
        self, world: World
    ) -> None:
        parent = asking(world)
        input = world.asks(parent)
        other = world.submit("t", handles(input))
        world.start(other)
        world.returns(parent)
        assert world.asked(input).is_open
        world.returns(other)
        assert world.asked(input).state == "cancelled"

    def test_a_suspended_one_that_waits_for_it_keeps_it_open_IN_6(self, world: World) -> None:
        parent = asking(world)
        input = world.asks(parent)
        other = asking(world)
        world.waits(other, input, timeout=0, suspend=True)
        world.returns(parent)
        assert world.asked(input).is_open
        world.restart(live_only=True)
        assert world.asked(input).is_open
        world.answer(input)
        assert world.executed == []  # its agent is away
        assert world.of("R2:1:2").gate == (input,)
        assert execution_is_free(world, "R2:1:2")

    def test_a_retry_that_asks_again_keeps_it_open_IN_6(self, world: World) -> None:
        parent = asking(world, retries=1)
        input = world.asks(parent)
        world.fails(parent)
        assert world.asked(input).is_open


def execution_is_free(world: World, id: str) -> bool:
    """Whether nothing that it waited for holds it back."""
    execution: Execution = world.of(id)
    return all(world.state.is_resolved(handle) for handle in execution.gate)
