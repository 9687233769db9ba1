from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from worldloom.models.training.curves import curve
from worldloom.models.training.page import SECTIONS, flat, render, table
from worldloom.models.training.published import PUBLISHED

METRICS: dict[str, Any] = {
    "world": "toy-dream",
    "next_frame_psnr": 25.5,
    "rollout_psnr": {"1": 30.0, "64": 18.0},
    "rollout_ssim": {"1": 0.9, "64": 0.4},
    "rollout_psnr_copy": {"1": 25.0, "64": 17.0},
    "key_macro_f1": 0.25,
    "success_precision": None,
    "drift": {"luma": 0.07},
    "absent": {"wall_penetration": "no <walls>"},
    "seconds": {"pictures": 1.5, "total": 1.5},
    "counts": {"contexts": 3},
    "hardware": {"cpu": "a & b"},
}


class Links(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "poster", "data")]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    for name in ("pairs.png", "dreams.png", "dream.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_the_page_holds_everything_and_fetches_nothing(drawn: Path) -> None:
    page = render("A <maze>", METRICS, drawn)
    links = Links()
    links.feed(page)
    assert len(links.found) == 3
    assert all(link.startswith("data:") for link in links.found)
    assert "url(" not in page
    assert "A &lt;maze&gt;" in page
    for text in ("drift.luma", "0.07", "no &lt;walls&gt;", "a &amp; b", "<td>–</td>", "rollout_psnr.64"):
        assert text in page
    assert page.count("<svg") == 2


def test_published_figures_stand_beside_ours_and_name_their_source(drawn: Path) -> None:
    page = render("", METRICS, drawn)
    assert "29.43 dB" in page
    rows = re.findall(r"<tr>(?:(?!</tr>).)*GameNGen(?:(?!</tr>).)*</tr>", page)
    assert any("25.5" in row and "arXiv 2408.14837" in row for row in rows)
    assert all(row.source for row in PUBLISHED)


def test_every_measure_stands_in_exactly_one_section() -> None:
    keys = ("next_frame_psnr", "rollout_psnr", "key_f1", "look_error_deg", "look_around_psnr", "frechet", "drift_10000")
    for key in keys:
        assert sum(key.startswith(starts) for _, starts in SECTIONS) == 1


def test_levels_are_joined_by_dots() -> None:
    assert list(flat({"a": {"b": {"c": 1}}, "d": None})) == [("a.b.c", 1), ("d", None)]
    assert table(("a",), []) == "<p>Nothing.</p>"


def test_a_curve_falls_where_its_numbers_do() -> None:
    drawing = curve("PSNR", {"dream": {"1": 30.0, "4": 20.0, "64": 10.0}})
    points = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]+)"', drawing)[1].split()]  # type: ignore[index]
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys)  # down the page
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(1 / 3, abs=0.01)  # log 4 of log 64
    assert curve("nothing", {"dream": {}}) == ""
