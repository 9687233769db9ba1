"""Packets become a movie that plays, wherever its bytes end, and keep their times."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from worldloom.streamer.transports.coders import TIME_BASE
from worldloom.streamer.transports.encoder import EncoderSettings, VideoEncoder
from worldloom.streamer.transports.movie import Movie

PERIOD = 4500  # ticks; 20 pictures a second


def encoded(times: list[int]) -> Iterator[tuple[bytes, int, bool]]:
    encoder = VideoEncoder("h264", height=64, width=96, fps=Fraction(20), settings=EncoderSettings())
    for number, pts in enumerate(times):
        picture = encoder.encode(np.full((64, 96, 3), 10 + number % 200, np.uint8), pts)
        yield picture.data, pts, picture.key


def shown(movie: bytes) -> list[int]:
    with av.open(io.BytesIO(movie), "r") as file:
        assert next(file.demux(video=0)).is_keyframe
        file.seek(0)
        assert (file.streams.video[0].height, file.streams.video[0].width) == (128, 192)
        assert file.streams.video[0].time_base == TIME_BASE
        return [picture.pts or 0 for picture in file.decode(video=0)]


def test_times_survive_pauses_and_begin_at_zero() -> None:
    times = [700_000 + index * PERIOD + (270_000 if index > 30 else 0) for index in range(50)]
    movie = Movie(height=128, width=192, period=PERIOD)
    data = b"".join(movie.add(data, pts, key=key) for data, pts, key in encoded(times))
    data += movie.end()
    assert movie.begins == times[0]
    assert shown(data) == [pts - times[0] for pts in times]


def test_every_prefix_of_the_calls_plays() -> None:
    times = [index * PERIOD for index in range(70)]
    movie = Movie(height=128, width=192, period=PERIOD)
    data, lengths = b"", set()
    for number, (picture, pts, key) in enumerate(encoded(times), 1):
        more = movie.add(picture, pts, key=key)
        data += more
        if more:
            count = len(shown(data))
            lengths.add(count)
            assert number - count <= 21, "a second at most is lost"
    movie.end()
    assert lengths == {20, 40, 60}


def test_a_movie_begins_with_a_key_frame() -> None:
    pictures = list(encoded([0, PERIOD]))
    movie = Movie(height=128, width=192, period=PERIOD)
    with pytest.raises(ValueError, match="key frame"):
        movie.add(*pictures[1][:2], key=pictures[1][2])
    assert movie.end() == b""
