"""VA-5, VA-6: JSON and previews, without anybody's classes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from value_samples import NATIVE, PICKLED, Plain
from value_strategies import modest, trees

from coflux.blobs import LocalBlobs
from coflux.errors import InvalidRequest
from coflux.values import decode, encode, from_json, pickled_by, preview, to_json

json_trees: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@modest
@given(json_trees)
def test_va_6_json_goes_in_and_comes_out(obj: Any) -> None:
    value = from_json(obj)
    assert value.key == encode(obj, blobs=None).key
    assert to_json(value, None) == (True, obj)
    assert json.loads(json.dumps(decode(value, blobs=None))) == obj


@pytest.mark.parametrize(
    "obj",
    [(1,), {1: 2}, b"x", [b"x"], math.nan, [math.inf], {1}, "\ud800", {"a": [(1,)]}, Plain(1)],
    ids=lambda obj: "object" if isinstance(obj, Plain) else repr(obj),
)
def test_what_is_not_json_has_no_json_form(obj: Any) -> None:
    assert to_json(encode(obj, blobs=None), None) == (False, None)


def test_json_is_read_from_blobs_up_to_a_limit(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    value = encode(["x"] * 5000, blobs=blobs)
    assert value.blob is not None
    assert to_json(value, blobs) == (True, ["x"] * 5000)
    assert to_json(value, blobs, limit=4096) == (False, None)


def test_json_above_the_limit_is_refused_naming_it() -> None:
    with pytest.raises(InvalidRequest, match="x takes 103 bytes, and the limit is 50"):
        from_json("x" * 101, limit=50, path="x")


def test_json_nested_too_deep_is_refused() -> None:
    obj: Any = []
    for _ in range(600):
        obj = [obj]
    with pytest.raises(InvalidRequest, match="nested more than 500 levels"):
        from_json(obj)


def test_va_5_json_needs_no_class_of_the_value() -> None:
    value = encode({"a": [NATIVE["dataclass"], NATIVE["enum"]], "b": PICKLED["plain"]}, blobs=None)
    code = (
        "import sys, msgspec; from coflux.model import Value; from coflux.values import to_json\n"
        "value = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Value)\n"
        "assert to_json(value, None) == (False, None)\n"
        "assert not {'value_samples', 'cloudpickle', 'numpy'} & set(sys.modules)"
    )
    import msgspec

    subprocess.run([sys.executable, "-c", code], input=msgspec.msgpack.encode(value), check=True)


def test_va_2_pickled_parts_are_marked_with_types_and_python_version() -> None:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    value = encode([1, Plain(2)], blobs=None)
    assert pickled_by(value, None) == (python, ["value_samples.Plain"])
    assert pickled_by(encode([(1,)], blobs=None), None) is None


@modest
@given(trees)
def test_previews_are_short_and_of_one_line(obj: Any) -> None:
    text = preview(obj)
    assert len(text) <= 200
    assert "\n" not in text


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Lengthy:
    def __repr__(self) -> str:
        return "line\n" * 10_000


def test_previews_survive_rude_and_lengthy_objects() -> None:
    name = f"{__name__}.Rude"
    assert preview(Rude()) == f"<{name}>"
    assert preview([1, Rude()]) == f"[1, <{name}>]"
    assert len(preview(Lengthy())) == 200
    assert encode(Rude(), blobs=None).preview == f"<{name}>"


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        ([1, "a", None], "[1, 'a', None]"),
        ((1,), "(1,)"),
        ({"a": {1: 2}}, "{'a': {1: 2}}"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        ([[[[[1]]]]], "[[[[[…]]]]]"),
        ("x" * 300, "'" + "x" * 198 + "…"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_previews_look_like_python(obj: Any, text: str) -> None:
    assert preview(obj) == text


def test_previews_of_huge_numbers_are_short_and_quick() -> None:
    assert len(preview(10**100_000)) <= 200
    assert len(preview([10**100_000] * 3)) <= 200
