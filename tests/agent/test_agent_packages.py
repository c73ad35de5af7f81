"""A generic agent whose packages are not those that a target was made with (CO-3, CO-4)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess
from agent_puppet import Puppet

import coflux as cf
from coflux import packages, pickled, wire
from coflux.blobs import LocalBlobs

Pickle = Callable[[str, str], str]


def install(folder: Path, version: str, module: str = "weather") -> None:
    """A package of one module, as an installer leaves it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(f"VERSION = {version!r}\nclass Reading: pass\n")
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(f"{module}\n")


def forget() -> None:
    """As in a process that has just begun."""
    for cached in (packages._owner, packages._owners, packages._recorded, packages.installed):
        cached.cache_clear()
    sys.modules.pop("weather", None)


@pytest.fixture
def pickle(puppet: Puppet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pickle]:
    """Pickles a task `read` as a notebook would that has `weather` in a certain version."""

    def make(version: str, source: str) -> str:
        folder = tmp_path / f"notebook-{version}"
        if not folder.exists():
            install(folder, version)
        forget()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            space: dict[str, Any] = {"__name__": "__main__", "cf": cf}
            exec(source, space)
            return LocalBlobs(puppet.blobs).put_bytes(pickled.dump(space["read"]))

    yield make
    forget()


MENTIONS = "import weather\n@cf.task\ndef read():\n    return weather.VERSION"
IMPORTS = "@cf.task\ndef read():\n    import weather\n    return weather.VERSION"
PLAIN = "@cf.task\ndef read():\n    return 'plain'"


def run(puppet: Puppet, step: int, blob: str) -> Any:
    puppet.execute(f"R1:{step}:1", "read", repository="notebook", pickle=blob)
    return puppet.value(f"R1:{step}:1")


def announced(puppet: Puppet) -> list[dict[str, tuple[str, ...]]]:
    """What the agent has said of repositories, message by message."""
    return [
        {each.name: each.remarks for each in message.repositories}
        for message in puppet.pending(wire.Announced)
    ]


@pytest.mark.parametrize("source", [MENTIONS, IMPORTS])
def test_another_version_is_told_in_the_log_and_once_by_the_agent(
    puppet: Puppet, agent: AgentProcess, pickle: Pickle, source: str
) -> None:
    install(agent.folder, "2.4.1")
    blob = pickle("2.3.9", source)
    agent.start()
    text = "read was made with weather 2.3.9 (here 2.4.1); results may differ"
    assert [run(puppet, step, blob) for step in (1, 2)] == ["2.4.1", "2.4.1"]
    for step in (1, 2):
        [entry] = puppet.logs(f"R1:{step}:1", bool)
        assert (entry.level, entry.template) == ("warning", text)
    assert agent.said().count(text) == 1
    puppet.until(lambda: announced(puppet) == [{"notebook": (text,)}])
    puppet.disconnect()
    puppet.until(lambda: len(puppet.hellos) == 2)
    assert puppet.hellos[1].repositories == (wire.Repository("notebook", remarks=(text,)),)


def test_what_was_said_of_a_target_ends_with_its_next_version(
    puppet: Puppet, agent: AgentProcess, pickle: Pickle
) -> None:
    install(agent.folder, "2.4.1")
    agent.start()
    run(puppet, 1, pickle("2.3.9", MENTIONS))
    run(puppet, 2, pickle("2.3.9", PLAIN))
    puppet.until(lambda: announced(puppet)[1:] == [{}])


def test_a_version_of_the_same_series_is_not_mentioned(
    puppet: Puppet, agent: AgentProcess, pickle: Pickle
) -> None:
    install(agent.folder, "2.4.1")
    agent.start()
    assert run(puppet, 1, pickle("2.4.0", MENTIONS)) == "2.4.1"
    assert run(puppet, 2, pickle("2.4.0", PLAIN)) == "plain"
    assert announced(puppet) == []
    assert "made with" not in agent.said()


def test_a_missing_package_is_an_error_that_names_it_CO_4(
    puppet: Puppet, agent: AgentProcess, pickle: Pickle
) -> None:
    agent.start()
    blob = pickle("2.3.9", MENTIONS)
    puppet.execute("R1:1:1", "read", repository="notebook", pickle=blob)
    message = puppet.outcome("R1:1:1").error.message
    assert "needs the module 'weather', which this agent does not have" in message
    assert "install weather==2.3.9, with which it was made, where the agent runs" in message


def test_a_missing_package_that_is_imported_late_is_told_before(
    puppet: Puppet, agent: AgentProcess, pickle: Pickle
) -> None:
    agent.start()
    puppet.execute("R1:1:1", "read", repository="notebook", pickle=pickle("2.3.9", IMPORTS))
    assert puppet.outcome("R1:1:1").error.type == "builtins.ModuleNotFoundError"
    entries = puppet.logs("R1:1:1", bool)
    assert "weather 2.3.9 (not installed here)" in entries[0].template


@pytest.mark.parametrize(
    ("there", "here", "is_told"),
    [
        ("1.2.3", "1.2.9", False),
        ("1.2.3", "1.3.0", True),
        ("1", "1.0.4", False),
        ("2024.1", "2024.2", True),
        ("0.4.1", "0.4.2", True),
        ("0.4.1", "0.4.1", False),
        ("1!2.0", "1!2.0.post1", False),
        ("dev", "dev", False),
        ("dev", "1.0", True),
    ],
)
def test_the_first_two_parts_of_a_version_count_and_all_before_version_1(
    there: str, here: str, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "installed", lambda: {"a-b": here})
    assert (packages.differences([f"A_b=={there}"]) is not None) is is_told


def test_many_differences_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed", lambda: {f"p{n}": "2" for n in range(7)})
    text = packages.differences([f"p{n}==1" for n in range(7)]) or ""
    assert "p4 1 (here 2) and 2 more; results may differ" in text


def test_packages_of_the_users_own_modules_count_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CO-3: they travel by name, and what they import has to be there."""
    install(tmp_path / "site", "3.0")
    (tmp_path / "site" / "helper.py").write_text("from weather import Reading\n")
    forget()
    monkeypatch.syspath_prepend(tmp_path / "site")
    space: dict[str, Any] = {"__name__": "__main__", "cf": cf}
    exec("import helper\n@cf.task\ndef read():\n    return helper.Reading", space)
    assert pickled.make_body(space["read"]).modules >= {"helper", "weather"}
    sys.modules.pop("helper")
    forget()
