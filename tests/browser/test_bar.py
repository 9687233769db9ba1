"""What stands below the picture: scenes, seed, single step, screenshot and film; and the sticks for fingers."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.browser.conftest import Visitor
from worldloom.streamer.signing import ManifestSettings
from worldloom.streamer.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_scene_that_is_chosen_begins(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&seed=100")
    visitor.wait_for_picture()
    visitor.wait_for("document.querySelectorAll('.scene img').length === 12")
    visitor.wait_for("[...document.querySelectorAll('.scene img')].every((one) => one.naturalWidth === 128)")
    visitor.page.get_by_role("button", name="Begin at seed 4 (seed 4)").click()
    receipt = visitor.wait_for_receipts("reset", 1)[0]
    assert (receipt["status"], receipt["control"]["seed"]) == ("applied", 4)
    visitor.wait_for("document.getElementById('seed').value === '4'")


def test_a_seed_is_entered(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&seed=7")
    visitor.wait_for_picture()
    seed = visitor.page.locator("#seed")
    assert seed.input_value() == "7"
    seed.fill("W123")
    seed.press("Enter")
    visitor.wait_for("document.getElementById('link-text').textContent.startsWith('A seed is')")
    seed.fill("123")
    seed.press("Enter")
    receipt = visitor.wait_for_receipts("reset", 1)[0]
    assert (receipt["status"], receipt["control"]["seed"]) == ("applied", 123)
    assert visitor.receipts("key") == [], "what is typed into the seed drives nothing"


def test_a_pause_goes_on_frame_by_frame(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    assert visitor.page.locator("#step").is_disabled()
    visitor.page.locator("#pause").click()
    visitor.wait_for("!document.getElementById('step').disabled")
    shown = visitor.stats()["frames_shown"]
    frames = []
    for count in (1, 2, 3):
        visitor.page.locator("#step").click()
        frames.append(visitor.wait_for_receipts("step", count)[-1]["frame"])
    assert np.diff(frames).tolist() == [1, 1]
    visitor.wait_for(f"window.worldloom.client.meter.lastIndex === {frames[-1]}")
    assert visitor.stats()["frames_shown"] > shown
    visitor.page.locator("#pause").click()
    visitor.wait_for("document.getElementById('step').disabled")


def test_a_screenshot_is_kept(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&seed=7")
    visitor.wait_for_picture()
    with visitor.page.expect_download() as download:
        visitor.page.locator("#screenshot").click()
    assert download.value.suggested_filename == "worldloom-toy-7.png"
    picture = np.asarray(Pillow.open(download.value.path()).convert("L"), np.float32)
    assert picture.shape == (384, 512)
    shown = Pillow.fromarray(visitor.film(1)[0].astype(np.uint8)).resize((512, 384))
    below = np.asarray(shown, np.float32)[60:]  # the words are above
    assert np.abs(picture[60:] - below).mean() < 4
    assert verify(download.value.path(), ManifestSettings()).mark.ident == 0


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_film_is_kept(visit: Callable[..., Visitor], transport: str) -> None:
    visitor = visit(f"world=toy&seed=7&transport={transport}")
    visitor.wait_for_picture(transport)
    visitor.page.locator("#film").click()
    visitor.wait_for("document.getElementById('film').textContent === 'Stop filming'")
    visitor.page.locator("#stage").focus()
    visitor.page.keyboard.down("ArrowRight")
    visitor.page.wait_for_timeout(1500)
    with visitor.page.expect_download() as download:
        visitor.page.locator("#film").click()
    assert download.value.suggested_filename == "worldloom-toy-7.webm"
    frames = pictures(download.value.path())
    assert frames.shape[1:] == (384, 512)
    assert len(frames) > 10
    moved = [np.abs(one - other).mean() for one, other in itertools.pairwise(frames[:, 60:])]
    assert max(moved) > 0.5, "the world turned"
    assert verify(download.value.path(), ManifestSettings()).mark.ident == 0, "encoded twice, and larger"
    visitor.wait_for("document.getElementById('film').textContent === 'Film'")


def pictures(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with av.open(io.BytesIO(path.read_bytes()), "r") as film:
        return np.stack([frame.to_ndarray(format="gray").astype(np.float32) for frame in film.decode(video=0)])


def test_leaving_a_world_keeps_its_film(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&seed=7")
    visitor.wait_for_picture()
    visitor.page.locator("#film").click()
    visitor.wait_for("document.getElementById('film').textContent === 'Stop filming'")
    visitor.page.wait_for_timeout(300)
    with visitor.page.expect_download() as download:
        visitor.page.evaluate("location.hash = '#walk=nonsense'")  # any other dream; this one is none
        visitor.page.locator("#worlds input").nth(0).evaluate("(radio) => radio.dispatchEvent(new Event('change'))")
    assert download.value.suggested_filename == "worldloom-toy-7.webm"


def test_fingers_have_sticks(browser: Browser, server: ServerProcess) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    visitor = Visitor(page, f"{server.url}/?world=toy")
    visitor.wait_for_picture()
    pads = page.locator(".pad")
    assert pads.count() == 2
    box = pads.nth(0).bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 96
    page.mouse.move(box["x"] + 62, box["y"] + 62)
    page.mouse.down()
    page.mouse.move(box["x"] + 62, box["y"] + 4, steps=4)
    assert visitor.wait_for_receipts("key", 1)[0]["control"] == {"type": "key", "code": "KeyW", "down": True}
    page.mouse.up()
    assert not visitor.wait_for_receipts("key", 2)[1]["control"]["down"]
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
    assert visitor.problems == []


@pytest.mark.parametrize(
    ("axes", "look", "sticks"),
    [
        (["x", "y", "z", "gripper"], [None, None], [["x", "y"], ["gripper", "z"]]),
        (["x", "y", "z"], [None, None], [["x", "y"], [None, "z"]]),
        (["lever"], [None, None], [["lever"]]),
        ([], [None, None], []),
    ],
)
def test_a_world_without_a_view_gives_its_axes_to_both_sticks(
    visit: Callable[..., Visitor], axes: list[str], look: list[str | None], sticks: list[list[str | None]]
) -> None:
    visitor = visit("world=toy")
    info = {"actions": {"keys": {}, "look": look, "axes": [{"name": name, "kind": "level"} for name in axes]}}
    made = visitor.page.evaluate(
        "async (info) => (await import('/pads.js')).sticksFor(info).map(({ axes }) => axes)", info
    )
    assert made == sticks
