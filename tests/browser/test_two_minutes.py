"""Two minutes in a page on a trained world: the replay equals it to the byte, and the movie of it is signed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

WORLD = "doom"
SECONDS = 120
KEYS = ("KeyW", "KeyS", "KeyA", "KeyD", "ArrowLeft", "ArrowRight")
LEAST = 0.6  # of the frames that two minutes have on an idle machine: a busy one skips some


def test_two_minutes_are_replayed_and_their_movie_is_signed(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit(f"world={WORLD}")
    visitor.wait_for_picture()
    fps = visitor.page.evaluate("window.worldloom.info.fps[0] / window.worldloom.info.fps[1]")
    wander(visitor, SECONDS)
    bundle = tmp_path / "walk.wloom"
    with visitor.page.expect_download() as download:
        visitor.page.click("#replay")
    download.value.save_as(bundle)
    movie = tmp_path / "walk.mp4"
    report = worldloom("replay", str(bundle), "--json")
    print(f"\n{report}")
    assert report["equal"] == report["frames"] > LEAST * SECONDS * fps
    print(worldloom("replay", str(bundle), "--render", str(movie), "--json"))
    verdict = worldloom("verify", str(movie), "--json")
    print(verdict)
    assert verdict["manifest"]["valid"]
    assert verdict["watermark"]["ident"] is not None
    changed = bytearray(movie.read_bytes())
    changed[len(changed) // 2] ^= 1
    movie.write_bytes(changed)
    assert not worldloom("verify", str(movie), "--json", ok=False)["manifest"]["valid"]


def wander(visitor: Visitor, seconds: float) -> None:
    """Keys held and let go, as a person at play."""
    rng = random.Random(1)
    visitor.page.focus("#stage")
    began = visitor.page.evaluate("performance.now()")
    while visitor.page.evaluate("performance.now()") - began < 1000 * seconds:
        keys = rng.sample(KEYS, rng.randint(0, 2))
        for key in keys:
            visitor.page.keyboard.down(key)
        visitor.page.wait_for_timeout(rng.uniform(150, 1500))
        for key in keys:
            visitor.page.keyboard.up(key)


def worldloom(*arguments: str, ok: bool = True) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = subprocess.run([sys.executable, "-m", "worldloom.streamer", *arguments], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report
