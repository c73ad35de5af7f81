"""How a refusal of the core begins when it is told to people (ER-4)."""

from __future__ import annotations

import pytest

from coflux.server.project.calls import sentence


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("no run can be started", None, "No run can be started"),
        ("environment 'dev' exists already", "environment", "Environment 'dev' exists already"),
        ("priority is from 1 to 2, not 3", "options.priority", "priority is from 1 to 2, not 3"),
        ("requires has at most 10 keys", "options.requires", "requires has at most 10 keys"),
        ("delay_ms is from 0 to 5, not 9", "options.delay_ms", "delay_ms is from 0 to 5, not 9"),
        ("cache.max_age_ms is from 0 to 5", None, "cache.max_age_ms is from 0 to 5"),
        ("'x' is no name", "name", "'x' is no name"),
        ("", None, ""),
    ],
)
def test_a_sentence_has_a_capital_and_a_field_keeps_its_name(
    message: str, field: str | None, said: str
) -> None:
    assert sentence(message, field) == said
