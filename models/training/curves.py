"""Curves as SVG: a few points each, a logarithmic axis of frames. Knows numbers and how to draw them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

COLOURS = ("#0b6e99", "#b5552a", "#4f7a28", "#7a4f8c")
WIDTH, HEIGHT = 460, 240  # pixels of the whole drawing
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 30  # pixels around the axes


def curve(title: str, lines: Mapping[str, Mapping[str, float]]) -> str:
    """One drawing: each line is a table from frames to values; the axis of frames is logarithmic."""
    points = {name: {float(n): v for n, v in line.items()} for name, line in lines.items() if line}
    frames = sorted({n for line in points.values() for n in line})
    values = [v for line in points.values() for v in line.values()]
    if not values:
        return ""
    low, high = min(values), max(values)
    low, high = (low, high) if high - low > 1e-9 else (low - 1.0, high + 1.0)
    reach = max(np.log(frames[-1]) - np.log(frames[0]), 1e-9)

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * float((np.log(n) - np.log(frames[0])) / reach)

    def y(v: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - v) / (high - low)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f'<text x="{LEFT}" y="14" class="title">{escape(title)}</text>',
        f'<path d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" class="axis"/>',
    ]
    parts += [f'<text x="{x(n):.1f}" y="{HEIGHT - 14}" class="tick">{n:g}</text>' for n in frames]
    parts += [f'<text x="{LEFT - 4}" y="{y(v):.1f}" class="tick left">{v:.3g}</text>' for v in (low, high)]
    for k, (name, line) in enumerate(points.items()):
        colour = COLOURS[k % len(COLOURS)]
        path = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in sorted(line.items()))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(n):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>' for n, v in line.items()]
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{TOP + 14 * k}" class="name" fill="{colour}">{escape(name)}</text>')
    return "".join(parts) + "</svg>"
