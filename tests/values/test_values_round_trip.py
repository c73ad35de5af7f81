"""VA-1, VA-2, VA-4, VA-6: what goes in comes out, and what cannot is named."""

from __future__ import annotations

import collections
import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from value_samples import NATIVE, PICKLED, Plain, same
from value_strategies import modest, trees

from coflux.blobs import LocalBlobs
from coflux.errors import CofluxError, NotFound, NotSerialisable
from coflux.model import Reference, Value
from coflux.values import decode, encode


def back(obj: Any) -> Any:
    return decode(encode(obj, blobs=None), blobs=None)


@pytest.mark.parametrize("name", NATIVE)
def test_va_1_native_samples_come_back_exactly_and_have_a_key(name: str) -> None:
    value = encode(NATIVE[name], blobs=None)
    assert (value.format, value.unkeyable) == ("native", None)
    assert value.key is not None
    assert same(decode(value, blobs=None, allow_pickle=False), NATIVE[name])


@pytest.mark.parametrize("name", PICKLED)
def test_va_2_other_samples_are_pickled_come_back_and_have_no_key(name: str) -> None:
    value = encode(PICKLED[name], blobs=None)
    assert (value.format, value.key) == ("pickle", None)
    assert value.unkeyable
    assert same(decode(value, blobs=None), PICKLED[name])
    with pytest.raises(CofluxError, match="pickled objects"):
        decode(value, blobs=None, allow_pickle=False)


@modest
@given(trees)
def test_va_1_any_tree_comes_back_exactly(obj: Any) -> None:
    assert same(back(obj), obj)


@modest
@given(st.binary() | st.lists(st.integers(0, 255)).map(bytes))
def test_damaged_data_is_a_named_error_and_never_a_crash(data: bytes) -> None:
    try:
        decode(Value(data=data), blobs=None, allow_pickle=False)
    except CofluxError:
        pass


@modest
@given(trees, st.data())
def test_cut_off_data_is_refused(obj: Any, data: st.DataObject) -> None:
    whole = encode(obj, blobs=None).data
    assert whole is not None
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CofluxError):
        decode(Value(data=cut), blobs=None)


def test_shared_odd_objects_stay_shared() -> None:
    odd = Plain(1)
    result = back([odd, {"again": odd}])
    assert result[0] is result[1]["again"]


def test_a_list_holding_odd_objects_keeps_the_rest_native() -> None:
    value = encode([{"a": 1}, Plain(2)], blobs=None)
    assert value.data is not None
    assert b"\x81\xa1a\x01" in value.data


def nested(levels: int, wrap: Any) -> Any:
    obj: Any = 1
    for _ in range(levels):
        obj = wrap(obj)
    return obj


@pytest.mark.parametrize(
    "wrap",
    [lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: {1: x}, Plain],
    ids=["list", "tuple", "named", "numbered", "object"],
)
def test_five_hundred_levels_are_fine(wrap: Any) -> None:
    levels = 100 if wrap is Plain else 500
    assert back(nested(levels, wrap)) == nested(levels, wrap)


@pytest.mark.parametrize(
    "wrap",
    [lambda x: [x], lambda x: (x,), lambda x: {"a": x}],
    ids=["list", "tuple", "named"],
)
def test_more_than_five_hundred_levels_are_refused(wrap: Any) -> None:
    with pytest.raises(NotSerialisable, match="nested more than 500 levels"):
        encode(nested(501, wrap), blobs=None)


def test_cyclic_values_are_refused_naming_the_path() -> None:
    items: list[Any] = [1]
    items.append({"x": (items,)})
    with pytest.raises(NotSerialisable, match=r'^result\[1\]\["x"\]\[0\]: list contains itself'):
        encode(items, blobs=None, path="result")


def generated() -> Iterator[int]:
    yield 1


def test_va_2_what_cannot_be_pickled_is_named_by_its_path() -> None:
    with pytest.raises(NotSerialisable, match=r'^result\["a"\]\[3\]: generator ') as caught:
        encode({"a": [0, Plain(1), 2, generated()]}, blobs=None, path="result")
    assert caught.value.fields == {"path": 'result["a"][3]', "type": "generator"}


def test_va_2_the_path_leads_into_objects_that_are_pickled() -> None:
    odd = Plain({"rows": [0, iter(memoryview(b"x"))]})
    with pytest.raises(NotSerialisable, match=r'^argument x\[0\]\.x\["rows"\]\[1\]: '):
        encode([odd], blobs=None, path="argument x")


def test_subclasses_of_builtins_do_not_decay() -> None:
    for obj in (PICKLED["my int"], PICKLED["my list"], collections.defaultdict(list, a=[1])):
        assert type(back([obj])[0]) is type(obj)


# --- blobs --------------------------------------------------------------------------------------


def test_va_4_data_above_the_threshold_becomes_a_blob(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    small, large = "x" * 4090, "x" * 4097
    assert encode(small, blobs=blobs).blob is None
    value = encode(large, blobs=blobs)
    assert (value.data, value.blob is not None, value.size) == (None, True, 4100)
    assert decode(value, blobs=blobs) == large
    assert len(value.preview) <= 200


def test_va_4_a_missing_or_damaged_blob_is_an_error_naming_it(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    value = encode([0] * 5000, blobs=blobs)
    assert value.blob is not None
    blobs.path(value.blob).write_bytes(b"other")
    with pytest.raises(CofluxError, match=f"{value.blob} is damaged"):
        decode(value, blobs=blobs)
    blobs.path(value.blob).unlink()
    with pytest.raises(NotFound, match=value.blob):
        decode(value, blobs=blobs)


# --- references ---------------------------------------------------------------------------------


class Handle:
    def __init__(self, id: str) -> None:
        self.id = id

    def __coflux_reference__(self) -> Reference:
        return Reference("execution", self.id)

    def __eq__(self, other: object) -> bool:
        return type(other) is Handle and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class Secret:
    def __init__(self, name: str) -> None:
        self.name = name

    def __coflux_secret__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return type(other) is Secret and other.name == self.name


def make_handle(reference: Reference) -> Handle:
    return Handle(reference.id)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda h: h,
        lambda h: [1, h],
        lambda h: {"a": (h, [h])},
        lambda h: {h: 1, "x": h},
        lambda h: {h, Handle("R2")},
        lambda h: Plain([h, {"k": h}]),
        lambda h: [Plain(h), h, Secret("db"), Plain(Secret("db"))],
    ],
)
def test_va_4_handles_at_any_depth_are_references_outside_the_data(wrap: Any) -> None:
    value = encode(wrap(Handle("Rxyz")), blobs=None)
    assert Reference("execution", "Rxyz") in value.references
    assert b"Rxyz" not in (value.data or b"")
    result = decode(value, blobs=None, make_handle=make_handle, make_secret=Secret)
    assert result == wrap(Handle("Rxyz"))


def test_without_a_maker_references_stand_as_they_are() -> None:
    assert back([Handle("R")]) == [Reference("execution", "R")]
    assert back(Reference("asset", "A")) == Reference("asset", "A")


def test_a_reference_to_nowhere_is_refused() -> None:
    value = msgspec.structs.replace(encode([Handle("R")], blobs=None), references=())
    with pytest.raises(CofluxError, match="reference 0 of 0"):
        decode(value, blobs=None)


# --- classes ------------------------------------------------------------------------------------


def local_class() -> Any:
    @dataclasses.dataclass
    class Local:
        x: int

    return Local


def test_classes_that_nobody_can_import_travel_along_and_still_have_a_key() -> None:
    local = local_class()
    value = encode([local(1), local(2)], blobs=None)
    assert (value.format, value.unkeyable) == ("pickle", None)
    assert value.key == encode([local(1), local(2)], blobs=None).key
    assert value.key != encode([local(1), local(3)], blobs=None).key
    result = decode(value, blobs=None)
    assert [type(item) is local for item in result] == [True, True]
    assert [item.x for item in result] == [1, 2]


SCRIPT = """
import base64, dataclasses, enum, sys
from coflux.values import encode
import msgspec
@dataclasses.dataclass
class Point:
    x: int
class Kind(enum.Enum):
    A = 1
sys.stdout.write(msgspec.json.encode(encode([Point(3), Kind.A], blobs=None)).decode())
"""


def test_classes_of_a_script_come_back_in_another_process() -> None:
    made = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    point, kind = decode(msgspec.json.decode(made.stdout, type=Value), blobs=None)
    assert (type(point).__name__, point.x, kind.name) == ("Point", 3, "A")


def test_va_6_a_class_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    source = "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\nclass B: pass\n"
    (tmp_path / "gone_module.py").write_text(source)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import gone_module as g, msgspec\n"
        "from coflux.values import encode\n"
        "made = [encode([g.A(1)], blobs=None), encode([g.B()], blobs=None)]\n"
        "sys.stdout.write(msgspec.json.encode(made).decode())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    by_name, pickled = msgspec.json.decode(made.stdout, type=list[Value])
    with pytest.raises(CofluxError, match=r"gone_module\.A.* cannot be imported here"):
        decode(by_name, blobs=None)
    with pytest.raises(CofluxError, match=r"gone_module\.B"):
        decode(pickled, blobs=None)


def test_va_2_pickles_of_another_python_are_refused_before_they_are_read() -> None:
    value = encode(Plain(1), blobs=None)
    assert value.data is not None
    from importlib.util import MAGIC_NUMBER

    other = msgspec.structs.replace(value, data=value.data.replace(MAGIC_NUMBER, b"\x01\x00\r\n"))
    with pytest.raises(CofluxError, match=r"value_samples\.Plain.*written by Python 3\.\d+, which"):
        decode(other, blobs=None)


def test_extra_attributes_of_dataclasses_come_back() -> None:
    made = NATIVE["dataclass"]
    copy = back(made)
    copy.extra = {"a": 1}
    assert vars(back(copy)) == vars(copy)


def test_nan_is_one_value_whatever_its_bits() -> None:
    assert encode(-math.nan, blobs=None).key == encode(math.nan, blobs=None).key
    assert encode([-math.nan, 1], blobs=None).key == encode([math.nan, 1], blobs=None).key
