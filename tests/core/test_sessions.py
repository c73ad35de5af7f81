"""Agents come, go and come back (SE-1 to SE-5, SE-10, T8, T16)."""

from __future__ import annotations

from coflux.model import Abandoned, Returned
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from tests.core.given import World, value


def started(world: World, **options: object) -> tuple[str, str]:
    """A session and a run of it."""
    session = world.agent()
    run = world.submit("wf", **options)
    world.start(run)
    return session, run


class TestWindows:
    def test_a_session_that_never_connects_is_over_after_ten_minutes(self, world: World) -> None:
        """Section 32."""
        world.handle(e.SessionRequested(world.caller(), "default", b"hash"))
        world.after(599_999)
        assert len(world.state.sessions) == 1
        world.after(1)
        assert world.state.sessions == {}

    def test_a_short_absence_changes_nothing(self, world: World) -> None:
        """SE-3."""
        session, run = started(world)
        world.disconnect(session)
        world.after(29_999)
        world.connect(session, held=((run, True),))
        assert world.the(fx.Welcome) == fx.Welcome(session, (run,))
        world.after(100_000)
        assert world.status(run) == "running"

    def test_a_long_one_abandons_what_it_had(self, world: World) -> None:
        """SE-3, T16: a retry may follow elsewhere."""
        session, run = started(world, retries=1)
        other = world.agent()
        world.disconnect(session)
        world.after(30_000)
        assert world.of(run).result == Abandoned("session lost")
        assert world.of("R1:1:2").assigned_to == other

    def test_a_lost_session_never_revives(self, world: World) -> None:
        """SE edge cases."""
        session, run = started(world)
        world.disconnect(session)
        world.after(30_000)
        world.connect(session, held=((run, True),))
        assert world.the(fx.Close).final

    def test_an_orderly_close_abandons_at_once(self, world: World) -> None:
        """SE-3."""
        session, run = started(world)
        world.close(session)
        assert world.of(run).result == Abandoned("closed")

    def test_a_restart_gives_each_session_a_fresh_window(self, world: World) -> None:
        """SE-3."""
        session, run = started(world)
        world.disconnect(session)
        world.after(20_000)
        world.now += 10**6
        world.restart()
        world.after(29_999)
        assert world.status(run) == "running"
        world.after(1)
        assert world.status(run) == "abandoned"

    def test_a_late_notice_of_an_old_connection_is_ignored(self, world: World) -> None:
        """SE-1."""
        session, run = started(world)
        old = world.state.sessions[session].connection
        assert old is not None
        world.connect(session, held=((run, True),))
        assert world.sent(fx.Close) == [
            fx.Close(session, old, "another connection took the session")
        ]
        world.handle(e.SessionDisconnected(session, old))
        assert world.changes == []
        world.after(100_000)
        assert world.status(run) == "running"


class TestSettling:
    def test_what_was_never_acknowledged_is_sent_again(self, world: World) -> None:
        """T8: to the same session."""
        session = world.agent()
        run = world.submit("wf")
        world.disconnect(session)
        world.connect(session)
        assert world.executed == [run]
        assert world.recorded(c.Assigned) == []

    def test_so_is_what_is_not_acknowledged_in_time(self, world: World) -> None:
        """T8."""
        world.agent()
        run = world.submit("wf")
        assert world.after(14_999) == []
        assert [x.execution for x in world.after(1) if isinstance(x, fx.Execute)] == [run]
        world.handle(e.AssignmentAcknowledged(world.of(run).assigned_to or "", run))
        assert world.after(30_000) == []

    def test_what_was_acknowledged_and_is_gone_is_abandoned(self, world: World) -> None:
        """T16."""
        session, run = started(world)
        world.disconnect(session)
        world.connect(session)
        assert world.status(run) == "abandoned"

    def test_what_the_agent_says_is_running_has_started(self, world: World) -> None:
        """SE-4: the report is still on the way."""
        session = world.agent()
        run = world.submit("wf")
        world.disconnect(session)
        world.connect(session, held=((run, True),))
        assert world.status(run) == "running"
        world.start(run)
        assert world.changes == []

    def test_what_it_should_not_hold_is_not_in_the_welcome(self, world: World) -> None:
        """SE-4."""
        session, run = started(world)
        other = world.submit("wf")
        world.start(other)
        world.disconnect(session)
        world.cancel(run)
        world.connect(session, held=((run, True), (other, True), ("R9:1:1", True)))
        assert world.the(fx.Welcome).keep == (other,)

    def test_a_process_that_is_gone_gives_its_slot_back(self, world: World) -> None:
        """SE-4, ST-5."""
        session = world.agent(concurrency=1)
        run = world.submit("wf")
        world.start(run)
        world.cancel(run)
        following = world.submit("wf")
        world.disconnect(session)
        world.connect(session, concurrency=1)
        assert world.executed == [following]


class TestIncarnations:
    def test_a_new_process_delivers_what_its_predecessor_had_stored(self, world: World) -> None:
        """SE-2: it lists those as held, and what else there was is abandoned."""
        session, run = started(world)
        lost = world.submit("wf")
        world.start(lost)
        world.disconnect(session)
        world.connect(session, incarnation="second", held=((run, False),))
        assert world.status(lost) == "abandoned"
        world.end(run, Returned(value(5)))
        assert world.status(run) == "value"

    def test_a_stored_outcome_is_that_of_a_dead_process(self, world: World) -> None:
        """SE-6: nobody is left to report the group dead, and the retry need not wait for it."""
        session, run = started(world, retries=1, timeout_ms=1_000)
        other = world.submit("wf")
        world.start(other)
        world.cancel(other)
        world.disconnect(session)
        held = ((run, True), (other, True))
        world.connect(session, incarnation="second", held=held)
        assert world.state.sessions[session].used == 1
        world.times_out(run, gone=False)
        assert world.executed == ["R1:1:2"]
        assert world.state.sessions[session].used == 1

    def test_it_is_known_for_a_dead_process_also_after_a_restart(self, world: World) -> None:
        """SE-6, SE-10."""
        session, run = started(world)
        world.disconnect(session)
        world.connect(session, incarnation="second", held=((run, True),))
        world.restart()
        world.connect(session, incarnation="second", held=((run, True),))
        world.end(run, Returned(value(5)), gone=False)
        assert world.state.sessions[session].held == {}

    def test_a_new_process_never_gets_what_the_old_may_have_started(self, world: World) -> None:
        """SE-2, SE-5: the acknowledgement may have been lost with the old one."""
        session = world.agent()
        run = world.submit("wf")
        world.disconnect(session)
        world.connect(session, incarnation="second")
        assert world.executed == []
        assert world.of(run).result == Abandoned("the agent was started anew")

    def test_an_assignment_is_never_given_to_another_session(self, world: World) -> None:
        """SE-5."""
        session = world.agent()
        run = world.submit("wf")
        other = world.agent()
        world.disconnect(session)
        world.after(29_000)
        assert world.of(run).assigned_to == session
        world.after(1_000)
        assert world.status(run) == "abandoned"
        assert world.state.sessions[other].used == 0


class TestRestart:
    def test_no_decision_is_taken_twice(self, world: World) -> None:
        """SE-10: the rows of live work are applied, and nothing follows from that."""
        started(world)
        world.submit("wf", delay_ms=500)
        world.restart()
        assert [type(x) for x in world.changes] == [c.Connected]
        assert world.effects == []

    def test_an_assignment_lost_between_commit_and_sending_is_sent_at_reconnect(
        self, world: World
    ) -> None:
        """SE-10."""
        session = world.agent()
        run = world.submit("wf")
        world.restart()
        world.connect(session)
        assert world.executed == [run]

    def test_what_the_agent_has_is_not_sent_again(self, world: World) -> None:
        """SE-5: acknowledgements are not on disk."""
        session = world.agent()
        run = world.submit("wf")
        world.handle(e.AssignmentAcknowledged(session, run))
        world.restart()
        world.connect(session, held=((run, False),))
        assert world.executed == []
        assert world.status(run) == "assigned"

    def test_a_process_that_was_being_stopped_still_holds_back_its_successor(
        self, world: World
    ) -> None:
        """ST-5, SE-10."""
        session, run = started(world)
        again = world.rerun(run)
        world.restart()
        assert world.reason(again).data["ids"] == [run]
        world.connect(session, held=((run, True),))
        assert world.status(again) == "queued"
        world.dies(run)
        assert world.executed == [again]

    def test_a_process_of_a_finished_run_that_dies_after_a_restart_is_heard(
        self, world: World
    ) -> None:
        """ST-5, SE-10: the run is not in memory when the report comes."""
        session, run = started(world)
        world.cancel(run)
        world.restart(live_only=True)
        world.connect(session, held=((run, True),))
        assert world.state.sessions[session].used == 1
        world.handle(e.ProcessDied(session, run))
        assert world.recorded(c.ProcessEnded) == [c.ProcessEnded(run, world.now)]
        assert world.state.sessions[session].used == 0

    def test_one_that_died_unheard_holds_nothing_when_its_run_is_read(self, world: World) -> None:
        """ST-5, SE-4: its agent came back without it."""
        session, run = started(world)
        world.cancel(run)
        world.restart(live_only=True)
        world.connect(session)
        world.await_outcome(run)
        assert world.recorded(c.ProcessEnded) == [c.ProcessEnded(run, world.now)]
        assert world.state.sessions[session].used == 0
        assert world.status(world.rerun(run)) == "assigned"

    def test_a_successor_is_not_held_back_by_a_session_that_is_over(self, world: World) -> None:
        """ST-5: also where the end of the session is all that is known."""
        session, run = started(world)
        again = world.rerun(run)
        world.journal = [x for x in world.journal if getattr(x, "session", "") != session or
                         isinstance(x, c.Assigned)]  # fmt: skip
        world.is_checking = world.is_replayed = False
        world.restart()
        world.agent()
        assert world.status(again) == "assigned"
