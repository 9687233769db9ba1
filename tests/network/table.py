"""What a visitor saw, a row for each second, and the sums over some of them.

Knows numbers that the page told; nothing of pages or links.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Self


def percentile(values: Sequence[float], q: float) -> float:
    """By rank, as the page does it; not a number where there is none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


@dataclass(frozen=True)
class Second:
    """About a second of a visit."""

    span_s: float  # how long it really was
    transport: str | None  # None while the page has no world
    shown: int  # frames
    frames: tuple[int, ...]  # numbers of those that the page could tell
    pause_ms: float  # the longest time without a new picture that ended or went on in it
    photons_ms: tuple[float, ...]  # input-to-photon, one for each input
    bitrate_kbps: float  # over the seconds before

    @classmethod
    def between(cls, before: dict[str, Any], after: dict[str, Any]) -> Self:
        """From what the page told twice. A new session counts its frames from the start again."""
        shown = after.get("frames_shown", 0)
        counted = before.get("frames_shown", 0)
        pictures = [before.get("picture_at", before["now"]), *(at for _, at in after.get("frames", []))]
        return cls(
            span_s=(after["now"] - before["now"]) / 1000,
            transport=after.get("transport"),
            shown=shown - counted if shown >= counted else shown,
            frames=tuple(index for index, _ in after.get("frames", [])),
            pause_ms=max(late - early for early, late in pairwise([*pictures, after["now"]])),
            photons_ms=tuple(after.get("photons", ())),
            bitrate_kbps=after.get("bitrate_kbps", 0.0),
        )

    @property
    def fps(self) -> float:
        return self.shown / self.span_s


@dataclass
class Table:
    """Seconds in a row."""

    fps: float  # of the world
    rows: list[Second] = field(default_factory=list)

    def part(self, begin: int, end: int | None = None) -> Table:
        """Some of the seconds."""
        return Table(self.fps, self.rows[begin:end])

    @property
    def shown(self) -> float:
        """Fraction of the world's frames that were shown."""
        return sum(row.shown for row in self.rows) / (self.fps * sum(row.span_s for row in self.rows))

    @property
    def usual(self) -> float:
        """As `shown`, in the median second: where the machine stood still for a moment, that was not the line."""
        return median(row.fps for row in self.rows) / self.fps

    def photon_ms(self, q: float) -> float:
        """A percentile of input-to-photon."""
        return percentile([photon for row in self.rows for photon in row.photons_ms], q)

    @property
    def pause_ms(self) -> float:
        """The longest time without a new picture."""
        return max(row.pause_ms for row in self.rows)

    @property
    def transports(self) -> set[str | None]:
        return {row.transport for row in self.rows}

    def __str__(self) -> str:
        lines = [" second  transport    fps  last frame  pause ms  photon p50  p95 ms   kbit/s"]
        for number, row in enumerate(self.rows):
            p50, p95 = percentile(row.photons_ms, 0.5), percentile(row.photons_ms, 0.95)
            frame = row.frames[-1] if row.frames else "-"
            lines.append(
                f"{number:7}  {row.transport or '-':9}  {row.fps:5.1f}  {frame:>10}  {row.pause_ms:8.0f}"
                f"  {p50:10.0f}  {p95:6.0f}  {row.bitrate_kbps:7.0f}"
            )
        p50, p95 = self.photon_ms(0.5), self.photon_ms(0.95)
        lines.append(
            f"shown {self.shown:.1%}, photon p50 {p50:.0f}, p95 {p95:.0f}, longest pause {self.pause_ms:.0f} ms"
        )
        return "\n".join(lines)
