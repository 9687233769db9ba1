"""The engine beside the dream, on the page: both pictures, the same actions, and nothing left when it is put away."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from worldloom.streamer.twin_child import has_engine

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor
    from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

BESIDE = "document.getElementById('stage').dataset.twin === 'true'"
ENGINE = "document.getElementById('engine').toDataURL('image/png').split(',')[1]"


def engine(visitor: Visitor) -> NDArray[np.float32]:
    """What the engine's canvas shows, in grey levels, at the size of the world."""
    picture = Pillow.open(io.BytesIO(base64.b64decode(visitor.page.evaluate(ENGINE)))).convert("L")
    info = visitor.page.evaluate("window.worldloom.info")
    return np.asarray(picture.resize((info["width"], info["height"])), np.float32)


def opened(visitor: Visitor) -> None:
    visitor.wait_for("!document.getElementById('twin').hidden && !document.getElementById('twin').disabled")
    visitor.page.locator("#twin").click()
    visitor.wait_for(BESIDE, 60)


def test_the_engine_stands_beside_the_dream(visit: Callable[..., Visitor], server: ServerProcess, world: str) -> None:
    if not has_engine(world):
        pytest.skip(f"the engine of {world} is not installed")
    visitor = visit(f"world={world}&seed=3")
    visitor.wait_for_picture()
    before = set(server.family())
    opened(visitor)
    engines = set(server.family()) - before
    assert engines
    stage = visitor.page.locator("#stage").bounding_box()
    canvas = visitor.page.locator("#engine").bounding_box()
    assert stage is not None
    assert canvas is not None
    assert canvas["x"] >= stage["x"] + stage["width"] / 2 - 2
    still = engine(visitor)
    assert still.std() > 5
    if world != "toy":  # which takes no picture, so that the two begin apart
        assert np.abs(still - visitor.film(1)[0]).mean() < 20, "both begin with one picture"
    visitor.page.locator("#stage").focus()
    visitor.page.keyboard.down("KeyW")
    visitor.page.keyboard.down(visitor.opposites()[0])
    obeys = time.monotonic() + 20
    while np.abs(engine(visitor) - still).mean() <= 1:
        assert time.monotonic() < obeys, "the engine obeys too"
        visitor.page.wait_for_timeout(100)
    visitor.page.keyboard.up("KeyW")
    visitor.page.keyboard.up(visitor.opposites()[0])
    visitor.page.locator("#twin").click()
    visitor.wait_for(f"!({BESIDE})")
    assert visitor.page.locator("#engine").is_hidden()
    gone = time.monotonic() + 5
    while engines & set(server.family()):
        assert time.monotonic() < gone, "the engine's process is still there"
        time.sleep(0.1)


def test_another_dream_has_another_engine(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy&seed=3", width=360, height=740)
    visitor.wait_for_picture()
    opened(visitor)
    visitor.page.locator("#seed").fill("8")
    visitor.page.keyboard.press("Enter")
    visitor.wait_for("document.getElementById('stage').dataset.twin === 'false'")
    visitor.wait_for(BESIDE, 60)
    visitor.wait_for("document.getElementById('seed').value === '8'")
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [visitor.page.locator(name).bounding_box() for name in ("#video", "#engine")]
    assert all(box is not None and box["height"] > 150 for box in boxes), boxes
