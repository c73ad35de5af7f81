"""What the operator may set by variables of the environment."""

from __future__ import annotations

import pytest

from coflux.errors import InvalidRequest
from coflux.server.core.turn import Limits
from coflux.server.project.settings import limits_from


def test_without_variables_the_limits_are_the_documented_ones() -> None:
    assert limits_from({"COFLUX_RECONNECT_MS": ""}) == Limits()


def test_a_variable_sets_its_limit_and_no_other() -> None:
    limits = limits_from({"COFLUX_RECONNECT_MS": "1500"})
    assert (limits.reconnect_ms, limits.start_ms) == (1500, Limits().start_ms)


def test_what_is_kept_how_long_can_be_set_for_all_projects() -> None:
    names = ("RUNS_KEPT", "LOGS_KEPT", "BLOB_GRACE")
    limits = limits_from({f"COFLUX_{name}_MS": "7" for name in names})
    assert (limits.runs_kept_ms, limits.logs_kept_ms, limits.blob_grace_ms) == (7, 7, 7)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "30s"])
def test_what_is_no_time_is_refused_naming_the_variable(text: str) -> None:
    with pytest.raises(InvalidRequest, match="COFLUX_START_MS"):
        limits_from({"COFLUX_START_MS": text})
