"""Pictures in, H.264 or VP8 bytes out: one encoder object per viewer, changed in place, fast enough to be forgotten.

Knows numpy pictures and bit rates; nothing about frames' meaning, peers or packets. Runs on whatever thread calls it,
one call at a time.

Small pictures are doubled before encoding (nearest pixel): 4:2:0 halves the colour resolution, which costs a
128x128 picture 3 to 8 dB; doubling gives it back for about 1 ms of two-core CPU.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .coders import CODERS, H264, LIBVPX, REFUSED, TIME_BASE, X264, Codec, Coder, Stream, Wish

log = logging.getLogger(__name__)


class EncoderSettings(BaseModel):
    """How pictures are compressed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    h264: Wish = "auto"  # who compresses H.264; auto: NVENC where it works
    preset: str = "veryfast"  # x264 preset; slower ones cost milliseconds, not decibels, at these sizes
    bits_per_pixel: float = Field(default=1.0, gt=0, le=8)  # of the encoded picture, one frame; sets the highest rate
    bitrate_max: int = Field(default=4_000_000, ge=100_000)  # bits/s, whatever the picture size
    bitrate_min: int = Field(default=150_000, ge=50_000)  # bits/s, however bad the line
    double_below: int = Field(default=256 * 256, ge=0)  # pixels; smaller pictures are doubled before encoding
    key_frame_interval: float = Field(default=0.25, ge=0)  # seconds; key frames on request come no more often than this


@dataclass(frozen=True)
class Encoded:
    """One compressed picture."""

    data: bytes
    key: bool  # decodable on its own
    encode_ns: int  # time that scaling, conversion and compression took
    coder: str  # the program that did it
    asked: bool = True  # of a key frame: somebody asked for it, or it is the first


class VideoEncoder:
    """One stream of pictures of one size.

    x264 changes its rate in place, and NVENC does with a key frame. libvpx cannot change at all and is opened again.
    Both of these change at large differences only. Where NVENC does not open, or gives up later, x264 takes its place.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        height: int,
        width: int,
        fps: Fraction,
        settings: EncoderSettings,
        coders: Mapping[H264, Coder] = CODERS,
    ) -> None:
        self.codec: Codec = codec
        self.key_frames = 0
        self._settings = settings
        self._scale = 2 if height * width < settings.double_below else 1
        self._height, self._width = height * self._scale, width * self._scale
        if self._height % 2 or self._width % 2:
            raise ValueError(f"expected an even picture size, got {width}x{height}: 4:2:0 video needs even sides")
        pixels_per_second = self._height * self._width * float(fps)
        highest = min(settings.bitrate_max, int(settings.bits_per_pixel * pixels_per_second))
        self.ceiling = max(settings.bitrate_min, highest)
        self.bitrate = self.ceiling  # bits/s that the encoder aims at now
        self._key_wanted = True
        self._last_key_ns = 0
        self._reformatter = VideoReformatter()
        self._stream = Stream(self._height, self._width, fps, self.ceiling, settings.preset, self._scale > 1)
        self._coder = LIBVPX if codec == "vp8" else coders["nvenc" if settings.h264 == "nvenc" else "x264"]
        self._context: VideoCodecContext | None = None  # opened with the first picture: NVENC takes its time

    @property
    def coder(self) -> str:
        """Name of the program that compresses."""
        return self._coder.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the encoded picture, in pixels."""
        return self._height, self._width

    def want_bitrate(self, bitrate: int) -> None:
        """Aim at this many bits a second, within the limits, from the next picture on. Any thread."""
        self.bitrate = max(self._settings.bitrate_min, min(bitrate, self.ceiling))

    def want_key_frame(self) -> None:
        """Make the next picture decodable on its own, as soon as the key-frame interval allows. Any thread."""
        self._key_wanted = True

    def encode(self, pixels: NDArray[np.uint8], pts: int) -> Encoded:
        """(H, W, 3) RGB -> bytes of exactly this picture: nothing is held back."""
        start = time.perf_counter_ns()
        context = self._ready()
        picture = self._picture(pixels, pts)
        asked = self._key_due()
        if asked:
            picture.pict_type = PictureType.I
        packets = self._compress(context, picture)
        data = b"".join(bytes(packet) for packet in packets)
        key = any(packet.is_keyframe for packet in packets)
        if key:
            self.key_frames += 1
            self._key_wanted = False
            self._last_key_ns = time.monotonic_ns()
        return Encoded(data, key, time.perf_counter_ns() - start, self.coder, asked)

    def _compress(self, context: VideoCodecContext, picture: VideoFrame) -> list[av.Packet[Any]]:
        try:
            return context.encode(picture)
        except REFUSED as error:
            self._context = self._take_spare(error)
            return self._context.encode(picture)

    def _picture(self, pixels: NDArray[np.uint8], pts: int) -> VideoFrame:
        picture = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"),
            format="yuv420p" if self._scale == 1 else "yuv444p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,  # the default starts threads for every picture: 5 ms instead of 0.1
        )
        if self._scale > 1:
            picture = _doubled(picture.to_ndarray().astype(np.uint8, copy=False))
        picture.pts = pts
        picture.time_base = TIME_BASE
        return picture

    def _key_due(self) -> bool:
        age = (time.monotonic_ns() - self._last_key_ns) / 1e9
        return self._key_wanted and (self.key_frames == 0 or age >= self._settings.key_frame_interval)

    def _ready(self) -> VideoCodecContext:
        """The open context, at the wanted rate."""
        if self._context is None:
            self._context = self._open()
        now, wanted = self._context.bit_rate or self.ceiling, self.bitrate
        down, up = self._coder.worth
        if not down <= wanted / now <= up:
            if self._coder.in_place:
                self._context.bit_rate = wanted
            else:
                self._context = self._open()
        return self._context

    def _open(self) -> VideoCodecContext:
        try:
            return self._coder.open(self._stream, self.bitrate)
        except REFUSED as error:
            return self._take_spare(error)

    def _take_spare(self, error: Exception) -> VideoCodecContext:
        """x264 instead of a device's encoder that failed: there may be too many, or the device is gone."""
        if self._coder.name != "nvenc":
            raise error
        log.warning("nvenc failed, x264 takes its place in this session: %s", error)
        self._coder = X264
        return self._open()


def _doubled(planes: NDArray[np.uint8]) -> VideoFrame:
    """(3, H, W) YUV 4:4:4 -> 4:2:0 at twice the size: every pixel keeps its own colour, and luma alone is repeated."""
    _, height, width = planes.shape
    luma = planes[0].repeat(2, axis=1).repeat(2, axis=0)
    chroma = planes[1:].reshape(height, 2 * width)  # as it lies in a 4:2:0 picture: U after Y, V after U
    return VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
