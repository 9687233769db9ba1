"""MessagePack with numpy arrays, as openpi's policy servers speak it; to bytes and back.

An array is a map of its bytes, type and shape under the keys that openpi's `msgpack_numpy` uses, so either side can be
somebody else's. Nothing is unpickled, and only numbers are taken. Knows no message.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

from .errors import BadMessage

_NUMBERS = "biuf"  # kinds of numpy's types: booleans, integers, floats


def pack(message: Any) -> bytes:
    """Plain data and arrays as bytes.

    Raises:
        TypeError: there is something else in it.
    """
    packed: bytes = msgpack.packb(message, default=_to_map)
    return packed


def unpack(data: bytes) -> Any:
    """What `pack` packed; arrays may not be written to.

    Raises:
        BadMessage: the bytes are something else.
    """
    try:
        return msgpack.unpackb(data, object_hook=_from_map)
    except BadMessage:
        raise
    except Exception as error:  # msgpack raises its own kinds, and numpy others
        raise BadMessage(f"expected MessagePack: {error}"[:256]) from error


def _to_map(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic) and value.dtype.kind in _NUMBERS:
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"expected plain data or arrays of numbers, got {type(value).__name__}")


def _from_map(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in found and b"__npgeneric__" not in found:
        return found
    dtype = np.dtype(found[b"dtype"])
    if dtype.kind not in _NUMBERS:
        raise BadMessage(f"expected numbers, got {dtype}")
    if b"__npgeneric__" in found:
        return dtype.type(found[b"data"])
    shape, data = tuple(found[b"shape"]), found[b"data"]
    if math.prod(shape) * dtype.itemsize != len(data) or min(shape, default=0) < 0:
        raise BadMessage(f"expected as many bytes as {shape} of {dtype} take, got {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape)
