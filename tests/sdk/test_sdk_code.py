"""The identity of code (CO-5), and targets as bytes (CO-3)."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import coflux as cf
from coflux import pickled

Write = Callable[..., ModuleType]

SOURCE = """
import json
import coflux as cf
from helper_module import helped, Shape

LIMIT = {limit}

@cf.task
def target(x):
    '''Doc.'''
    return helped(x) + LIMIT

@cf.task
def unrelated(x):
    return x
"""

HELPER = """
def deeper(x):
    return x + {deep}

def helped(x):
    return deeper(x)

class Shape:
    pass

def not_called():
    return {other}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    monkeypatch.syspath_prepend(str(tmp_path))
    count = 0

    def write(limit: int = 1, deep: int = 1, other: int = 1, header: str = "") -> ModuleType:
        nonlocal count
        count += 1
        for name in ("code_module", "helper_module"):
            sys.modules.pop(name, None)
        folder = tmp_path / str(count)
        folder.mkdir()
        monkeypatch.syspath_prepend(str(folder))
        (folder / "code_module.py").write_text(header + SOURCE.format(limit=limit))
        (folder / "helper_module.py").write_text(HELPER.format(deep=deep, other=other))
        return importlib.import_module("code_module")

    yield write
    for name in ("code_module", "helper_module"):
        sys.modules.pop(name, None)


def test_equal_code_has_equal_identities_wherever_it_stands_CO_5(write: Write) -> None:
    first = write().target.code()
    assert first == write().target.code()
    assert first == write(header="# moved down\n\n\n").target.code()


def test_a_change_in_what_it_calls_changes_the_identity_CO_5(write: Write) -> None:
    base = write()
    assert write(deep=2).target.code() != base.target.code()
    assert write(limit=2).target.code() != base.target.code()


def test_a_change_in_what_it_does_not_call_does_not_CO_5(write: Write) -> None:
    base = write()
    assert write(other=2).target.code() == base.target.code()
    assert write(limit=2).unrelated.code() == base.unrelated.code()


def in_main(source: str) -> dict[str, Any]:
    """Names defined as if in a notebook's cell."""
    space: dict[str, Any] = {"__name__": "__main__", "cf": cf}
    exec(textwrap.dedent(source), space)
    return space


def test_a_target_travels_with_the_globals_it_mentions_CO_3() -> None:
    space = in_main(
        """
        FACTOR = 3

        @cf.task(timeout=5, retries=cf.Retries(2, when=ValueError))
        def other(x):
            return x

        @cf.task(timeout=5, retries=cf.Retries(2, when=ValueError))
        def target(x, y=4):
            other
            return x * FACTOR + y
        """
    )
    target = pickled.load(pickled.dump(space["target"]))
    assert target(2) == 10
    assert (target.name, target.options) == ("target", space["target"].options)
    assert target.when == (ValueError,)
    mentioned = target.__wrapped__.__globals__["other"]
    assert (mentioned.name, mentioned.options.timeout_ms) == ("other", 5000)


def test_what_cannot_be_pickled_is_named_CO_3() -> None:
    space = in_main(
        """
        import threading
        LOCK = threading.Lock()

        @cf.task
        def target():
            with LOCK:
                pass
        """
    )
    with pytest.raises(cf.NotSerialisable, match="it mentions 'LOCK'"):
        pickled.dump(space["target"])


def test_another_pythons_pickle_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pickled.dump(in_main("@cf.task\ndef target(): pass")["target"])
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"else")
    with pytest.raises(cf.CofluxError, match="was pickled by Python"):
        pickled.load(data)
    with pytest.raises(cf.CofluxError, match="no pickled target"):
        pickled.load(b"something")
