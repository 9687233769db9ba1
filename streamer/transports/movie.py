"""Encoded pictures into a movie, without encoding them again: H.264 packets in, bytes of a fragmented MP4 out.

Every call returns whole fragments, so whatever prefix of the calls was written to a file is a movie that plays. Knows
packets' bytes and their times; no file, no frame, no session. Runs on whatever thread calls it, one call at a time.
"""

from __future__ import annotations

import av
from av.container import OutputContainer

from .coders import TIME_BASE

FRAGMENT_US = 1_000_000  # that one fragment lasts at most: what is lost of a movie whose process dies

OPTIONS = {
    "movflags": "frag_keyframe+delay_moov+default_base_moof",  # the header waits for the first picture's parameters
    "frag_duration": str(FRAGMENT_US),
    "flush_packets": "1",
}


class _Sink:
    """What the muxer has written since it was asked last. It cannot seek, so the muxer never goes back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data, self._pieces = b"".join(self._pieces), []
        return data


class Movie:
    """One movie of pictures of one size. Its time begins with its first picture."""

    def __init__(self, *, height: int, width: int, period: int) -> None:
        """`period`: ticks (90 kHz) that a picture lasts where none follows."""
        self.begins: int | None = None  # ticks of the stream at which the movie begins
        self.pictures = 0
        self._period = period
        self._sink = _Sink()
        container = av.open(self._sink, "w", format="mp4", options=OPTIONS)
        assert isinstance(container, OutputContainer)
        self._container = container
        self._stream = container.add_mux_stream("h264", width=width, height=height)
        self._stream.time_base = TIME_BASE

    def add(self, data: bytes, pts: int, *, key: bool) -> bytes:
        """One picture (Annex B), later than the one before. Returns the fragments that are complete now.

        Raises:
            ValueError: the first picture builds on others.
        """
        if self.begins is None:
            if not key:
                raise ValueError("expected a movie to begin with a key frame")
            self.begins = pts
        packet = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = TIME_BASE
        packet.pts = packet.dts = pts - self.begins
        packet.duration = self._period
        packet.is_keyframe = key
        self._container.mux(packet)
        self.pictures += 1
        return self._sink.take()

    def end(self) -> bytes:
        """The last fragment, with what waits; empty where there was no picture. Frees the muxer."""
        self._container.close()
        return self._sink.take() if self.pictures else b""
