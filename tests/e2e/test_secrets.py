"""Secrets never leave the agent: not in values, logs, errors, keys, or files of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import make_stack
from .stack import Stack

PASSWORD = 'hunter2 "and" more\nsecond-line'
TOKEN = "tok-" + "abcdef" * 4


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with make_stack() as stack:
        (stack.folder / "password").write_text(PASSWORD + "\n")
        stack.start_server()
        stack.start_agent(
            "vault.py", "--register", "--secret", f"PASSWORD={stack.folder / 'password'}",
            TOKEN=TOKEN,
        )  # fmt: skip
        yield stack
        # Not even by accident: nothing that the server keeps has it.
        for file in stack.data_dir.rglob("*"):
            if file.is_file() and not file.is_socket():
                data = file.read_bytes()
                for content in (b"hunter2", b"second-line", TOKEN.encode()):
                    assert content not in data, file


def test_a_secret_is_used_and_hidden_wherever_it_is_said(stack: Stack) -> None:
    run = stack.submit("vault/talk")
    assert stack.value(run) == len(PASSWORD)
    texts = [entry["text"] for entry in stack.logs(run)]
    assert "by a child ***" in texts
    assert "*** in two" in texts
    assert any(text.startswith("printed ***") for text in texts)
    assert any("logged ***" in text for text in texts)
    assert any(text.startswith("labelled ***") for text in texts)


def test_a_key_has_the_name_and_a_second_call_hits_CA_3(stack: Stack) -> None:
    first, second = stack.submit("vault/talk"), stack.submit("vault/talk")
    for run in (first, second):
        stack.value(run)
    assert stack.execution(f"{second}:2")["status"] == "cached"
    assert "PASSWORD" in str(stack.client().inspect(second)["steps"][1]["arguments"])


def test_an_error_is_told_without_it(stack: Stack) -> None:
    error = stack.outcome(stack.submit("vault/fails")).body["error"]
    assert error["type"] == "builtins.ValueError"
    assert "hunter2" not in str(error)


def test_a_value_that_holds_it_is_refused_with_the_way_out_VA_2(stack: Stack) -> None:
    for target, place in (("returns", "result"), ("passes", "text")):
        error = stack.outcome(stack.submit(f"vault/{target}")).body["error"]
        assert error["type"] == "coflux.errors.NotSerialisable"
        assert error["message"] == (
            f"{place} holds the content of the secret 'PASSWORD', which must not leave the agent;"
            " pass cf.Secret('PASSWORD') on instead"
        )


def test_a_secret_that_the_agent_lacks_is_an_error_with_the_way_out(stack: Stack) -> None:
    error = stack.outcome(stack.submit("vault/unknown")).body["error"]
    assert error["type"] == "coflux.errors.NotFound"
    assert "start it with --secret NO_SUCH=FILE, or with the variable NO_SUCH" in error["message"]


def test_variables_are_secrets_too_and_last_lines_are_masked(stack: Stack) -> None:
    outcome = stack.outcome(stack.submit("vault/crashes"))
    assert outcome.kind == "crashed"
    assert outcome.body["last_lines"] == ["going with ***"]


def test_an_agent_with_a_file_that_is_not_there_does_not_start(stack: Stack) -> None:
    done = stack.cli("agent", "vault.py", "--secret", "PASSWORD=/no/such/file")
    assert done.code == 2
    assert "--secret PASSWORD" in done.err
    assert "No such file" in done.err
    assert stack.cli("agent", "--secret", "1x=f").code == 2
