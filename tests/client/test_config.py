"""Where settings come from."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from coflux import config
from coflux.errors import InvalidRequest


def write_runtime_file(url: str, data_dir: Path, pid: int | None = None) -> None:
    pid = os.getpid() if pid is None else pid
    folder = config.runtime_directory()
    folder.mkdir(parents=True, exist_ok=True)
    content = {"url": url, "token": "from-file", "pid": pid, "data_dir": str(data_dir)}
    (folder / f"server-{pid}.json").write_text(json.dumps(content))


def test_without_any_source_there_are_defaults(bare: Path) -> None:
    settings = config.resolve()
    assert (settings.host, settings.token) == ("http://127.0.0.1:7777", None)
    assert (settings.project, settings.environment) == ("default", "default")
    assert settings.data_dir == Path(".coflux")


def test_flags_win_over_variables_and_variables_over_the_file(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "coflux.toml").write_text(
        'host = "file:1"\nproject = "file"\nenvironment = "file"\ntoken = "file"\n'
    )
    monkeypatch.setenv("COFLUX_PROJECT", "variable")
    monkeypatch.setenv("COFLUX_ENVIRONMENT", "variable")
    settings = config.resolve(environment="flag")
    assert settings.host == "http://file:1"
    assert (settings.project, settings.environment) == ("variable", "flag")
    assert settings.token == "file"
    assert settings.sources["environment"] == "--environment"
    assert settings.sources["project"] == "COFLUX_PROJECT"
    assert settings.sources["host"] == str(bare / "coflux.toml")


def test_an_empty_variable_counts_as_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFLUX_PROJECT", "")
    assert config.resolve().project == "default"


def test_the_nearest_file_upwards_counts_and_its_data_dir_is_relative_to_it(bare: Path) -> None:
    (bare / "coflux.toml").write_text('data_dir = "store"\nproject = "outer"\n')
    below = bare / "a" / "b"
    below.mkdir(parents=True)
    settings = config.resolve(directory=below)
    assert settings.data_dir == bare / "store"
    (bare / "a" / "coflux.toml").write_text('project = "inner"\n')
    assert config.resolve(directory=below).project == "inner"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hots = 'x'", "key 'hots'"),
        ("project = 3", "project must be text"),
        ("project = ", "cannot be read"),
    ],
)
def test_a_file_with_a_mistake_is_refused_naming_it(bare: Path, text: str, message: str) -> None:
    (bare / "coflux.toml").write_text(text)
    with pytest.raises(InvalidRequest, match=message):
        config.resolve()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("https://example.org/prefix/", "https://example.org/prefix"),
        ("http://[::1]:7777", "http://[::1]:7777"),
    ],
)
def test_a_host_is_a_url_or_host_and_port(text: str, url: str) -> None:
    assert config.address(text) == url


@pytest.mark.parametrize("text", ["ftp://x", "http://", "host:port", "http://x/?token=1", ""])
def test_what_is_no_address_is_refused_naming_its_source(text: str) -> None:
    with pytest.raises(InvalidRequest, match="COFLUX_HOST"):
        config.address(text, "COFLUX_HOST")


def test_a_running_server_is_found_with_its_token(bare: Path) -> None:
    write_runtime_file("http://127.0.0.1:4321/", bare / "d")
    settings = config.resolve()
    assert (settings.host, settings.token) == ("http://127.0.0.1:4321", "from-file")


def test_a_dead_server_is_not_found(bare: Path) -> None:
    write_runtime_file("http://127.0.0.1:4321/", bare / "d", pid=2**22 + 1)
    assert config.resolve().host == config.DEFAULT_HOST


def test_a_token_is_taken_for_the_address_it_belongs_to_and_no_other(bare: Path) -> None:
    write_runtime_file("http://127.0.0.1:4321/", bare / "d")
    assert config.resolve(host="127.0.0.1:4321").token == "from-file"
    assert config.resolve(host="example.org").token is None


def test_a_token_beside_another_address_is_not_sent_to_the_one_chosen(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a kernel of Jupyter, variables name its own server; a flag may name another."""
    monkeypatch.setenv("COFLUX_HOST", "http://127.0.0.1:8888/coflux")
    monkeypatch.setenv("COFLUX_TOKEN", "of-8888")
    assert config.resolve(host="example.org").token is None
    assert config.resolve(host="127.0.0.1:8888/coflux/").token == "of-8888"
    assert config.resolve().token == "of-8888"
    (bare / "coflux.toml").write_text('host = "file:1"\ntoken = "of-file"\n')
    assert config.resolve(host="file:1").token == "of-file"
    monkeypatch.delenv("COFLUX_HOST")
    assert config.resolve(host="example.org").token == "of-8888"


def test_a_half_written_runtime_file_is_passed_over(bare: Path) -> None:
    folder = config.runtime_directory()
    folder.mkdir(parents=True)
    (folder / f"server-{os.getpid()}.json").write_text('{"url": "http://')
    assert config.running_servers() == []


def test_servers_are_found_by_the_data_they_serve(bare: Path) -> None:
    write_runtime_file("http://127.0.0.1:4321/", bare / "d")
    assert [s.url for s in config.running_servers(Path("d"))] == ["http://127.0.0.1:4321"]
    assert config.running_servers(Path("other")) == []


def test_writing_keeps_other_lines_and_hides_a_token(bare: Path) -> None:
    path = bare / "coflux.toml"
    path.write_text('# ours\nproject = "old"\n')
    config.write_file(path, {"project": 'a "b" \\', "token": "cft_x"})
    assert path.read_text().startswith("# ours\n")
    assert config.read_file(path) == {"project": 'a "b" \\', "token": "cft_x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_not_part_of_what_is_shown() -> None:
    settings = config.resolve(token="cft_secret", host="h:1")
    assert "cft_secret" not in repr(settings)
