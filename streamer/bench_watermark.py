"""What the watermark costs, and what is left of it behind the encoders of the server, at a world's own size and rate.

One dream under actions that are drawn anew every second, each fourth second at rest. Knows worlds, encoders and the
mark; no server.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from PIL import Image

from worldloom.models.catalog import open_world
from worldloom.models.check import random_actions
from worldloom.models.spec import WorldModel
from worldloom.models.training.metrics import psnr

from .bench_frames import percentile
from .hardware import hardware
from .jpeg import jpeg
from .transports.coders import TIME_BASE, Codec
from .transports.encoder import EncoderSettings, VideoEncoder
from .watermark import Picture, message, watermark
from .watermark_reader import Reading, WatermarkReader

IDENT = 4711
# Encoders, and kbit/s that they aim at.
LINES: tuple[tuple[Codec, int], ...] = (
    ("h264", 500),
    ("h264", 300),
    ("h264", 150),
    ("vp8", 500),
    ("vp8", 150),
)  # kbit/s
QUALITY = 90  # of JPEGs, as the server's default
WINDOW = 2.0  # seconds that are read together


def bench_watermark(world: str, seconds: float) -> dict[str, Any]:
    """Figures of a world, dreamed for so long.

    Raises:
        ValueError: there is no such world, or its pictures are too small for a mark.
    """
    model = open_world(world)
    spec = model.spec
    plain = _dreamed(model, seconds)
    mark = watermark(spec.height, spec.width, IDENT)
    if mark(plain[0]) is plain[0]:
        raise ValueError(f"expected pictures that can hold a mark, got {spec.width}x{spec.height}")
    marked, spent = [], []
    for picture in plain:
        start = time.perf_counter_ns()
        marked.append(mark(picture))
        spent.append((time.perf_counter_ns() - start) / 1e6)
    ways: dict[str, Callable[[list[Picture]], list[Picture]]] = {
        **{f"{codec}_{rate}k": partial(_through, codec, rate, spec.fps) for codec, rate in LINES},
        f"jpeg_{QUALITY}": _stills,
    }
    window = round(WINDOW * spec.fps)
    quality = np.asarray(psnr(np.stack(plain), np.stack(marked)))
    return {
        "world": world,
        "hardware": hardware(),
        "picture": [spec.height, spec.width],
        "fps": float(spec.fps),
        "pictures": len(plain),
        "mark_ms": {"p50": percentile(spent, 0.5), "p95": percentile(spent, 0.95)},
        "psnr_db": {"mean": round(float(quality.mean()), 2), "least": round(float(quality.min()), 2)},
        "window_pictures": window,
        "marked": {name: _kept(way(marked), window) for name, way in ways.items()},
        "unmarked": _false([*(way(plain) for way in ways.values()), plain], window),
    }


def _dreamed(model: WorldModel[Any], seconds: float) -> list[Picture]:
    spec, pictures = model.spec, list[Picture]()
    state = model.start(seed=1)
    try:
        while len(pictures) < seconds * spec.fps:
            second = int(len(pictures) / spec.fps)
            rows = random_actions(spec, second)
            rows[:] = 0 if second % 4 == 3 else rows[:, :1]
            pictures += list(model.step([state], rows)[0])
    finally:
        model.release(state)
    return pictures


def _through(codec: Codec, rate: int, fps: Fraction, given: list[Picture]) -> list[Picture]:
    height, width, _ = given[0].shape
    encoder = VideoEncoder(codec, height=height, width=width, fps=fps, settings=EncoderSettings(h264="x264"))
    encoder.want_bitrate(1000 * rate)
    decoder = av.CodecContext.create("h264" if codec == "h264" else "libvpx", "r")
    assert isinstance(decoder, VideoCodecContext)
    shown = []
    for index, picture in enumerate(given):
        packet = av.Packet(encoder.encode(picture, int(index / fps / TIME_BASE)).data)
        shown += [np.asarray(one.to_ndarray(format="rgb24"), np.uint8) for one in decoder.decode(packet)]
    return shown


def _stills(given: list[Picture]) -> list[Picture]:
    return [np.asarray(Image.open(io.BytesIO(jpeg(picture, QUALITY))), np.uint8) for picture in given]


def _kept(shown: list[Picture], window: int) -> dict[str, Any]:
    """Of a marked film."""
    one, many = list(_readings(shown, 1)), list(_readings(shown, window))
    return {
        "bit_accuracy_one_picture": round(float(np.mean([_right(reading) for reading in one])), 4),
        "bit_accuracy_window": round(float(np.mean([_right(reading) for reading in many])), 4),
        "windows": len(many),
        "windows_read": sum(reading.ident == IDENT for reading in many),
        "whole_read": next(_readings(shown, len(shown))).ident == IDENT,
    }


def _false(films: list[list[Picture]], window: int) -> dict[str, Any]:
    """Of films that bear no mark."""
    readings = [reading for film in films for size in (1, window) for reading in _readings(film, size)]
    return {
        "readings": len(readings),
        "read": sum(reading.ident is not None for reading in readings),
        "check_right": sum(reading.chance < 1 for reading in readings),  # by chance one in 65,536
        "sigmas_most": round(max(max(reading.sigmas) for reading in readings), 2),
    }


def _readings(shown: list[Picture], window: int) -> Iterator[Reading]:
    """Of every window that is whole."""
    for at in range(0, len(shown) - window + 1, window):
        reader = WatermarkReader()
        for picture in shown[at : at + window]:
            reader.add(picture)
        yield reader.reading()


def _right(reading: Reading) -> float:
    """Share of the bits of the message that are right."""
    wrong = int.from_bytes(reading.said, "big") ^ int.from_bytes(message(IDENT), "big")
    return 1 - wrong.bit_count() / (8 * len(reading.said))
