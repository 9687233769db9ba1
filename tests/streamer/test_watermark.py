"""The invisible mark: what it costs the picture, what it survives, and where it is not."""

from __future__ import annotations

import hashlib
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray
from PIL import Image

from worldloom.models.toy import ToyWorld
from worldloom.streamer.jpeg import jpeg
from worldloom.streamer.transports.coders import Codec
from worldloom.streamer.transports.encoder import EncoderSettings, VideoEncoder
from worldloom.streamer.watermark import SMALLEST, Watermark, message, places, signs, watermark
from worldloom.streamer.watermark_reader import CERTAIN, Reading, WatermarkReader

Picture = NDArray[np.uint8]
IDENT = 4711


def pictures(count: int, turn: float = 3.0) -> list[Picture]:
    world = ToyWorld()
    state = world.start(seed=1)
    actions = np.zeros((1, 1, 6), np.float32)
    actions[0, 0, 4] = turn
    return [world.step([state], actions)[0, 0] for _ in range(count)]


def marked(given: list[Picture]) -> list[Picture]:
    mark = watermark(*given[0].shape[:2], IDENT)
    return [mark(picture) for picture in given]


def reading(given: list[Picture]) -> Reading:
    reader = WatermarkReader()
    for picture in given:
        reader.add(picture)
    return reader.reading()


def through(codec: Codec, given: list[Picture], bitrate: int) -> list[Picture]:
    height, width, _ = given[0].shape
    encoder = VideoEncoder(codec, height=height, width=width, fps=Fraction(20), settings=EncoderSettings())
    encoder.want_bitrate(bitrate)
    decoder = av.CodecContext.create("h264" if codec == "h264" else "libvpx", "r")
    assert isinstance(decoder, VideoCodecContext)
    packets = [av.Packet(encoder.encode(picture, 4500 * index).data) for index, picture in enumerate(given)]
    shown = [one.to_ndarray(format="rgb24") for packet in packets for one in decoder.decode(packet)]
    return [np.asarray(one, np.uint8) for one in shown]


def test_what_is_marked_is_read_and_hardly_changed() -> None:
    (plain,) = pictures(1)
    (shown,) = marked([plain])
    error = float(np.mean((shown.astype(float) - plain) ** 2))
    assert 10 * np.log10(255**2 / error) > 45
    assert plain.max() <= 255
    assert np.array_equal(plain, pictures(1)[0]), "the world's own picture is left as it is"
    assert reading([shown]).ident == IDENT


def test_brightness_hardly_changes() -> None:
    """It is blue against yellow: what eyes see of fine patterns is brightness."""
    (plain,) = pictures(1)
    change = (marked([plain])[0].astype(float) - plain) @ (0.299, 0.587, 0.114)
    assert np.sqrt(np.mean(change**2)) < 0.25


@pytest.mark.parametrize("codec", ["h264", "vp8"])
@pytest.mark.parametrize("bitrate", [500_000, 150_000])
def test_it_survives_the_encoder(codec: Codec, bitrate: int) -> None:
    assert reading(through(codec, marked(pictures(20)), bitrate)).ident == IDENT


def test_it_survives_jpeg() -> None:
    files = [jpeg(picture, 90) for picture in marked(pictures(20))]
    assert reading([np.asarray(Image.open(io.BytesIO(file))) for file in files]).ident == IDENT


@pytest.mark.parametrize("size", [(64, 96), (200, 333), (480, 640)])
def test_it_is_found_at_another_size(size: tuple[int, int]) -> None:
    height, width = size
    scaled = [np.asarray(Image.fromarray(one).resize((width, height))) for one in marked(pictures(10))]
    assert reading(scaled).ident == IDENT


@pytest.mark.parametrize("turn", [0.0, 3.0])
def test_pictures_without_a_mark_say_nothing(turn: float) -> None:
    told = reading(through("h264", pictures(20, turn), 500_000))
    assert told.ident is None
    assert max(told.sigmas) < 5


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_pictures_say_nothing_and_raise_nothing(value: int) -> None:
    assert reading([np.full((96, 128, 3), value, np.uint8)]).ident is None


def test_no_pictures_and_small_ones_say_nothing() -> None:
    small = np.full((SMALLEST - 1, 200, 3), 90, np.uint8)
    assert watermark(*small.shape[:2], IDENT)(small) is small
    told = reading([small])
    assert (told.pictures, told.ident, told.chance) == (0, None, 1.0)
    assert reading([]).chance > CERTAIN


def test_every_sender_is_told_apart() -> None:
    (plain,) = pictures(1)
    for ident in (0, 1, 65535):
        assert reading([Watermark(96, 128, ident)(plain)]).ident == ident
    with pytest.raises(ValueError, match="65536"):
        Watermark(96, 128, 65536)


def test_the_pattern_is_the_same_for_ever() -> None:
    """Films that are out there must be read by later versions."""
    drawn = places().astype("<i8").tobytes() + signs().astype("i1").tobytes()
    assert hashlib.sha256(drawn).hexdigest()[:16] == "2032994d3539b79f"
    assert message(IDENT).hex() == "126789db"
