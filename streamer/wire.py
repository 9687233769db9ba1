"""What a WebSocket carries besides texts: pictures behind a fixed header, and the code it closes with.

Knows bytes and numbers only: no JSON, no codec, no session. A binary message is this header and one picture:

    offset  type  field
     0      4s    magic        "WLF1"
     4      u8    version      1
     5      u8    format       0 raw RGB, 1 JPEG, 2 H.264 (Annex B), 3 VP8
     6      u16   flags        1: decodable without the pictures before; a reader ignores bits that it does not know
     8      u16   width        pixels
    10      u16   height       pixels
    12      u32   length       bytes of payload, which follows the header
    16      u64   index        frame number of the session; never reused, also not after a reset
    24      i64   pts          90 kHz
    32      u64   applied_seq  the last control that shaped the frame, 0 for none
    40      u32   compute_us   what the world took for the chunk of this frame
    44      u32   age_us       from sampling the controls to packing this message

All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .errors import BadMessage

MAGIC = b"WLF1"
VERSION = 1
RAW = 0
JPEG = 1
H264 = 2
VP8 = 3
KEY = 1  # flag

_HEADER = struct.Struct("<4sBBHHHIQqQII")
HEADER_BYTES = _HEADER.size
MAX_U16, MAX_U32 = 2**16 - 1, 2**32 - 1

Format = Literal["raw", "jpeg", "h264", "vp8"]
_FORMAT_TO_CODE: dict[Format, int] = {"raw": RAW, "jpeg": JPEG, "h264": H264, "vp8": VP8}
_CODE_TO_FORMAT: dict[int, Format] = {code: name for name, code in _FORMAT_TO_CODE.items()}


NORMAL_CLOSE = 1000  # after `bye`
REFUSED_CLOSE = 1008  # any error that ends the connection and has no code of its own below
CLOSE_CODES: Mapping[str, int] = {
    "session_closed": 1001,  # the server is stopping
    "draining": 1012,  # service restart
    "message_too_large": 1009,
    "model_fault": 1011,
    "internal_error": 1011,
    "busy": 1013,  # try again later
    "rate_limited": 1013,
}


def layout() -> str:
    """The header's fields as the text above states them, one a line."""
    doc = __doc__ or ""
    rows = doc[doc.index("    offset") : doc.index("All numbers")].rstrip().splitlines()
    return "\n".join(row.removeprefix("    ") for row in rows)


def close_code(error_code: str) -> int:
    """The WebSocket close code of a connection that ends by this error."""
    return CLOSE_CODES.get(error_code, REFUSED_CLOSE)


@dataclass(frozen=True)
class FrameHeader:
    """What travels with one picture."""

    index: int  # frame number of the session
    pts: int  # 90 kHz
    applied_seq: int  # last control that shaped the frame, 0 for none
    width: int  # pixels
    height: int  # pixels
    format: Format  # of the payload
    compute_us: int = 0  # microseconds that the world took for this frame's chunk
    age_us: int = 0  # microseconds from sampling the controls to packing
    key: bool = True  # decodable without the pictures before


def pack_frame(header: FrameHeader, payload: bytes | bytearray | memoryview) -> bytes:
    """Header and payload as one message.

    Raises:
        ValueError: a field does not fit its place in the header.
    """
    try:
        head = _HEADER.pack(
            MAGIC,
            VERSION,
            _FORMAT_TO_CODE[header.format],
            KEY * header.key,
            header.width,
            header.height,
            memoryview(payload).nbytes,
            header.index,
            header.pts,
            header.applied_seq,
            min(header.compute_us, MAX_U32),
            min(header.age_us, MAX_U32),
        )
    except (struct.error, KeyError) as error:
        raise ValueError(f"expected a header that fits the frame message, got {header}: {error}") from error
    return head + bytes(payload)


def unpack_frame(message: bytes | bytearray | memoryview) -> tuple[FrameHeader, memoryview]:
    """The header and a view of the payload.

    Raises:
        BadMessage: not a frame message of this version, or its length is wrong.
    """
    view = memoryview(message)
    if view.nbytes < HEADER_BYTES:
        raise BadMessage(f"expected a frame message of at least {HEADER_BYTES} bytes, got {view.nbytes}")
    magic, version, code, flags, width, height, length, index, pts, applied, compute, age = _HEADER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise BadMessage(f"expected a frame message {MAGIC!r} version {VERSION}, got {magic!r} version {version}")
    if code not in _CODE_TO_FORMAT:
        raise BadMessage(f"expected a frame format of {sorted(_CODE_TO_FORMAT)}, got {code}")
    payload = view[HEADER_BYTES:]
    if payload.nbytes != length:
        raise BadMessage(f"expected a payload of {length} bytes, got {payload.nbytes}")
    if code == RAW and length != width * height * 3:
        raise BadMessage(f"expected {width}x{height} RGB to be {width * height * 3} bytes, got {length}")
    format = _CODE_TO_FORMAT[code]
    return FrameHeader(index, pts, applied, width, height, format, compute, age, bool(flags & KEY)), payload
