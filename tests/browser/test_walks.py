"""A link that holds a walk shows the same walk again, to the byte; and whoever opened it drives on from its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ENOUGH = 20  # frames of a walk

# Pictures come as JPEG, each for itself, and what came is kept by its number.
KEEP = """
delete window.VideoDecoder;
window.pictures = {};
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...where) {
    super(...where);
    this.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') return;
      const index = Number(new DataView(data).getBigUint64(16, true));
      window.pictures[index] = new TextDecoder('latin1').decode(new Uint8Array(data, 48));
    });
  }
};
"""


def drive(visitor: Visitor, seconds: float) -> None:
    """Some seconds of keys, one after the other and together."""
    for key in visitor.opposites():
        visitor.page.keyboard.down(key)
        visitor.page.wait_for_timeout(250 * seconds)
        visitor.page.keyboard.down("KeyW")
        visitor.page.wait_for_timeout(250 * seconds)
        visitor.page.keyboard.up(key)
        visitor.page.keyboard.up("KeyW")


def copied(visitor: Visitor) -> str:
    """The walk's link, as it lies in the clipboard."""
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.page.locator("#walk").click()
    visitor.wait_for("document.getElementById('walk').textContent === 'Copied'")
    link: str = visitor.page.evaluate("navigator.clipboard.readText()")
    return link.partition("#")[2]


def test_a_link_walks_the_same_walk_again(visit: Callable[..., Visitor], world: str) -> None:
    first = visit(f"world={world}&seed=5&transport=websocket", script=KEEP)
    first.wait_for_picture("websocket")
    first.page.locator("#stage").focus()
    drive(first, 0.5)  # which is no part of the walk: the dream begins anew below, with the key still down
    first.page.keyboard.down("KeyS")
    first.page.locator("#seed").fill("11")
    first.page.keyboard.press("Enter")
    (reset,) = first.wait_for_receipts("reset", 1)
    first.page.evaluate("window.worldloom.client.look(100, 0).catch(() => {})")  # more than fits into one frame
    drive(first, 2.0)
    while first.page.evaluate("window.worldloom.client.meter.lastIndex") <= reset["frame"] + ENOUGH:
        drive(first, 2.0)  # on a slow machine time passes more slowly in a world
    first.page.locator("#pause").click()
    first.wait_for("window.worldloom.client.paused")
    first.page.wait_for_timeout(300)
    before = {int(index): picture for index, picture in first.page.evaluate("window.pictures").items()}
    link = copied(first)
    first.page.close()  # a small machine has one place

    again = visit(f"transport=websocket#{link}", script=KEEP)
    again.wait_for("window.worldloom?.replay?.rows.length > 0")
    length = again.page.evaluate("window.worldloom.replay.rows.length")
    assert (again.page.evaluate("window.worldloom.world"), length > ENOUGH) == (world, True)
    again.wait_for(f"{length - 1} in window.pictures", 60)
    after = {int(index): picture for index, picture in again.page.evaluate("window.pictures").items()}
    pairs = [(picture, after[index - reset["frame"]]) for index, picture in before.items() if index >= reset["frame"]]
    assert len(pairs) > 0.5 * length, "too few pictures arrived to compare"
    assert sum(one != other for one, other in pairs) == 0
    assert len({one for one, _ in pairs}) > 0.5 * len(pairs), "a picture that stands still proves nothing"

    again.wait_for("!window.worldloom.replay.replaying")
    again.page.evaluate("probe.listen()")
    again.page.locator("#stage").focus()
    again.page.keyboard.down("KeyW")
    assert again.wait_for_receipts("key", 1)[0]["status"] == "applied"
    again.page.locator("#reset").click()
    again.wait_for("window.worldloom.replay === null && window.worldloom.stats()?.frames_shown > 2")
    assert again.page.evaluate("location.hash") == ""


def test_a_walk_pauses_and_steps(visit: Callable[..., Visitor]) -> None:
    first = visit("world=toy&seed=5")
    first.wait_for_picture()
    first.wait_for("window.worldloom.stats().frames_shown > 40")
    again = visit(copied_hash(first))
    again.wait_for("window.worldloom?.replay?.taken > 3")
    again.page.locator("#pause").click()
    again.wait_for("document.getElementById('link-text').textContent === 'Paused'")
    taken = again.page.evaluate("window.worldloom.replay.taken")
    again.page.locator("#step").click()
    again.wait_for(f"window.worldloom.replay.taken > {taken}")
    again.page.wait_for_timeout(300)
    assert again.page.evaluate("window.worldloom.replay.taken") <= taken + 2  # one may have been on its way
    again.page.locator("#pause").click()
    again.wait_for("!window.worldloom.replay.replaying")


def copied_hash(visitor: Visitor) -> str:
    return f"#{copied(visitor)}"


@pytest.mark.parametrize("link", ["#walk=nonsense", "#walk=", "#walk=%00"])
def test_a_link_that_was_cut_says_so(visit: Callable[..., Visitor], link: str) -> None:
    visitor = visit(link)
    visitor.wait_for("!document.getElementById('retry').hidden")
    assert "holds no walk" in visitor.page.locator("#curtain-text").inner_text()
