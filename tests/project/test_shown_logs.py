"""How a log entry is shown (LO-1, LO-3)."""

from __future__ import annotations

from typing import Any

import pytest

from coflux import values
from coflux.model import LogEntry
from coflux.server.views.lists import show_log


@pytest.mark.parametrize(
    ("level", "template", "given", "shown_template", "text"),
    [
        ("info", "hello {name}", {"name": "Ada", "n": 1}, "hello {name}", "hello Ada n=1"),
        ("info", "{stray} {", {}, "{stray} {", "{stray} {"),
        ("info", "", {"steps": 3}, None, "steps=3"),
        ("stdout", "", {}, "", ""),
        ("stdout", "{not} filled", {}, "{not} filled", "{not} filled"),
    ],
)
def test_a_line_is_shown_with_its_values_with_or_without_a_template(
    level: Any, template: str, given: dict[str, Any], shown_template: str | None, text: str
) -> None:
    encoded = {label: values.encode(value, blobs=None) for label, value in given.items()}
    shown = show_log(LogEntry("R1:1:1", 1, 5, level, template, encoded))
    assert (shown["template"], shown["text"]) == (shown_template, text)
