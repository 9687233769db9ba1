"""TURN: a viewer that may use nothing else sees the world through a real coturn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.coturn import turn_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.serving import ServerMaker

pytestmark = pytest.mark.browser

SECRET = "between us"
PAIR = """async () => {
  const report = await window.worldloom.client.view.picture.peer.getStats();
  const entries = [...report.values()];
  const pair = entries.find((one) => one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded');
  return entries.find((one) => one.id === pair?.localCandidateId)?.candidateType;
}"""


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[int]:
    """A TURN server on the loop-back; yields its port."""
    with turn_server(tmp_path, SECRET, (51000, 51100)) as (port, process):
        time.sleep(1.0)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield port


@pytest.mark.parametrize("secret", [SECRET, "something else"])
def test_a_viewer_behind_a_relay(
    start_server: ServerMaker, browser: Browser, coturn: int, tmp_path: Path, secret: str
) -> None:
    settings = tmp_path / "server.toml"
    ice = (
        f'[webrtc.ice]\nturn = ["turn:127.0.0.1:{coturn}?transport=udp"]\nturn_secret = "{secret}"\nrelay_only = true\n'
    )
    settings.write_text(ice)
    server = start_server("--world", "toy", "--config", str(settings))
    server.wait_until_ready()
    page = browser.new_page()
    page.goto(f"{server.url}/?world=toy")
    deadline = time.monotonic() + 20
    while not page.evaluate("window.worldloom?.stats()?.frames_shown > 5"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    shown = page.evaluate("window.worldloom.stats().transport")
    if secret == SECRET:
        assert shown == "webrtc"
        assert page.evaluate(PAIR) == "relay"
    else:
        assert shown == "websocket", "coturn refuses the credentials, and the pictures find another way"
    page.close()
