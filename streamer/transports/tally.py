"""What one viewer's video amounts to: what left, how large, how long to encode. Knows no transport, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..frames import Frame

WINDOW = 256  # pictures whose encoding time is remembered


@dataclass(frozen=True)
class Departure:
    """A frame that has left for the viewer."""

    frame: Frame
    encode_ns: int  # time that compressing it took
    coder: str  # what compressed it
    sent_ns: int  # `time.monotonic_ns` when its last byte was handed to the network
    rtp_timestamp: int | None = None  # in the RTP header of its packets: how a browser names the frame

    @property
    def age_ns(self) -> int:
        """From sampling the controls to sending."""
        return max(0, self.sent_ns - self.frame.sampled_ns)


@dataclass(frozen=True)
class LineReport:
    """How a viewer's line is."""

    lost: float  # fraction of packets since the report before
    held_ms: int  # how long it is told to hold pictures back, at least


@dataclass
class Tally:
    """Counts since the video began. One writer, any reader."""

    frames: int = 0  # pictures that left
    octets: int = 0  # bytes of them
    key_frames: int = 0  # of `frames`, decodable on their own
    encode_ns: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))  # of the latest pictures

    def add(self, size: int, encode_ns: int, *, key: bool = True) -> None:
        """One picture of `size` bytes left."""
        self.frames += 1
        self.octets += size
        self.key_frames += key
        self.encode_ns.append(encode_ns)
