import numpy as np
import pyarrow as pa
import pytest

from embcodec.io.columns import column_of, find_column, rows_of

X = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("value", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda value: pa.list_(value, 3)])
def test_every_list_of_floats_becomes_rows(make, value) -> None:
    array = pa.array([[np.float16(v) for v in row] for row in X.tolist()], make(value))
    np.testing.assert_array_equal(rows_of(array, "f"), X)
    np.testing.assert_array_equal(rows_of(array.slice(1, 2), "f"), X[1:3])


def test_tensor_extension_arrays_become_rows() -> None:
    array = pa.FixedShapeTensorArray.from_numpy_ndarray(X)
    assert find_column(pa.schema([("a", pa.int8()), ("t", array.type)]), "vectors", None, "f") == 1
    np.testing.assert_array_equal(rows_of(array, "f"), X)


@pytest.mark.parametrize("rows", [X, X.astype(np.float16), X.astype(np.uint8)], ids=["f32", "f16", "u8"])
def test_columns_share_memory_with_rows_both_ways(rows: np.ndarray) -> None:
    back = rows_of(column_of(rows), "f")
    np.testing.assert_array_equal(back, rows)
    assert np.shares_memory(back, rows)
    np.testing.assert_array_equal(rows_of(column_of(rows).slice(2), "f"), rows[2:])


def test_empty_columns_keep_their_width() -> None:
    assert rows_of(column_of(X[:0]), "f").shape == (0, 3)
    assert rows_of(column_of(X[:0].astype(np.uint8)), "f").shape == (0, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3, 4], None], "f: row 102 is null"),
        ([[1, 2], [3, None], [5, 6]], "f: row 101 holds a null"),
        ([[1, 2], [3, 4], [5]], "f: row 102 has 1 values, row 100 has 2"),
    ],
)
def test_a_row_that_cannot_be_a_vector_is_named(values: list, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        rows_of(pa.array(values, pa.list_(pa.float32())), "f", first_row=100)


def test_null_rows_are_named_in_fixed_size_columns_too() -> None:
    vectors = pa.array([[1, 2], None], pa.list_(pa.float32(), 2))
    codes = pa.array([b"ab", None], pa.binary(2))
    for array in (vectors, codes):
        with pytest.raises(ValueError, match="f: row 1 is null"):
            rows_of(array, "f")


SCHEMA = pa.schema(
    [("a", pa.list_(pa.float32())), ("b", pa.list_(pa.int64())), ("c", pa.binary(4)), ("d", pa.string())]
)


def test_the_only_fitting_column_is_found() -> None:
    assert find_column(SCHEMA, "vectors", None, "f") == 0
    assert find_column(SCHEMA, "codes", None, "f") == 2
    assert find_column(SCHEMA, "vectors", "a", "f") == 0


@pytest.mark.parametrize(
    ("schema", "column", "message"),
    [
        (SCHEMA, "e", "f: no column 'e'; it has a, b, c, d"),
        (SCHEMA, "b", "f: column 'b' is list<.*int64>, not a list of float16, float32 or float64"),
        (SCHEMA.remove(0), None, "f: no column is a list of float16.*; it has b .*, c .*, d "),
        (SCHEMA.append(pa.field("e", pa.list_(pa.float64(), 2))), None, "f: columns a, e all hold vectors"),
    ],
)
def test_other_choices_are_refused(schema: pa.Schema, column: "str | None", message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_column(schema, "vectors", column, "f")
