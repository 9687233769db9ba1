"""Pictures to bytes and back: quality, rate, key frames."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from worldloom.models.toy import ToyWorld
from worldloom.streamer.transports.coders import Codec
from worldloom.streamer.transports.encoder import EncoderSettings, VideoEncoder

SETTINGS = EncoderSettings(key_frame_interval=0.05)
CODECS: tuple[Codec, ...] = ("h264", "vp8")


def encoder(codec: Codec, height: int = 96, width: int = 128, settings: EncoderSettings = SETTINGS) -> VideoEncoder:
    return VideoEncoder(codec, height=height, width=width, fps=Fraction(20), settings=settings)


def toy_pictures(count: int) -> list[NDArray[np.uint8]]:
    world = ToyWorld()
    state = world.start(seed=1)
    actions = np.zeros((1, 1, 6), np.float32)
    actions[0, 0, 4] = 3.0
    return [world.step([state], actions)[0, 0] for _ in range(count)]


def noise(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (96, 128, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("codec", CODECS)
def test_colours_survive(codec: Codec) -> None:
    made = encoder(codec)
    decoder = av.CodecContext.create("h264" if codec == "h264" else "libvpx", "r")
    assert isinstance(decoder, VideoCodecContext)
    for index, pixels in enumerate(toy_pictures(10)):
        (shown,) = decoder.decode(av.Packet(made.encode(pixels, index * 4500).data))
        back = shown.to_ndarray(format="rgb24").reshape(96, 2, 128, 2, 3).mean((1, 3))
        error = float(np.mean((back - pixels) ** 2))
        assert 10 * np.log10(255**2 / error) > 36, f"picture {index}"


def test_neighbours_keep_their_own_colours() -> None:
    made, stripes = encoder("h264"), np.zeros((96, 128, 3), np.uint8)
    stripes[:, 0::2, 0], stripes[:, 1::2, 2] = 255, 255  # red, blue
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    for index in range(10):  # stripes are hard, and come into focus
        (shown,) = decoder.decode(av.Packet(made.encode(stripes, index * 4500).data))
    chroma = shown.to_ndarray()[192:].reshape(2, 96, 128).astype(int)
    for blue, plane in enumerate(((90, 240), (240, 110))):  # Cb and Cr, ITU-R BT.601
        for found, expected in zip(chroma, plane, strict=True):
            assert np.abs(found[:, blue::2] - expected).mean() < 8


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_come_first_and_on_request(codec: Codec) -> None:
    made = encoder(codec)
    keys = [made.encode(pixels, index * 4500).key for index, pixels in enumerate(toy_pictures(30))]
    assert keys == [True] + 29 * [False]
    time.sleep(0.06)
    made.want_key_frame()
    made.want_key_frame()
    assert [made.encode(pixels, (30 + i) * 4500).key for i, pixels in enumerate(toy_pictures(3))] == [
        True,
        False,
        False,
    ]


def test_key_frames_on_request_are_rationed_but_not_forgotten() -> None:
    made = encoder("h264", settings=EncoderSettings(key_frame_interval=0.2))
    first, second, third = toy_pictures(3)
    made.encode(first, 0)
    made.want_key_frame()
    assert not made.encode(second, 4500).key
    time.sleep(0.25)
    assert made.encode(third, 9000).key


def test_rate_changes_in_place() -> None:
    made = encoder("h264")
    for rate in (600_000, 250_000, 800_000):
        made.want_bitrate(rate)
        encoded = [made.encode(pixels, index * 4500) for index, pixels in enumerate(noise(40))]
        measured = sum(len(one.data) for one in encoded[10:]) * 8 * 20 / 30
        assert measured == pytest.approx(rate, rel=0.25)
        assert sum(one.key for one in encoded) <= 1


@pytest.mark.parametrize("codec", CODECS)
def test_rate_stays_within_the_limits(codec: Codec) -> None:
    made = encoder(codec)
    made.want_bitrate(1)
    assert made.bitrate == SETTINGS.bitrate_min
    made.want_bitrate(10**9)
    assert made.bitrate == made.ceiling <= SETTINGS.bitrate_max


def test_large_pictures_are_not_doubled() -> None:
    made = encoder("h264", 360, 640)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    (shown,) = decoder.decode(av.Packet(made.encode(np.zeros((360, 640, 3), np.uint8), 0).data))
    assert (shown.width, shown.height) == (640, 360)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        encoder("h264", 361, 641)
