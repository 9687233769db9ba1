"""Pictures in, H.264 or VP8 bytes out: one encoder object per viewer, changed in place, fast enough to be forgotten.

Knows numpy pictures and bit rates; nothing about frames' meaning, peers or packets. Runs on whatever thread calls it,
one call at a time.

Small pictures are doubled before encoding (nearest pixel): 4:2:0 halves the colour resolution, which costs a
128x128 picture 3 to 8 dB; doubling gives it back for about 1 ms of two-core CPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Codec = Literal["h264", "vp8"]

TIME_BASE = Fraction(1, 90_000)


class EncoderSettings(BaseModel):
    """How pictures are compressed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


class VideoEncoder:
    """One stream of pictures of one size.

    x264 is opened at constant bit rate with the ceiling as its rate, because only then can the rate be lowered later
    without a new encoder and its key frame. libvpx cannot change at all: VP8 re-opens, at large changes only.
    """

    def __init__(self, codec: Codec, *, height: int, width: int, fps: Fraction, settings: EncoderSettings) -> None:
        self.codec: Codec = codec
        self.key_frames = 0
        self._settings = settings
        self._scale = 2 if height * width < settings.double_below else 1
        self._height, self._width, self._fps = height * self._scale, width * self._scale, fps
        if self._height % 2 or self._width % 2:
            raise ValueError(f"expected an even picture size, got {width}x{height}: 4:2:0 video needs even sides")
        pixels_per_second = self._height * self._width * float(fps)
        highest = min(settings.bitrate_max, int(settings.bits_per_pixel * pixels_per_second))
        self.ceiling = max(settings.bitrate_min, highest)
        self.bitrate = self.ceiling  # bits/s that the encoder aims at now
        self._key_wanted = True
        self._last_key_ns = 0
        self._reformatter = VideoReformatter()
        self._context = self._open()

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
        self._apply_bitrate()
        picture = self._picture(pixels, pts)
        if self._key_due():
            picture.pict_type = PictureType.I
        packets = self._context.encode(picture)
        data = b"".join(bytes(packet) for packet in packets)
        key = any(packet.is_keyframe for packet in packets)
        if key:
            self.key_frames += 1
            self._key_wanted = False
            self._last_key_ns = time.monotonic_ns()
        return Encoded(data, key, time.perf_counter_ns() - start)

    def _picture(self, pixels: NDArray[np.uint8], pts: int) -> VideoFrame:
        if self._scale > 1:
            pixels = pixels.repeat(self._scale, 0).repeat(self._scale, 1)
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture = self._reformatter.reformat(
            picture,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,  # the default starts threads for every picture: 5 ms instead of 0.1
        )
        picture.pts = pts
        picture.time_base = TIME_BASE
        return picture

    def _key_due(self) -> bool:
        age = (time.monotonic_ns() - self._last_key_ns) / 1e9
        return self._key_wanted and (self.key_frames == 0 or age >= self._settings.key_frame_interval)

    def _apply_bitrate(self) -> None:
        now, wanted = self._context.bit_rate or self.ceiling, self.bitrate
        if self.codec == "h264":
            if abs(wanted - now) > 0.03 * now:
                self._context.bit_rate = wanted
        elif not 0.7 <= wanted / now <= 1.5:  # a re-opened encoder starts with a key frame: only for a large change
            self._context = self._open()

    def _open(self) -> VideoCodecContext:
        context = av.CodecContext.create("libx264" if self.codec == "h264" else "libvpx", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = self._width, self._height, "yuv420p"
        context.framerate, context.time_base = self._fps, TIME_BASE
        context.thread_count = 1
        context.colorspace, context.color_range = Colorspace.SMPTE170M, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M
        if self.codec == "h264":
            context.profile = "Baseline"
            context.bit_rate = self.ceiling
            context.options = self._x264_options()
            context.open()
            context.bit_rate = self.bitrate
        else:
            context.bit_rate = self.bitrate
            context.gop_size = 1 << 20
            context.qmin, context.qmax = 2, 56
            context.options = self._vpx_options()
            context.open()
        return context

    def _x264_options(self) -> dict[str, str]:
        return {
            "preset": self._settings.preset,
            "tune": "zerolatency",
            "level": "31",
            "maxrate": str(self.ceiling),
            "bufsize": str(int(3 * self.ceiling / self._fps)),  # a key frame may cost three frames, not more
            "x264-params": "keyint=infinite:scenecut=0",
        }

    def _vpx_options(self) -> dict[str, str]:
        rate = str(self.bitrate)
        return {
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
