"""The programs that compress pictures: x264 and libvpx on the processor, and NVENC where an NVIDIA device has it.

All are opened for the same stream and used the same way; what differs between them is written here. Knows FFmpeg's
names and options; no pixels, no viewers, no settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

import av
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

Codec = Literal["h264", "vp8"]
H264 = Literal["x264", "nvenc"]
Wish = Literal["auto", "x264", "nvenc"]

TIME_BASE = Fraction(1, 90_000)
ENDLESS = 2**30  # pictures between key frames that nobody asked for: more than anybody will see
NVENC_PRESET = "p4"  # p1, the fastest, to p7
REFUSED = (FFmpegError, UnknownCodecError)  # a coder that does not open, or gives up later


@dataclass(frozen=True)
class Stream:
    """What is compressed."""

    height: int  # pixels
    width: int
    fps: Fraction
    ceiling: int  # bits/s, never more
    preset: str  # of x264
    doubled: bool = False  # every pixel stands there four times, so that there is nothing to find in small blocks


@dataclass(frozen=True)
class Coder:
    """One program."""

    name: str  # in logs and figures
    open: Callable[[Stream, int], VideoCodecContext]  # for a stream, at so many bits/s
    in_place: bool  # the rate of an open context can be changed; otherwise it is opened again
    worth: tuple[float, float]  # changes of the rate by factors between these are not worth what they cost


def _x264(stream: Stream, bitrate: int) -> VideoCodecContext:
    """At constant bit rate with the ceiling as its rate, because only then can the rate be lowered later."""
    context = _context("libx264", stream)
    context.profile = "Baseline"
    context.bit_rate = stream.ceiling
    context.options = {
        "preset": stream.preset,
        "tune": "zerolatency",
        "level": "31",
        "maxrate": str(stream.ceiling),
        "bufsize": _buffer(stream),
        "x264-params": "keyint=infinite:scenecut=0" + (":partitions=none" if stream.doubled else ""),
    }
    context.open()
    context.bit_rate = bitrate
    return context


def _nvenc(stream: Stream, bitrate: int) -> VideoCodecContext:
    context = _context("h264_nvenc", stream)
    context.bit_rate = bitrate
    context.gop_size = ENDLESS
    context.max_b_frames = 0
    context.options = {
        "preset": NVENC_PRESET,
        "tune": "ull",
        "profile": "baseline",
        "rc": "cbr",
        "bufsize": _buffer(stream),
        "delay": "0",  # each picture comes out before the next goes in
        "zerolatency": "1",
        "forced-idr": "1",  # a forced picture is one that a decoder can begin with
    }
    context.open()
    return context


def _libvpx(stream: Stream, bitrate: int) -> VideoCodecContext:
    context = _context("libvpx", stream)
    rate = str(bitrate)
    context.bit_rate = bitrate
    context.gop_size = ENDLESS
    context.qmin, context.qmax = 2, 56
    context.options = {
        "minrate": rate,
        "maxrate": rate,
        "bufsize": rate,
        "cpu-used": "-6",
        "deadline": "realtime",
        "lag-in-frames": "0",
        "static-thresh": "1",
        "undershoot-pct": "100",
        "overshoot-pct": "15",
    }
    context.open()
    return context


X264 = Coder("x264", _x264, in_place=True, worth=(0.97, 1.03))
# FFmpeg changes NVENC's rate with a reset of the encoder and a key frame (reconfig_encoder of nvenc.c).
NVENC = Coder("nvenc", _nvenc, in_place=True, worth=(0.7, 1.5))
LIBVPX = Coder("libvpx", _libvpx, in_place=False, worth=(0.7, 1.5))
CODERS: Mapping[H264, Coder] = MappingProxyType({"x264": X264, "nvenc": NVENC})


def choose(wish: Wish, coders: Mapping[H264, Coder] = CODERS) -> tuple[H264, str]:
    """Who compresses H.264 on this machine: NVENC where it is not ruled out and does what it must, else x264.

    Also why NVENC was tried in vain; empty if it was not.
    """
    trouble = why_not(coders["nvenc"]) if wish != "x264" else ""
    return ("x264" if trouble or wish == "x264" else "nvenc"), trouble


def why_not(coder: Coder) -> str:
    """Why this coder cannot be used here; empty if three pictures come out at once, the last a key frame on request."""
    stream = Stream(height=256, width=256, fps=Fraction(20), ceiling=1_000_000, preset="veryfast")
    try:
        context = coder.open(stream, stream.ceiling)
        keys = [[packet.is_keyframe for packet in context.encode(_grey(stream, number))] for number in range(3)]
    except REFUSED as error:
        return getattr(error, "strerror", None) or str(error)
    return "" if keys == [[True], [False], [True]] else f"expected pictures at once, a key frame on request: {keys}"


def _grey(stream: Stream, number: int) -> VideoFrame:
    picture = VideoFrame(stream.width, stream.height, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    picture.pts, picture.time_base = int(number / stream.fps / TIME_BASE), TIME_BASE
    if number != 1:
        picture.pict_type = PictureType.I
    return picture


def _context(name: str, stream: Stream) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = stream.width, stream.height, "yuv420p"
    context.framerate, context.time_base = stream.fps, TIME_BASE
    context.thread_count = 1
    context.colorspace, context.color_range = Colorspace.SMPTE170M, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M
    return context


def _buffer(stream: Stream) -> str:
    """Bits of the coder's rate buffer: a key frame may cost three frames, not more."""
    return str(int(3 * stream.ceiling / stream.fps))
