"""Pictures survive the wire with their headers, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.streamer import errors
from worldloom.streamer.wire import HEADER_BYTES, FrameHeader, pack_frame, unpack_frame

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
HEADERS = st.builds(
    FrameHeader,
    index=U64,
    pts=st.integers(-(2**63), 2**63 - 1),
    applied_seq=U64,
    width=st.integers(0, 65535),
    height=st.integers(0, 65535),
    format=st.just("jpeg"),
    compute_us=U32,
    age_us=U32,
)


@given(HEADERS, st.binary(max_size=100))
def test_frames_survive_the_wire(header: FrameHeader, payload: bytes) -> None:
    message = pack_frame(header, payload)
    assert len(message) == HEADER_BYTES + len(payload)
    got, view = unpack_frame(message)
    assert got == header
    assert bytes(view) == payload


def test_the_header_has_the_layout_that_the_page_tells() -> None:
    header = FrameHeader(0x0102, 3, 4, 2, 1, "raw", 5, 6)
    message = pack_frame(header, b"rgbrgb")
    assert message.hex() == (
        "574c4631" "01" "00" "0100" "0200" "0100" "06000000"
        "0201000000000000" "0300000000000000" "0400000000000000" "05000000" "06000000" "726762726762"
    )  # fmt: skip


def test_times_beyond_the_header_are_capped_and_sizes_refused() -> None:
    capped, _ = unpack_frame(pack_frame(FrameHeader(0, 0, 0, 1, 1, "jpeg", 2**40, 2**40), b""))
    assert (capped.compute_us, capped.age_us) == (2**32 - 1, 2**32 - 1)
    with pytest.raises(ValueError, match="fits"):
        pack_frame(FrameHeader(0, 0, 0, 70_000, 1, "jpeg"), b"")


@given(st.binary(max_size=80))
def test_random_bytes_are_no_frame(noise: bytes) -> None:
    with pytest.raises(errors.BadMessage):
        unpack_frame(noise)


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:-1],
        lambda good: good + b"x",
        lambda good: b"WLF2" + good[4:],
        lambda good: good[:4] + b"\x02" + good[5:],
        lambda good: good[:5] + b"\x07" + good[6:],
        lambda good: good[:8] + b"\x09" + good[9:],
    ],
)
def test_a_damaged_frame_is_refused(damage: Any) -> None:
    good = pack_frame(FrameHeader(0, 0, 0, 1, 1, "raw"), b"rgb")
    unpack_frame(good)
    with pytest.raises(errors.BadMessage):
        unpack_frame(damage(good))
