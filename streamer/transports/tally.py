"""What one viewer's video amounts to: pictures, bytes, encoding times. Knows no transport and reads no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 256  # pictures whose encoding time is remembered


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
