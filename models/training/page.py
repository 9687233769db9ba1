"""One page of a world's evaluation: tables, curves, contact sheets and a video, all inside one HTML file.

It opens from a disk without a network. Knows what `evaluate` returns and what report.py draws; measures nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..world import DiTWorld
from .curves import curve
from .published import PUBLISHED
from .recipe import Recipe
from .report import write_report

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Pictures", ("autoencoder_", "next_frame", "copy_last_", "context_")),
    ("Rollouts", ("rollout_",)),
    ("Control", ("controllability_", "direction_", "key_", "look_error_", "speed_ratio")),
    ("Places", ("look_around_", "there_and_back_", "wall_")),
    ("Clips", ("frechet", "seam_")),
    ("Task", ("gripper_", "success_")),
    ("Endurance", ("drift",)),
)
"""Titles, and how the keys begin that stand under each."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1c1c1c }
table { border-collapse: collapse; margin: .6rem 0 1.4rem } td, th { padding: .15rem .7rem; text-align: left }
tr:nth-child(even) { background: #f3f3f0 } td.number { font-variant-numeric: tabular-nums }
img, video { max-width: 100%; image-rendering: pixelated } svg text { font: 12px system-ui, sans-serif }
svg .axis { fill: none; stroke: #999 } svg .title { font-weight: 600 } svg .tick { fill: #666; text-anchor: middle }
svg .left, svg .name { text-anchor: end } small { color: #666 }
"""


def write_page(recipe: Recipe, folder: Path, world: DiTWorld, metrics: dict[str, Any], out: Path) -> Path:
    """Write `index.html` under `out`, beside the pictures and the video that it holds; returns its path."""
    write_report(recipe, folder, world, out)
    page = out / "index.html"
    page.write_text(render(recipe.spec.title, metrics, out), encoding="utf-8")
    return page


def render(title: str, metrics: dict[str, Any], pictures: Path) -> str:
    """The page's HTML, with `pairs.png`, `dreams.png` and `dream.mp4` of a folder in it."""
    body = [
        f"<h1>{escape(title)} <small>{escape(metrics['world'])}</small></h1>",
        "<p>How each figure is defined and repeated: docs/worlds.md. Levels of a key are joined by dots;"
        " figures that belong to each other (a ceiling, a floor, a chance level) begin alike.</p>",
        "<h2>Beside what others published</h2>",
        "<p>Pictures, data and size differ in every row: a row says what to read, not who is better.</p>",
        table(("system", "measure", "published", "how", "source", "ours"), beside(metrics)),
        *drawings(metrics),
        *(section(metrics, name, starts) for name, starts in SECTIONS),
        "<h2>Not measured</h2>",
        table(("key", "why"), metrics["absent"].items()),
        "<h2>What it took</h2>",
        table(("part", "seconds"), metrics["seconds"].items()),
        table(("count", "of"), flat(metrics["counts"])),
        table(("hardware", ""), metrics["hardware"].items()),
        "<h2>Truth above dream</h2>",
        image(pictures / "pairs.png"),
        "<h2>Truth on the left, dream on the right, same actions</h2>",
        f'<video controls loop muted src="{data(pictures / "dream.mp4", "video/mp4")}"></video>',
        "<h2>Long dreams: every fifth frame of ten streams</h2>",
        image(pictures / "dreams.png"),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def drawings(metrics: dict[str, Any]) -> Iterator[str]:
    """What falls with the frames that were dreamed."""
    lines = {"dream": metrics["rollout_psnr"], "last true frame": metrics["rollout_psnr_copy"]}
    yield curve("PSNR (dB) after n dreamed frames", lines)
    yield curve("SSIM after n dreamed frames", {"dream": metrics["rollout_ssim"]})


def section(metrics: dict[str, Any], title: str, starts: tuple[str, ...]) -> str:
    """A heading and a table of all measures whose keys begin so."""
    rows = [row for key, value in metrics.items() if key.startswith(starts) for row in flat({key: value})]
    return f"<h2>{title}</h2>{table(('key', 'figure'), rows)}" if rows else ""


def beside(metrics: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of published figures, ours last."""
    ours = dict(flat(metrics))
    for row in PUBLISHED:
        yield row.system, row.measure, row.figure, row.how, row.source, ours.get(row.ours, "")


def flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Tables within tables as rows, levels joined by dots."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def table(titles: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    """An HTML table; numbers short, None as a dash."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f'<td class="number">{value:.4g}</td>'
        return f"<td>{'–' if value is None else escape(str(value))}</td>"

    head = "".join(f"<th>{escape(name)}</th>" for name in titles)
    lines = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>" if lines else "<p>Nothing.</p>"


def image(path: Path) -> str:
    """A picture inside the page."""
    return f'<p><img alt="" src="{data(path, "image/png")}"></p>'


def data(path: Path, kind: str) -> str:
    """A file as a URL that holds it."""
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
