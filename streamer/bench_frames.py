"""What becomes of each frame while a bench runs: when it was presented, how long its step took, whether it was a key.

Knows the page's meter and the server's /metrics; judges nothing.
"""

from __future__ import annotations

import math
import re
import urllib.request
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The page's meter remembers the latest frames only; all that it is told from now on is noted beside it.
WATCH = """() => {
  const meter = window.worldloom.client.meter, shown = meter.shown;
  window.benchFrames = [];
  meter.shown = function (one) {
    window.benchFrames.push([one.shownMs, one.compute ?? null]);
    return shown.call(this, one);
  };
}"""
# And nothing after this.
READ = """() => {
  delete window.worldloom.client.meter.shown;
  return window.benchFrames;
}"""
UNASKED = re.compile(r'^worldloom_key_frames_total{[^}]*cause="unasked"[^}]*} (\S+)$', re.MULTILINE)


class FrameWatch:
    """From its making until `figures`."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url
        self._unasked = self._count()
        page.evaluate(WATCH)

    def figures(self) -> dict[str, Any]:
        """Percentiles of step and interval, and key frames that nobody asked for."""
        frames = self._page.evaluate(READ)
        steps = [step_ms for _, step_ms in frames if step_ms is not None]
        gaps = [late - early for (early, _), (late, _) in pairwise(frames)]
        return {
            "step_ms": _percentiles(steps),
            "frame_interval_ms": _percentiles(gaps),
            "key_frames_unasked": self._count() - self._unasked,
        }

    def _count(self) -> int:
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=5) as answer:
            return unasked(answer.read().decode())


def unasked(metrics: str) -> int:
    """Key frames that nobody asked for, from the text of /metrics."""
    return int(sum(float(count) for count in UNASKED.findall(metrics)))


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95)}


def percentile(values: Sequence[float], q: float) -> float | None:
    """By rank, as the page does it; None where there is none."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(q * len(values)) - 1)], 3)
