"""Running commands in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from puppet_server import Puppet

from coflux import cli


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON document."""
        return json.loads(self.out)


Coflux = Callable[..., Ended]


@pytest.fixture
def coflux(
    puppet: Puppet,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Coflux:
    """Runs a command against the puppet."""
    monkeypatch.setenv("COFLUX_HOST", puppet.url)
    monkeypatch.setenv("COFLUX_TOKEN", puppet.token)

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = cli.execute(list(arguments))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
