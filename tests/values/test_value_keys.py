"""VA-3, CA-3, CA-4: equal content has one key, other content another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_values_round_trip import Handle, Secret
from value_samples import NATIVE, Plain
from value_strategies import members, modest, trees

from coflux.blobs import LocalBlobs
from coflux.values import encode

HERE = str(Path(__file__).parent)


def key(obj: Any) -> bytes:
    found = encode(obj, blobs=None).key
    assert found is not None
    return found


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_va_3_keys_are_the_same_in_every_process(seed: str) -> None:
    path = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
    made = subprocess.run(
        [sys.executable, os.path.join(HERE, "value_samples.py")],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    assert json.loads(made.stdout) == {name: key(obj).hex() for name, obj in NATIVE.items()}


def test_va_3_all_samples_have_keys_of_their_own() -> None:
    assert len({key(obj) for obj in NATIVE.values()}) == len(NATIVE)


def test_va_3_types_that_compare_equal_have_other_keys() -> None:
    alike = [1, 1.0, True, "1", b"1", [1], (1,), {1}, frozenset({1}), {1: None}, 0.0, -0.0, False]
    assert len({key(obj) for obj in alike}) == len(alike)
    assert len({key([obj]) for obj in alike}) == len(alike)


def test_va_3_length_prefixes_keep_neighbours_apart() -> None:
    alike: list[Any] = [["ab", "c"], ["a", "bc"], [["ab"], "c"], [["ab", "c"]], ["abc"]]
    assert len({key(obj) for obj in alike}) == len(alike)


@modest
@given(st.dictionaries(members, trees, max_size=4), st.randoms())
def test_va_3_the_order_of_a_dict_does_not_count(obj: dict[Any, Any], random: Any) -> None:
    items = list(obj.items())
    random.shuffle(items)
    assert key(dict(items)) == key(obj)
    assert key([{"a": dict(items)}]) == key([{"a": obj}])


@modest
@given(st.dictionaries(st.text(max_size=3), trees, max_size=4), st.randoms())
def test_va_3_the_order_of_names_does_not_count(obj: dict[str, Any], random: Any) -> None:
    items = list(obj.items())
    random.shuffle(items)
    assert key(dict(items)) == key(obj)
    assert key(({1: dict(items)},)) == key(({1: obj},))


@modest
@given(st.lists(members, max_size=6), st.randoms())
def test_va_3_the_order_of_a_set_does_not_count(items: list[Any], random: Any) -> None:
    shuffled = list(dict.fromkeys(items))
    members = set(shuffled)
    random.shuffle(shuffled)
    if {(type(x), repr(x)) for x in members} == {(type(x), repr(x)) for x in set(shuffled)}:
        assert key(members) == key(set(shuffled))


@modest
@given(trees, st.integers(0, 100))
def test_va_3_keys_do_not_depend_on_thresholds_or_blobs(
    tmp_path_factory: pytest.TempPathFactory, obj: Any, limit: int
) -> None:
    blobs = LocalBlobs(tmp_path_factory.getbasetemp() / "blobs")
    assert encode(obj, blobs=blobs, inline_limit=limit).key == key(obj)


@modest
@given(trees, trees)
def test_other_trees_have_other_keys(a: Any, b: Any) -> None:
    # Their representations tell trees apart, but for the order in dicts and sets.
    if key(a) == key(b):
        assert sorted(repr(a)) == sorted(repr(b))


def test_ca_3_references_count_by_position_so_that_they_can_be_substituted() -> None:
    one, two = encode([Handle("R1"), 1], blobs=None), encode([Handle("R2"), 1], blobs=None)
    assert one.key == two.key
    assert one.references != two.references
    twice = encode([Handle("R1"), Handle("R1")], blobs=None)
    assert twice.key == encode([Handle("R1"), Handle("R2")], blobs=None).key
    assert [reference.id for reference in twice.references] == ["R1", "R1"]


def test_ca_3_references_are_numbered_in_canonical_order() -> None:
    one = encode({"a": Handle("R1"), "b": [{2: Handle("R2"), 1: Handle("R3")}]}, blobs=None)
    two = encode({"b": [{1: Handle("R3"), 2: Handle("R2")}], "a": Handle("R1")}, blobs=None)
    assert (one.key, one.references) == (two.key, two.references)
    sets = [encode(set(map(Handle, ids)), blobs=None) for ids in (["R1", "R2"], ["R2", "R1"])]
    assert sets[0].references == sets[1].references
    keyed = [encode({Handle(a): 1, Handle(b): 1}, blobs=None) for a, b in ("pq", "qp")]
    assert (keyed[0].key, keyed[0].references) == (keyed[1].key, keyed[1].references)


def test_ca_3_a_secret_counts_by_its_name() -> None:
    assert key([Secret("a")]) == key([Secret("a")])
    assert key([Secret("a")]) != key([Secret("b")])
    assert key([Secret("a")]) != key(["a"])


def test_ca_4_the_type_that_prevents_a_key_is_named() -> None:
    value = encode({"model": [1, Plain(2)]}, blobs=None)
    assert (value.key, value.unkeyable) == (None, "value_samples.Plain")
