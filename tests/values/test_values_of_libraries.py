"""VA-1, VA-3: numpy, pandas, polars, pyarrow and pydantic, exact and with keys."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from value_samples import Plain

from coflux.errors import CofluxError
from coflux.values import decode, encode

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
pl: Any = pytest.importorskip("polars")
pa: Any = pytest.importorskip("pyarrow")
pydantic: Any = pytest.importorskip("pydantic")

HERE = str(Path(__file__).parent)


def back(obj: Any) -> Any:
    value = encode(obj, blobs=None)
    assert (value.format, value.unkeyable) == ("native", None)
    return decode(value, blobs=None, allow_pickle=False)


def key(obj: Any) -> bytes:
    found = encode(obj, blobs=None).key
    assert found is not None
    return found


# --- numpy --------------------------------------------------------------------------------------

STRUCTURE = np.dtype([("a", "i1"), ("b", "<f8", (2,)), ("c", [("d", "U3")])], align=True)

ARRAYS = {
    "floats": np.array([1.5, np.nan, -0.0]),
    "big endian": np.arange(4, dtype=">i4"),
    "bools": np.array([[True], [False]]),
    "zero-dimensional": np.array(5),
    "empty": np.empty((0, 3), "f4"),
    "strided": np.arange(20).reshape(4, 5)[::2, ::-1],
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "complex": np.array([1 + 2j, complex("nan")]),
    "half": np.array([1, 2], "f2"),
    "texts": np.array(["ab", "é"]),
    "bytes": np.array([b"ab", b""]),
    "no texts": np.array(["", ""], "U0") if np.dtype("U0").itemsize == 0 else np.array([""]),
    "times": np.array(["2020-01-01", "NaT"], "M8[s]"),
    "spans": np.array([1, 2], "m8[ms]"),
    "structure": np.array([(1, (2.0, 3.0), ("x",))] * 2, STRUCTURE),
    "objects": np.array([[1, "a"], [None, (2.5,)]], dtype=object),
}
SCALARS = [
    np.float64(1.5),
    np.float32(np.nan),
    np.int8(-3),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.str_("ab"),
    np.str_(""),
    np.bytes_(b"x"),
    np.datetime64("2020-01-01", "D"),
    np.timedelta64(3, "h"),
    np.complex64(1j),
]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_exactly(name: str) -> None:
    array = ARRAYS[name]
    result = back([array])[0]
    assert type(result) is np.ndarray
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(result, array)
    assert result.flags.writeable
    assert result.dtype.isalignedstruct == array.dtype.isalignedstruct


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_numpy_scalars_come_back_exactly(scalar: Any) -> None:
    result = back(scalar)
    assert type(result) is type(scalar)
    assert result.dtype == scalar.dtype
    np.testing.assert_array_equal(result, scalar)


def test_va_3_keys_of_arrays_are_about_content() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert (
        key(array) == key(np.asfortranarray(array)) == key(np.arange(12.0)[::2].reshape(2, 3) / 2)
    )
    others = [array, array.ravel(), array.T, array.astype("f4"), array.astype(">f8"), array + 1]
    assert len({key(each) for each in [*others, array.tolist()]}) == 7
    assert key(np.array([np.nan])) == key(np.array([-np.nan]))
    scalars = [np.float64(1), np.float32(1), np.int64(1), 1.0, 1, np.array(1.0), np.array([1.0])]
    assert len({key(each) for each in scalars}) == 7


def test_va_3_padding_in_structures_does_not_count() -> None:
    arrays = [np.full(2 * STRUCTURE.itemsize, fill, "u1").view(STRUCTURE) for fill in (0, 0xAA)]
    for array in arrays:
        array["a"], array["b"], array["c"]["d"] = 1, 2.0, "x"
    assert key(arrays[0]) == key(arrays[1])


def test_odd_arrays_are_pickled() -> None:
    for odd in (np.ma.masked_array([1, 2], [True, False]), np.longdouble(1), np.array([Plain(1)])):
        value = encode(odd, blobs=None)
        assert (value.format, value.key) == ("pickle", None)
        np.testing.assert_array_equal(decode(value, blobs=None), odd)


# --- pandas -------------------------------------------------------------------------------------

TIMES = pd.date_range("2024-03-30 23:00", periods=3, freq="h", tz="Europe/Berlin")
COLUMNS = {
    "ints": [1, 2, 3],
    "floats": [1.5, np.nan, -0.0],
    "objects": pd.Series([1, "a", None], dtype=object),
    "more objects": pd.Series([pd.NA, pd.NaT, pd.Timestamp("2020", tz="UTC")], dtype=object),
    "texts": pd.Series(["a", None, "é"], dtype="string"),
    "python texts": pd.Series(["a", None, "é"], dtype=pd.StringDtype("python")),
    "default texts": ["a", "b", "c"],
    "bools": [True, False, True],
    "nullable ints": pd.array([1, None, 3], dtype="Int16"),
    "nullable floats": pd.array([1.5, None, 2], dtype="Float32"),
    "nullable bools": pd.array([True, None, False], dtype="boolean"),
    "categories": pd.Categorical(["b", None, "b"], categories=["b", "a"], ordered=True),
    "int categories": pd.Categorical([3, 1, 3]),
    "naive": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
    "seconds": pd.to_datetime(["2020-01-01", None, "2020-01-03"]).as_unit("s"),
    "zoned": TIMES,
    "spans": pd.to_timedelta([1, None, 3], unit="s"),
    "periods": pd.period_range("2020-01", periods=3, freq="M"),
    "intervals": pd.interval_range(0, 3),
    "arrow": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
    "arrow lists": pd.array([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
}
FRAMES = {
    "all": pd.DataFrame(COLUMNS),
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": [1], "b": ["x"]}).iloc[:0],
    "no columns": pd.DataFrame(index=[3, 1]),
    "same names": pd.DataFrame([[1, "a"]], columns=["x", "x"], index=["i"]),
    "odd names": pd.DataFrame({1: [1], ("a", 2): [2], None: [3]}),
    "many levels": pd.DataFrame(
        np.arange(8).reshape(4, 2),
        index=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["p", None]),
        columns=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]),
    ),
    "times": pd.DataFrame({"v": [1, 2, 3]}, index=TIMES),
    "named": pd.DataFrame({"v": [1.0]}, index=pd.Index(["a"], name="key", dtype=object)),
}
INDEXES = [
    pd.RangeIndex(1, 9, 2, name="r"),
    pd.Index([1.5, 2]),
    pd.Index(["a", None], dtype=object),
    pd.Index(["a", "b"], dtype="string"),
    TIMES,
    pd.date_range("2020", periods=3, freq="MS"),
    pd.to_timedelta([1, 2], unit="s"),
    pd.CategoricalIndex(["a", "b", "a"], name=("t", 1)),
    pd.period_range("2020-01", periods=3, freq="Q"),
    pd.interval_range(pd.Timestamp("2020"), periods=2, freq="D", closed="left"),
    FRAMES["many levels"].index,
]


@pytest.mark.parametrize("name", FRAMES)
def test_data_frames_come_back_exactly(name: str) -> None:
    frame = FRAMES[name]
    result = back({"t": frame})["t"]
    pd.testing.assert_frame_equal(result, frame, check_freq=True, check_flags=True)
    assert list(result.dtypes) == list(frame.dtypes)
    assert type(result.index) is type(frame.index)
    assert key(result) == key(frame)
    if result.columns.nlevels == 1:
        result.insert(0, "new", 1)


@pytest.mark.parametrize("name", COLUMNS)
def test_series_come_back_exactly(name: str) -> None:
    series = pd.Series(COLUMNS[name], name=name)
    result = back(series)
    pd.testing.assert_series_equal(result, series)
    assert result.dtype == series.dtype
    assert key(result) == key(series)


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: f"{type(index).__name__}")
def test_indexes_come_back_exactly(index: Any) -> None:
    result = back(index)
    pd.testing.assert_index_equal(result, index, exact=True)
    assert getattr(result, "freq", None) == getattr(index, "freq", None)


def test_pandas_scalars_come_back_exactly() -> None:
    berlin = pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Berlin")
    for scalar in (pd.Timestamp("2020-01-01 00:00:00.123456789"), berlin, pd.Timedelta("3h")):
        result = back(scalar)
        assert type(result) is type(scalar)
        assert (result, result.unit) == (scalar, scalar.unit)
        assert getattr(result, "tz", None) == getattr(scalar, "tz", None)
    assert back([pd.NA])[0] is pd.NA
    assert back([pd.NaT])[0] is pd.NaT


def test_attributes_of_tables_come_back() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = ["x"]
    assert back(frame).attrs == {"source": ["x"]}
    assert key(frame) != key(pd.DataFrame({"a": [1]}))


def test_va_3_keys_of_tables_are_about_content() -> None:
    whole = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    pieces = pd.concat([whole[:1], whole[1:]])
    pieces["a"] = pieces["a"] * 1
    assert key(pieces.reset_index(drop=True)) == key(whole)
    others = [
        whole,
        whole[["b", "a"]],
        whole.astype({"a": "i4"}),
        whole.astype({"b": "category"}),
        whole.rename(columns={"a": "c"}),
        whole.set_index("a"),
        whole.iloc[::-1],
    ]
    assert len({key(each) for each in others}) == len(others)
    levels = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    assert key(levels[:2]) == key(pd.MultiIndex.from_product([["a"], [1, 2]]))
    masked = [pd.array([1, 9, 3], dtype="Int64"), pd.array([1, 8, 3], dtype="Int64")]
    for array in masked:
        array[1] = pd.NA
    assert key(masked[0]) == key(masked[1])


def test_odd_columns_are_pickled_and_the_rest_is_not() -> None:
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1]), "b": [1, 2, 3]})
    value = encode(frame, blobs=None)
    assert (value.format, value.key) == ("pickle", None)
    pd.testing.assert_frame_equal(decode(value, blobs=None), frame)


def test_zones_of_pytz_come_back_exactly() -> None:
    pytz = pytest.importorskip("pytz")
    berlin = pytz.timezone("Europe/Berlin")
    summer = berlin.localize(dt.datetime(2024, 7, 1)).tzinfo
    for zone in (pytz.utc, pytz.FixedOffset(90), berlin, summer, pytz.timezone("Etc/GMT+3")):
        assert back([zone])[0] is zone


# --- polars and pyarrow -------------------------------------------------------------------------

POLARS = pl.DataFrame(
    {
        "i": [1, None, 3],
        "f": [1.5, float("nan"), None],
        "s": ["a", None, "é" * 30],
        "b": [True, None, False],
        "d": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)],
        "t": pl.Series([dt.datetime(2020, 1, 1), None, None], dtype=pl.Datetime("ns", "UTC")),
        "l": [[1, 2], None, []],
        "st": [{"x": 1, "y": "a"}, {"x": None, "y": "b"}, {"x": 3, "y": None}],
        "c": pl.Series(["b", "a", "b"], dtype=pl.Categorical),
        "e": pl.Series(["b", "a", None], dtype=pl.Enum(["a", "b"])),
        "bin": [b"x", None, b""],
        "dec": pl.Series(["1.10", None, "2"], dtype=pl.String).cast(pl.Decimal(10, 2)),
        "n": [None, None, None],
    }
)
ARROW = pa.table(
    {
        "i": pa.array([1, None, 3], pa.int16()),
        "s": pa.array(["a", None, "ccc"]),
        "t": pa.array([1, None, 3], pa.timestamp("ns", "Europe/Berlin")),
        "d": pa.array([dt.date(2020, 1, 1), None, None], pa.date32()),
        "l": pa.array([[1.5], None, []], pa.list_(pa.float32())),
        "c": pa.array(["x", "y", "x"]).dictionary_encode(),
        "f": pa.array([1.5, float("nan"), None]),
        "b": pa.array([True, None, False]),
        "n": pa.nulls(3),
    }
).replace_schema_metadata({"k": "v"})


def test_polars_tables_and_columns_come_back_exactly() -> None:
    for frame in (POLARS, POLARS[:0], pl.DataFrame(), POLARS.select("s")):
        result = back([frame])[0]
        assert result.schema == frame.schema
        assert result.equals(frame, null_equal=True)
        assert key(result) == key(frame)
    for column in POLARS:
        result = back(column.alias("any name"))
        assert (result.name, result.dtype) == ("any name", column.dtype)
        assert result.equals(column, check_dtypes=True, null_equal=True)


def test_arrow_tables_batches_and_columns_come_back_exactly() -> None:
    empty = pa.table({})
    for table in (ARROW, ARROW[:0], empty, pa.concat_tables([ARROW, ARROW])):
        result = back([table])[0]
        assert result.schema.equals(table.schema, check_metadata=True)
        assert (result.num_rows, str(result.to_pydict())) == (
            table.num_rows,
            str(table.to_pydict()),
        )
    batch = ARROW.to_batches()[0]
    assert back(batch).equals(batch) or str(back(batch)) == str(batch)
    assert type(back(batch)) is pa.RecordBatch
    assert type(back(ARROW["i"])) is pa.ChunkedArray
    for column in ARROW.columns:
        array = column.chunk(0)
        result = back(array)
        assert (type(result), result.type, str(result)) == (type(array), array.type, str(array))


def test_va_3_keys_of_columns_do_not_depend_on_chunks_slices_or_what_nulls_hide() -> None:
    pieces = pa.concat_tables([ARROW[:1], ARROW[1:]])
    assert pieces["i"].num_chunks == 2
    assert key(pieces) == key(ARROW) == key(pa.concat_tables([ARROW, ARROW])[3:])
    frames = pl.concat([POLARS[:1], POLARS[1:]], rechunk=False)
    assert key(frames) == key(POLARS) == key(pl.concat([POLARS, POLARS])[3:])
    data = [pa.py_buffer(np.array(x, "i8").tobytes()) for x in ([1, 5], [1, 6])]
    arrays = [pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), each]) for each in data]
    assert key(arrays[0]) == key(arrays[1])
    assert len({key(ARROW), key(ARROW[:2]), key(ARROW.drop(["i"])), key(POLARS)}) == 4
    assert key(pl.Series("a", [1])) != key(pl.Series("b", [1]))


# --- pydantic -----------------------------------------------------------------------------------


class Address(pydantic.BaseModel):  # type: ignore[misc]
    street: str
    tags: set[str] = set()


class Person(pydantic.BaseModel):  # type: ignore[misc]
    model_config = {"extra": "allow"}
    name: str
    home: Address | None = None
    _hidden: int = pydantic.PrivateAttr(default=3)


def test_pydantic_models_come_back_without_validation() -> None:
    person = Person(name="a", home=Address(street="s", tags={"x"}), more=[1])
    person._hidden = 7
    person.__dict__["name"] = 5
    result = back([person])[0]
    assert result == person
    assert (type(result.home), result._hidden, result.more) == (Address, 7, [1])
    assert result.model_fields_set == person.model_fields_set


def test_va_3_keys_of_models_are_about_their_fields() -> None:
    assert key(Person(name="a")) == key(Person(name="a"))
    assert key(Person(name="a")) != key(Person(name="b"))


# --- all ----------------------------------------------------------------------------------------


def test_va_3_keys_are_the_same_in_every_process() -> None:
    code = (
        "import json, sys, test_values_of_libraries as t\n"
        "json.dump({k: t.key(v).hex() for k, v in t.EVERYTHING.items()}, sys.stdout)"
    )
    env = {**os.environ, "PYTHONPATH": HERE, "PYTHONHASHSEED": "77"}
    made = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert json.loads(made.stdout) == {name: key(obj).hex() for name, obj in EVERYTHING.items()}


def test_a_missing_library_is_named() -> None:
    import msgspec

    value = msgspec.msgpack.encode(encode([np.arange(3)], blobs=None))
    code = (
        "import sys, msgspec; sys.modules['numpy'] = None\n"
        "from coflux.model import Value; from coflux.values import decode\n"
        "decode(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Value), blobs=None)"
    )
    made = subprocess.run([sys.executable, "-c", code], input=value, capture_output=True)
    assert b"CofluxError: the value needs numpy, which cannot be imported here" in made.stderr


def test_previews_tell_the_shape() -> None:
    assert encode(np.zeros((3, 4)), blobs=None).preview == "ndarray 3×4 float64"
    assert encode(FRAMES["named"], blobs=None).preview == "pandas DataFrame 1×1 (v)"
    assert encode(POLARS, blobs=None).preview.startswith("polars DataFrame 3×13 (i, f, s")
    assert encode(ARROW, blobs=None).preview.startswith("pyarrow Table 3×9 (i, s, t")


def test_encoding_imports_no_library() -> None:
    code = (
        "import sys; from coflux.values import encode; encode({1: (2,)}, blobs=None)\n"
        "heavy = {'numpy', 'pandas', 'polars', 'pyarrow', 'pydantic', 'cloudpickle'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_damage_in_a_library_s_data_is_a_named_error() -> None:
    value = encode(np.arange(4), blobs=None)
    import msgspec

    assert value.data is not None
    cut = msgspec.structs.replace(value, data=value.data.replace(b"<i8", b"<i4"))
    with pytest.raises(CofluxError, match="cannot be put together"):
        decode(cut, blobs=None)


EVERYTHING: dict[str, Any] = {
    **{f"array {name}": array for name, array in ARRAYS.items()},
    **{f"frame {name}": frame for name, frame in FRAMES.items()},
    **{f"index {position}": index for position, index in enumerate(INDEXES)},
    **{f"scalar {position}": scalar for position, scalar in enumerate(SCALARS)},
    "polars": POLARS,
    "arrow": ARROW,
    "model": Person(name="a", home=Address(street="s", tags={"x", "y", "z"}), more=[1]),
}
