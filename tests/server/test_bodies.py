"""What is refused as a body is decoded, with the path of the field at fault (LI-1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coflux.errors import InvalidRequest
from coflux.server.bodies import NewHook, NewRun, Rerun, SlotDefinition, decode_body


@pytest.mark.parametrize(
    ("type", "body", "field"),
    [
        (NewRun, {"bogus": 1}, "bogus"),
        (NewRun, {"arguments": "x"}, "arguments"),
        (NewRun, {"options": {"delay_ms": "x"}}, "options.delay_ms"),
        (NewRun, {"options": {"requires": {"gpu": 1}}}, "options.requires[...]"),
        (SlotDefinition, {"limit": 1.5}, "limit"),
    ],
)
def test_a_field_that_does_not_fit_is_named_by_its_path_LI_1(
    type: Any, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_body(json.dumps(body).encode(), type)
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize(
    ("type", "body", "message"),
    [
        (Rerun, {"code": "new"}, "'new' is not one of current, original (at `code`)."),
        (
            NewHook,
            {"name": "x", "kind": "command", "outcomes": ["failed", "late"]},
            "'late' is not one of succeeded, failed, cancelled (at `outcomes[1]`).",
        ),
        (
            NewRun,
            {"submission": {"repository": "r", "target": "t", "type": "job"}},
            "'job' is not one of workflow, task, sensor (at `submission.type`).",
        ),
        (
            NewRun,
            {
                "submission": {
                    "repository": "r",
                    "target": "t",
                    "type": "task",
                    "arguments": {"a": {"format": "zip"}},
                }
            },
            "'zip' is not one of native, pickle, default (at `submission.arguments[...].format`).",
        ),
    ],
)
def test_a_value_that_is_not_among_the_allowed_is_refused_with_them_LI_1(
    type: Any, body: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_body(json.dumps(body).encode(), type)
    assert str(refused.value) == message
