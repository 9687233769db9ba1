"""The blind page in a real Chromium, opened from a disk: choices, the key, the score."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from worldloom.models.training.report import write_video
from worldloom.models.training.versus_page import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

RESULT = "document.getElementById('result').textContent"


def test_choices_are_scored_by_the_key_alone(browser: Browser, until: Callable[..., None], tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [np.full((32, 64, 3), level, np.uint8) for level in (20, 200)], Fraction(20))
    video = b64encode((tmp_path / "v.mp4").read_bytes()).decode()
    (tmp_path / "index.html").write_text(render([video] * 5))
    (tmp_path / "key.json").write_text(json.dumps({"a": "old", "b": "new", "left": ["a", "b", "a", "b", "a"]}))
    page = browser.new_page()
    try:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.split(":")[0]))
        page.goto(f"file://{tmp_path}/index.html")
        until(page, "[...document.querySelectorAll('video')].every((v) => v.videoWidth === 64)")
        page.click("#score")
        until(page, f"{RESULT}.includes('key.json first')")
        for pair, choice in ((0, "right"), (1, "left"), (2, "left"), (3, "same")):  # new, new, old, same; one open
            page.check(f"input[name=pair{pair}][value={choice}]")
        page.set_input_files("#key", tmp_path / "key.json")
        page.click("#score")
        until(page, f"{RESULT}.includes('sign test')")
        said = page.evaluate(RESULT).splitlines()
        assert said == ["old: 1", "new: 2", "no difference: 1, open: 1", "sign test: p = 1.000"]
        for pair, choice in ((2, "right"), (3, "left"), (4, "right")):
            page.check(f"input[name=pair{pair}][value={choice}]")
        page.click("#score")
        until(page, f"{RESULT}.includes('new: 5')")
        assert page.evaluate(RESULT).endswith("p = 0.063")  # 2 / 2^5, rounded
        assert set(asked) <= {"file", "data", "blob"}
    finally:
        page.close()
