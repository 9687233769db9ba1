"""MessagePack with arrays, as openpi's policy servers speak it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.streamer.codec import pack, unpack
from worldloom.streamer.errors import BadMessage


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_an_array_comes_back_as_it_was(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    (again,) = unpack(pack([array]))
    np.testing.assert_array_equal(again, array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)


def test_the_bytes_are_those_of_openpi() -> None:
    """Keys are bytes, as in openpi's `msgpack_numpy`; read here with nothing but msgpack."""
    plain = msgpack.unpackb(pack({"a": np.arange(3, dtype=np.int64), "b": np.float32(0.5)}))
    data = np.arange(3, dtype=np.int64).tobytes()
    assert plain["a"] == {b"__ndarray__": True, b"data": data, b"dtype": "<i8", b"shape": [3]}
    assert plain["b"] == {b"__npgeneric__": True, b"data": 0.5, b"dtype": "<f4"}
    scalar = unpack(msgpack.packb(plain))["b"]
    assert isinstance(scalar, np.float32)


@pytest.mark.parametrize("value", [np.array([object()]), np.array(["text"]), np.array([1j]), object()])
def test_what_is_no_number_is_not_packed(value: Any) -> None:
    with pytest.raises(TypeError, match="expected plain data"):
        pack([value])


@pytest.mark.parametrize(
    "array",
    [
        {b"__ndarray__": True, b"data": b"123", b"dtype": "<f4", b"shape": [1]},
        {b"__ndarray__": True, b"data": b"", b"dtype": "<f4", b"shape": [2**40, 0, -1]},
        {b"__ndarray__": True, b"data": b"12345678", b"dtype": "|O", b"shape": [1]},
        {b"__ndarray__": True, b"data": b"12345678", b"dtype": "no such", b"shape": [1]},
        {b"__ndarray__": True},
        {b"__npgeneric__": True, b"data": "x", b"dtype": "|U1"},
    ],
)
def test_a_damaged_array_is_refused(array: dict[bytes, Any]) -> None:
    with pytest.raises(BadMessage):
        unpack(msgpack.packb({"a": array}))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(BadMessage):
        unpack(data)
