"""Gamepads and touch pads drive a world, and a control is a promise of its receipt, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# A gamepad that the test moves: `pad.hold(12)` presses the cross upwards.
PAD = """
const buttons = Array.from({ length: 17 }, () => ({ pressed: false }));
window.pad = { connected: true, mapping: 'standard', axes: [0, 0, 0, 0], buttons };
window.pad.hold = (number, pressed) => (window.pad.buttons[number].pressed = pressed);
navigator.getGamepads = () => [window.pad];
"""


def test_a_gamepad_walks_and_looks(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy", script=PAD)
    visitor.wait_for_picture()
    visitor.page.evaluate("pad.axes[1] = -1")
    (pressed,) = visitor.wait_for_receipts("key", 1)
    assert (pressed["status"], pressed["control"]) == ("applied", {"type": "key", "code": "KeyW", "down": True})
    visitor.page.evaluate("pad.axes[1] = 0; pad.axes[2] = 1")
    looks = visitor.wait_for_receipts("look", 3)
    assert all(look["control"]["yaw"] > 0 for look in looks)
    visitor.page.evaluate("pad.axes[2] = 0")
    released = visitor.wait_for_receipts("key", 2)[1]
    assert not released["control"]["down"]


def test_a_pad_that_is_unplugged_lets_go(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy", script=PAD)
    visitor.wait_for_picture()
    visitor.page.evaluate("pad.hold(14, true)")
    assert visitor.wait_for_receipts("key", 1)[0]["control"]["code"] == "ArrowLeft"
    visitor.page.evaluate("pad.connected = false")
    assert not visitor.wait_for_receipts("key", 2)[1]["control"]["down"]


def test_a_finger_on_a_touch_pad_holds_a_key_and_sets_an_axis(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    visitor.page.evaluate(
        """async () => {
          const { captureTouchPad } = await import('/js/worldloom.js');
          const place = Object.assign(document.createElement('div'), { id: 'touch' });
          place.style = 'position: fixed; left: 100px; top: 100px; width: 200px; height: 200px; z-index: 9';
          place.style.touchAction = 'none';
          document.body.append(place);
          const stick = { keys: ['KeyD', 'KeyA', 'KeyS', 'KeyW'], axes: ['lever', null] };
          window.touch = captureTouchPad(window.worldloom.client, place, stick);
        }"""
    )
    mouse = visitor.page.mouse
    mouse.move(200, 200)
    mouse.down()
    mouse.move(200, 105, steps=3)
    assert visitor.wait_for_receipts("key", 1)[0]["control"] == {"type": "key", "code": "KeyW", "down": True}
    mouse.move(300, 200, steps=3)
    visitor.wait_for("probe.receipts.some((one) => one.control?.values?.lever > 0.9)")
    mouse.up()
    visitor.wait_for("probe.receipts.at(-1).control?.values?.lever === 0")
    keys = {(one["control"]["code"], one["control"]["down"]) for one in visitor.receipts("key")}
    assert keys == {("KeyW", True), ("KeyW", False), ("KeyD", True), ("KeyD", False)}


def test_a_control_is_a_promise_of_its_receipt(visit: Callable[..., Visitor]) -> None:
    visitor = visit("world=toy")
    visitor.wait_for_picture()
    receipt = visitor.page.evaluate("window.worldloom.client.tap('KeyW')")
    assert receipt["status"] == "applied"
    visitor.page.evaluate("void window.worldloom.client.press('KeyZ')")  # refused; nobody listens, and nothing is said
    told = visitor.page.evaluate("window.worldloom.client.press('KeyZ').catch(({ code }) => code)")
    assert told == "unknown_key"
