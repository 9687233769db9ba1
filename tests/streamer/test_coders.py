"""Who compresses H.264: NVENC only where it does what it must, and x264 wherever it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import pytest
from av.error import ArgumentError, ExternalError, FFmpegError
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from worldloom.streamer.config import ServerSettings
from worldloom.streamer.server import create_app
from worldloom.streamer.transports.coders import CODERS, H264, LIBVPX, NVENC, X264, Coder, Stream, Wish, choose, why_not
from worldloom.streamer.transports.encoder import EncoderSettings, VideoEncoder
from worldloom.streamer.transports.webrtc import WebRtcSettings

from .conftest import Serve

STREAM = Stream(height=192, width=256, fps=Fraction(20), ceiling=800_000, preset="veryfast")
SETTINGS = EncoderSettings(h264="nvenc", key_frame_interval=0.0)


def refuses(stream: Stream, bitrate: int) -> VideoCodecContext:
    raise ExternalError(1, "no capable devices found")


def with_nvenc(open: Callable[[Stream, int], Any]) -> dict[H264, Coder]:
    """The coders of a machine whose NVENC behaves so."""
    return {"x264": X264, "nvenc": Coder("nvenc", open, NVENC.in_place, NVENC.worth)}


def encoder(coders: dict[H264, Coder], settings: EncoderSettings = SETTINGS) -> VideoEncoder:
    return VideoEncoder("h264", height=96, width=128, fps=Fraction(20), settings=settings, coders=coders)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (96, 128, 3)).astype(np.uint8) for _ in range(count)]


class Slow:
    """Holds a picture back, as an encoder with a queue does."""

    def __init__(self, inner: VideoCodecContext) -> None:
        self._inner = inner
        self._held: list[Any] = []

    def encode(self, picture: av.VideoFrame) -> list[Any]:
        held, self._held = self._held, self._inner.encode(picture)
        return held


class Dies:
    """Compresses so many pictures, then no more."""

    def __init__(self, inner: VideoCodecContext, pictures: int) -> None:
        self.bit_rate = inner.bit_rate
        self._inner = inner
        self._left = pictures

    def encode(self, picture: av.VideoFrame) -> list[Any]:
        if not self._left:
            raise ExternalError(1, "the device is gone")
        self._left -= 1
        return self._inner.encode(picture)


@pytest.mark.parametrize("wish", ["auto", "nvenc"])
def test_what_refuses_is_not_taken_and_says_why(wish: Wish) -> None:
    h264, trouble = choose(wish, with_nvenc(refuses))
    assert h264 == "x264"
    assert "no capable devices found" in trouble


@pytest.mark.parametrize("wish", ["auto", "nvenc"])
def test_what_does_as_it_must_is_taken(wish: Wish) -> None:
    assert choose(wish, with_nvenc(X264.open)) == ("nvenc", "")


def test_who_asks_for_x264_gets_it_and_nothing_is_tried() -> None:
    def never(stream: Stream, bitrate: int) -> VideoCodecContext:
        raise AssertionError("nobody asked for NVENC")

    assert choose("x264", with_nvenc(never)) == ("x264", "")


@pytest.mark.parametrize(("wish", "level"), [("auto", logging.INFO), ("nvenc", logging.WARNING)])
def test_the_log_says_so(
    wish: Wish, level: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldloom.streamer.server.choose", lambda wish: choose(wish, with_nvenc(refuses)))
    with caplog.at_level(logging.INFO):
        create_app(ServerSettings(webrtc=WebRtcSettings(encoder=EncoderSettings(h264=wish))))
    (record,) = [record for record in caplog.records if "H.264" in record.message]
    assert record.levelno == level
    assert "no capable devices found" in record.message


def test_what_holds_pictures_back_is_not_taken() -> None:
    coders = with_nvenc(lambda stream, bitrate: Slow(X264.open(stream, bitrate)))
    assert "at once" in why_not(coders["nvenc"])
    assert choose("auto", coders)[0] == "x264"


def test_a_coder_that_ffmpeg_lacks_is_not_taken() -> None:
    def missing(stream: Stream, bitrate: int) -> VideoCodecContext:
        return cast(VideoCodecContext, av.CodecContext.create("h264_of_tomorrow", "w"))

    assert "h264_of_tomorrow" in why_not(with_nvenc(missing)["nvenc"])


def test_in_disguise_it_is_used_the_same_way() -> None:
    made = encoder(with_nvenc(X264.open))
    assert made.coder == "nvenc"
    encoded = [made.encode(pixels, index * 4500) for index, pixels in enumerate(pictures(20))]
    assert [one.key for one in encoded] == [True] + 19 * [False]
    assert {one.coder for one in encoded} == {"nvenc"}
    made.want_key_frame()
    assert made.encode(pictures(1)[0], 90_000).key


def test_a_small_change_of_the_rate_is_not_worth_a_key_frame_of_nvenc() -> None:
    opened: list[Any] = []

    def watched(stream: Stream, bitrate: int) -> VideoCodecContext:
        opened.append(X264.open(stream, bitrate))
        return cast(VideoCodecContext, opened[-1])

    made = encoder(with_nvenc(watched))
    picture = pictures(1)[0]
    made.encode(picture, 0)
    for factor, changed in ((0.8, False), (0.5, True)):
        made.want_bitrate(int(factor * made.ceiling))
        made.encode(picture, 4500)
        assert (opened[-1].bit_rate == made.bitrate) == changed
    assert len(opened) == 1, "in place"


def test_one_too_many_is_x264_for_that_session(caplog: pytest.LogCaptureFixture) -> None:
    made = encoder(with_nvenc(refuses))
    assert made.encode(pictures(1)[0], 0).coder == made.coder == "x264"
    assert "no capable devices found" in caplog.text


def test_a_device_that_is_gone_costs_a_key_frame_and_no_picture() -> None:
    made = encoder(with_nvenc(lambda stream, bitrate: Dies(X264.open(stream, bitrate), 3)))
    encoded = [made.encode(pixels, index * 4500) for index, pixels in enumerate(pictures(6))]
    assert [one.coder for one in encoded] == 3 * ["nvenc"] + 3 * ["x264"]
    assert [one.key for one in encoded] == [True, False, False, True, False, False]
    assert [one.asked for one in encoded if one.key] == [True, False]


def test_what_has_no_spare_fails() -> None:
    broken = Coder("x264", refuses, in_place=True, worth=X264.worth)
    made = encoder({"x264": broken, "nvenc": broken}, EncoderSettings(h264="x264"))
    with pytest.raises(FFmpegError):
        made.encode(pictures(1)[0], 0)


@pytest.mark.parametrize("coder", [X264, LIBVPX], ids=lambda coder: coder.name)
def test_the_others_would_pass_the_same_trial(coder: Coder) -> None:
    assert why_not(coder) == ""


def test_options_of_nvenc_are_ones_that_ffmpeg_knows() -> None:
    """Their values are read before a device is looked for: a wrong one is an ArgumentError."""
    try:
        NVENC.open(STREAM, STREAM.ceiling)
    except ArgumentError:
        raise
    except FFmpegError:  # there is no such device here
        pass


async def test_a_server_says_who_compresses(serve: Serve) -> None:
    async with serve() as server:
        said = (await server.get("/v1/capacity")).json()["h264"]
    assert said == choose("auto")[0]


@pytest.mark.gpu
def test_the_real_one_compresses_obeys_and_follows_the_rate() -> None:
    """Not every device has one; where it does not open, `why_not` says so and this fails, as it should."""
    assert why_not(NVENC) == ""
    made = encoder(dict(CODERS))
    rates = []
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    for rate in (600_000, 200_000):
        made.want_bitrate(rate)
        encoded = [made.encode(pixels, index * 4500) for index, pixels in enumerate(pictures(60))]
        assert {one.coder for one in encoded} == {"nvenc"}
        assert [one.key for one in encoded] == [True] + 59 * [False]  # also at the change of the rate
        rates.append(sum(len(one.data) for one in encoded[20:]) * 8 * 20 / 40)
        assert all(len(decoder.decode(av.Packet(one.data))) == 1 for one in encoded)
    assert rates == pytest.approx([600_000, 200_000], rel=0.3)
    made.want_key_frame()
    assert made.encode(pictures(1)[0], 10**6).key
