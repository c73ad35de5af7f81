"""What is refused as a body is decoded, before anything comes of it (LI-1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coflux.errors import InvalidRequest
from coflux.server.bodies import Manifests, NewRun, decode_body


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"retries": -1}, "options.retries"),
        ({"retries": {"limit": -1}}, "options.retries.limit"),
        ({"retries": {"jitter": 2}}, "options.retries.jitter"),
        ({"delay_ms": -1}, "options.delay_ms"),
        ({"delay_ms": 2**63 - 1}, "options.delay_ms"),
        ({"timeout_ms": -1}, "options.timeout_ms"),
        ({"priority": 2**70}, "options.priority"),
        ({"requires": {"": ["x"]}}, "options.requires"),
        ({"requires": {"a": ["x" * 65]}}, "options.requires[...][0]"),
        ({"requires": {str(n): True for n in range(11)}}, "options.requires"),
    ],
)
def test_an_option_out_of_bounds_is_refused_with_the_path_of_its_field_LI_1(
    options: dict[str, Any], field: str
) -> None:
    body = json.dumps({"target": "repo/wf", "options": options}).encode()
    with pytest.raises(InvalidRequest) as refused:
        decode_body(body, NewRun)
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize(
    "options", [{"priority": 2**70}, {"slots": {"gpu": 0}}, {"cache": {"max_age_ms": -1}}]
)
def test_the_bounds_hold_for_encoded_calls_and_for_manifests_as_well_LI_1(
    options: dict[str, Any],
) -> None:
    call = {"submission": {"repository": "repo", "target": "wf", "options": options}}
    with pytest.raises(InvalidRequest, match=r"at `submission\.options"):
        decode_body(json.dumps(call).encode(), NewRun)
    manifests = {"repo": [{"name": "wf", "type": "workflow", "options": options}]}
    body = json.dumps({"environment": "default", "manifests": manifests}).encode()
    with pytest.raises(InvalidRequest, match=r"at `manifests.*options"):
        decode_body(body, Manifests)
