"""Time in the page: going back, a kept moment, a second world beside the first, and a replay that is a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTE = """
window.seen = [];
const watch = () => {
  const { client } = window.worldloom;
  client.addEventListener("receipt", ({ detail }) => seen.push(detail));
};
watch();
"""


def said(visitor: Visitor, kind: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = visitor.page.evaluate("window.seen")
    return [one for one in seen if one["control"] and one["control"]["type"] == kind]


def driving(visit: Callable[..., Visitor], query: str = "world=toy") -> Visitor:
    visitor = visit(query)
    visitor.wait_for_picture()
    visitor.page.evaluate(NOTE)
    visitor.page.focus("#stage")  # a click would take the mouse too
    visitor.page.keyboard.down("ArrowRight")
    visitor.page.wait_for_timeout(3500)
    visitor.page.keyboard.up("ArrowRight")
    return visitor


def pressed(visitor: Visitor, button: str, kind: str) -> dict[str, Any]:
    before = len(said(visitor, kind))
    visitor.page.click(f"#{button}")
    visitor.wait_for(f"window.seen.filter((one) => one.control?.type === '{kind}').length > {before}")
    return said(visitor, kind)[-1]


def test_going_back_and_a_kept_moment(visit: Callable[..., Visitor]) -> None:
    visitor = driving(visit)
    kept = pressed(visitor, "keep", "snapshot")
    visitor.page.wait_for_timeout(500)
    back = pressed(visitor, "back-short", "rewind")
    assert back["status"] == "applied"
    assert back["to"] <= back["frame"] - 40
    returned = pressed(visitor, "restore", "restore")
    assert returned["to"] == kept["frame"]
    assert pressed(visitor, "back-long", "rewind")["status"] == "rejected"
    assert visitor.page.text_content("#link-text") == "Not that far back"
    visitor.wait_for("document.getElementById('link-text').textContent === 'Live'")


def test_what_if_beside(visit: Callable[..., Visitor]) -> None:
    visitor = driving(visit, "world=toy&transport=websocket")
    visitor.page.click("#what-if")
    visitor.wait_for("window.worldloomBeside()?.stats().frames_shown > 5")
    stages = [visitor.page.locator(one).bounding_box() for one in ("#stage", "#other-stage")]
    assert all(box and box["width"] > 200 and box["height"] > 150 for box in stages)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 1280
    main, beside = "window.worldloom.client", "window.worldloomBeside()"
    assert visitor.page.evaluate(f"{main}.session !== {beside}.session")
    visitor.page.keyboard.press("ArrowLeft")  # the new picture has the keyboard
    visitor.wait_for(f"{beside}.lastSeq >= 3")
    before = visitor.page.evaluate(f"{main}.lastSeq")
    visitor.page.keyboard.press("ArrowLeft")
    assert visitor.page.evaluate(f"{main}.lastSeq") == before
    visitor.page.click("#what-if")
    visitor.wait_for("window.worldloomBeside() === null")
    assert not visitor.page.is_visible("#other")
    visitor.wait_for(f"{main}.server.sessions === 1")


def test_a_replay_of_what_was_seen(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = driving(visit)
    pressed(visitor, "back-short", "rewind")
    visitor.page.wait_for_timeout(500)
    with visitor.page.expect_download() as download:
        visitor.page.click("#replay")
    path = tmp_path / download.value.suggested_filename
    assert path.suffix == ".wloom"
    download.value.save_as(path)
    done = subprocess.run(
        [sys.executable, "-m", "worldloom.streamer", "replay", str(path), "--json"], capture_output=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["equal"] == report["frames"] > 60
