"""What a client holds of pictures and receipts, and how pictures are decoded."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from worldloom.client.pictures import Picture, PictureQueue, decode_pixels
from worldloom.client.webrtc import TIMESTAMP_MAPPER, shrink
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.wire import FrameHeader


async def test_the_queue_of_pictures_drops_the_oldest() -> None:
    queue = PictureQueue(2)
    pixels = np.zeros((1, 1, 3), np.uint8)
    for index in range(5):
        queue.put(Picture(index, 0, pixels, 0, 0.0, 0.0, 0))
    queue.close()
    assert queue.dropped == 3
    taken = [await queue.get() for _ in range(3)]
    assert [picture and picture.index for picture in taken] == [3, 4, None]


def test_a_jpeg_needs_a_decoder_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    from worldloom.client import pictures

    for missing in ("PIL", "av"):
        monkeypatch.setitem(sys.modules, missing, None)
    pictures._jpeg_decoder.cache_clear()
    header = FrameHeader(0, 0, 0, 1, 1, "jpeg")
    with pytest.raises(ImportError, match="Pillow or PyAV"):
        decode_pixels(header, memoryview(b""))
    monkeypatch.undo()
    pictures._jpeg_decoder.cache_clear()


@pytest.mark.parametrize("missing", [(), ("PIL",)])
def test_both_decoders_give_the_picture(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    import io

    from PIL import Image

    from worldloom.client import pictures

    toy = ToyWorld()
    state: ToyState = toy.start(seed=1)
    want = toy.step([state], np.zeros((1, 1, 6), np.float32))[0, 0]
    out = io.BytesIO()
    Image.fromarray(want).save(out, "JPEG", quality=95, subsampling="4:4:4")
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    pictures._jpeg_decoder.cache_clear()
    got = decode_pixels(FrameHeader(0, 0, 0, 128, 96, "jpeg"), memoryview(out.getvalue()))
    monkeypatch.undo()
    pictures._jpeg_decoder.cache_clear()
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).mean() < 3.0


def test_an_enlarged_picture_is_brought_back_to_its_size() -> None:
    small = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    assert (shrink(small.repeat(2, 0).repeat(2, 1), 4, 6) == small).all()
    assert shrink(small, 4, 6) is small
    assert shrink(small, 3, 5) is small


def test_aiortc_still_keeps_the_first_timestamp_where_we_look() -> None:
    from aiortc.rtcrtpreceiver import RTCRtpReceiver, TimestampMapper

    assert TIMESTAMP_MAPPER in RTCRtpReceiver.__init__.__code__.co_names
    assert hasattr(TimestampMapper(), "_origin")
