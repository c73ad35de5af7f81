"""Repositories: what is found, what fails, what is loaded again, what is registered (CO, SC-10)."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet

import coflux as cf
from coflux import pickled, wire
from coflux.agent import loader
from coflux.blobs import LocalBlobs
from coflux.model import Raised

FLOW = """
import coflux as cf

@cf.task
def answer():
    return {answer}
"""


def targets(hello: wire.Hello | wire.Announced) -> dict[str, set[str]]:
    return {r.name: {t.name for t in r.targets} for r in hello.repositories}


def test_packages_are_hosted_with_all_below_them_but_private_modules_CO(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("pkg/__init__.py", "")
    agent.write("pkg/flows.py", FLOW.format(answer=1) + "from pkg.deep.tasks import deep\n")
    agent.write("pkg/_private.py", FLOW.format(answer=2))
    agent.write("pkg/deep/__init__.py", "")
    agent.write(
        "pkg/deep/tasks.py",
        """
        import coflux as cf

        @cf.task
        def deep():
            return "deep"

        shallow = deep.with_timeout(3)

        @cf.stub("elsewhere")
        def far():
            pass
        """,
    )
    agent.start("pkg")
    found = targets(puppet.hellos[0])
    # A target that is imported elsewhere counts once, at home; copies and stubs do not count.
    assert found == {
        "pkg": set(), "pkg.flows": {"answer"}, "pkg.deep": set(), "pkg.deep.tasks": {"deep"},
    }  # fmt: skip
    puppet.execute("R1:1:1", "deep", repository="pkg.deep.tasks")
    assert puppet.value("R1:1:1") == "deep"


def test_a_file_is_named_by_its_stem_and_finds_its_neighbours(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("sub/neighbour.py", "VALUE = 42\n")
    agent.write("sub/json.py", "")
    agent.write("sub/work.py", "from neighbour import VALUE\n" + FLOW.format(answer="VALUE"))
    agent.start("sub/work.py")
    assert targets(puppet.hellos[0]) == {"work": {"answer"}}
    puppet.execute("R1:1:1", "answer", repository="work")
    assert puppet.value("R1:1:1") == 42


def test_a_repository_that_fails_keeps_no_other_back_CO_6(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("good.py", FLOW.format(answer=1))
    agent.write(
        "bad.py", "import coflux\n\ndef helper():\n    raise RuntimeError('boom')\n\nhelper()\n"
    )
    agent.write("worse.py", "import sys\nsys.exit(3)\n")
    agent.start("bad.py", "good.py", "worse.py")
    by_name = {r.name: r for r in puppet.hellos[0].repositories}
    assert [t.name for t in by_name["good"].targets] == ["answer"]
    failure = by_name["bad"].failure
    assert failure is not None
    assert failure.startswith("Traceback")
    assert "RuntimeError: boom" in failure
    assert "loader.py" not in failure
    assert "SystemExit" in (by_name["worse"].failure or "")
    puppet.execute("R1:1:1", "answer", repository="good")
    assert puppet.value("R1:1:1") == 1
    # Should it be assigned nevertheless, it is an error with the original exception (ER-3).
    puppet.execute("R1:2:1", "anything", repository="bad")
    result = puppet.outcome("R1:2:1")
    assert isinstance(result, Raised)
    assert (result.error.type, result.error.message) == ("builtins.RuntimeError", "boom")
    assert [frame.function for frame in result.error.frames] == ["<module>", "helper"]
    assert "bad cannot be imported" in agent.said()


def test_an_import_that_kills_the_process_is_a_failure_CO_6(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("deadly.py", "import os\nos._exit(9)\n")
    agent.start("deadly.py")
    (repository,) = puppet.hellos[0].repositories
    assert "exited with code 9" in (repository.failure or "")


def test_an_unknown_module_is_a_failure(puppet: Puppet, agent: AgentProcess) -> None:
    agent.start("no.such.module")
    (repository,) = puppet.hellos[0].repositories
    assert repository.name == "no.such.module"
    assert "ModuleNotFoundError" in (repository.failure or "")


def test_a_change_loads_a_new_generation_before_the_old_one_drains_SC_10(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("helper.py", "VALUE = 1\n")
    agent.write(
        "flow.py",
        """
        import os, time
        import coflux as cf
        from helper import VALUE

        @cf.task
        def answer():
            return VALUE

        @cf.task
        def wait_for(a):
            while not os.path.exists(a):
                time.sleep(0.01)
            return VALUE
        """,
    )
    agent.start("flow.py", reload=True)
    goes_on = agent.folder / "goes on"
    puppet.execute("R1:1:1", "wait_for", str(goes_on))
    puppet.wait(wire.Started)
    old = agent.zygote()
    code = {t.name: t.code for t in puppet.hellos[0].repositories[0].targets}
    agent.write("helper.py", "VALUE = 2\n")
    announced = puppet.wait(wire.Announced)
    assert {t.name: t.code for t in announced.repositories[0].targets} != code
    puppet.execute("R1:2:1", "answer")
    assert puppet.value("R1:2:1") == 2
    assert old.is_running()
    goes_on.touch()
    assert puppet.value("R1:1:1") == 1
    puppet.until(lambda: not old.is_running())


def test_a_mistake_and_its_correction_are_loaded_again(puppet: Puppet, agent: AgentProcess) -> None:
    agent.write("flow.py", FLOW.format(answer=1))
    agent.start("flow.py", reload=True)
    agent.write("flow.py", "this is no python\n")
    announced = puppet.wait(wire.Announced)
    assert "SyntaxError" in (announced.repositories[0].failure or "")
    agent.write("flow.py", FLOW.format(answer=3))
    announced = puppet.wait(wire.Announced)
    assert targets(announced) == {"flow": {"answer"}}
    puppet.execute("R1:1:1", "answer")
    assert puppet.value("R1:1:1") == 3


def test_reused_processes_of_the_old_code_are_not_used_any_more(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("flow.py", FLOW.format(answer=1))
    agent.start("flow.py", reload=True, isolation="reuse")
    puppet.execute("R1:1:1", "answer")
    assert puppet.value("R1:1:1") == 1
    agent.write("flow.py", FLOW.format(answer=2))
    puppet.wait(wire.Announced)
    for step in range(4):
        puppet.execute(f"R2:{step}:1", "answer")
        assert puppet.value(f"R2:{step}:1") == 2


@pytest.mark.parametrize("option", ["register", "dev"])
def test_workflows_and_sensors_are_registered_and_tasks_are_not_CO_1_CO_2(
    puppet: Puppet, agent: AgentProcess, option: str
) -> None:
    agent.write(
        "flow.py",
        FLOW.format(answer=1)
        + """
@cf.workflow
def flow(a: int = 3):
    '''Doc.'''

@cf.sensor
def sensor():
    pass
""",
    )
    agent.start("flow.py", **{option: True})
    puppet.until(lambda: bool(puppet.manifests))
    body = puppet.manifests[0]
    assert body["environment"] == "default"
    assert {t["name"]: t.get("type", "task") for t in body["manifests"]["flow"]} == {
        "flow": "workflow", "sensor": "sensor",
    }  # fmt: skip
    assert puppet.requests[0].get("create") == (True if option == "dev" else None)


def test_an_agent_that_was_not_asked_to_registers_nothing_CO_2(
    puppet: Puppet, agent: AgentProcess
) -> None:
    agent.write("flow.py", FLOW.format(answer=1))
    agent.start("flow.py")
    puppet.execute("R1:1:1", "answer")
    puppet.value("R1:1:1")
    assert puppet.manifests == []


def test_a_generic_agent_runs_pickled_targets_CO_4(puppet: Puppet, agent: AgentProcess) -> None:
    space = {"__name__": "__main__", "cf": cf}
    exec("@cf.task\ndef triple(a):\n    print('here')\n    return a * 3", space)
    blob = LocalBlobs(puppet.blobs).put_bytes(pickled.dump(space["triple"]))  # type: ignore[arg-type]
    agent.start()
    puppet.execute("R1:1:1", "triple", 4, repository="notebook", pickle=blob)
    assert puppet.value("R1:1:1") == 12
    puppet.execute("R1:2:1", "triple", 4, repository="notebook", pickle="0" * 64)
    assert puppet.outcome("R1:2:1").error.type == "coflux.errors.NotFound"


def test_two_targets_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(FLOW.format(answer=1) + FLOW.format(answer=2).replace(
        "def answer", "def other"
    ).replace("@cf.task", "@cf.task(name='answer')"))  # fmt: skip
    loaded = loader.load(["twice.py"], tmp_path)
    assert "two targets of twice are named 'answer'" in loaded.failures["twice"][1]
