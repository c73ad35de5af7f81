"""`coflux gc`, and the settings that say what it takes."""

from __future__ import annotations

from typing import Any

import pytest
from puppet_server import Puppet

from .conftest import Coflux

ENVIRONMENT = {"id": "E1", "name": "default", "base": None, "state": "active"}
#: What a collection has done so far.
BEGUN = {"collection": 4, "done": False, "dry_run": False, "runs": 1, "assets": 0, "lines": 0,
         "blobs": 0, "bytes": 0}  # fmt: skip
DONE = {**BEGUN, "done": True, "runs": 1_200, "assets": 1, "lines": 7, "blobs": 3, "bytes": 5_600}


def test_a_collection_is_begun_and_then_looked_at_until_it_is_done(
    puppet: Puppet, coflux: Coflux
) -> None:
    puppet.on("POST", "/gc", BEGUN, DONE)
    ended = coflux("gc")
    assert ended.out == (
        "removed 1,200 runs, 1 asset, 7 lines of logs and points of metrics, 3 blobs (5.6 kB)\n"
    )
    asked = [call.query["collection"] for call in puppet.requests("POST", "/gc")]
    assert asked == ["0", "4"]


def test_json_says_what_would_go_and_nothing_of_how_it_was_asked(
    puppet: Puppet, coflux: Coflux
) -> None:
    puppet.on("POST", "/gc", {**DONE, "dry_run": True})
    assert coflux("gc", "--dry-run", "--json").json == {
        "project": "default", "dry_run": True, "runs": 1_200, "assets": 1, "lines": 7, "blobs": 3,
        "bytes": 5_600,
    }  # fmt: skip
    (call,) = puppet.requests("POST", "/gc")
    assert call.query["dry_run"] == "true"


@pytest.mark.parametrize(
    ("text", "count"),
    [("20GB", 20 * 10**9), ("1.5MB", 1_500_000), ("3k", 3_000), ("7", 7), ("2TB", 2 * 10**12)],
)
def test_sizes_are_given_as_people_say_them(
    puppet: Puppet, coflux: Coflux, text: str, count: int
) -> None:
    puppet.on("GET", "/environments", [ENVIRONMENT])
    shown: dict[str, Any] = {"name": "runs_kept_bytes", "value": count, "default": 0,
                             "is_set": True, "unit": "bytes", "summary": "…"}  # fmt: skip
    puppet.on("PATCH", "/environments/E1/settings", [shown])
    assert coflux("env", "settings", "default", "--set", f"runs_kept_bytes={text}").code == 0
    (call,) = puppet.requests("PATCH", "/environments/E1/settings")
    assert call.body == {"values": {"runs_kept_bytes": count}}


def test_what_is_no_size_is_refused_before_anybody_is_asked(coflux: Coflux) -> None:
    ended = coflux("env", "settings", "default", "--set", "runs_kept_bytes=much")
    assert ended.code == 2
    assert "'much' is no size; write 500MB, 20GB or a number of bytes." in ended.err
