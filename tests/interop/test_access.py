"""The page before axe-core, which looks for what keeps people out: names, roles, contrast, focus, sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page

from worldloom.models.catalog import shipped_worlds
from worldloom.streamer.chromium import wait_for

if TYPE_CHECKING:
    from tests.serving import ServerMaker, ServerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

WORLDS = ("toy", *(name for name in ("arm",) if name in shipped_worlds()))  # keys and a view; keys and sliders
WIDTHS = {"desk": (1280, 800), "phone": (360, 740)}
ON_PICTURE = "(selector) => document.querySelector(selector).closest('#stage') !== null"
ARROWS = [f"<b>{arrow}</b>" for arrow in "↑←↓→"]
SHOWN = "window.worldloom?.stats()?.frames_shown > 2"


@pytest.fixture(scope="module")
def server(start_server: ServerMaker) -> ServerProcess:
    """A server of a world with a view and of one with sliders."""
    started = start_server(*(part for name in WORLDS for part in ("--world", name)))
    started.wait_until_ready()
    return started


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, packages: Path) -> Iterator[Page]:
    """A page with axe-core in it, on a desk and on a phone."""
    axe = packages / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("no package axe-core from npm; `make test-interop` installs it where there is npm")
    width, height = WIDTHS[request.param]
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone, reduced_motion="reduce"
    )
    context.add_init_script(path=axe)
    yield context.new_page()
    context.close()


def violations(page: Page) -> list[str]:
    """What axe finds, by its rules for WCAG 2.2 at the levels A and AA and by its best practices.

    It cannot tell a contrast before a gradient. The page's is as light as its lightest colour here, for all is light
    on dark. What it still cannot tell stands on the picture, or is an arrow in the colour of the letters beside it.
    """
    page.evaluate("document.body.style.background = '#1b2330'")
    told: dict[str, list[dict[str, Any]]] = page.evaluate("axe.run(document)")
    unsure = [one for one in told["incomplete"] if one["id"] == "color-contrast"]
    nodes = [node for one in unsure for node in one["nodes"] if node["html"] not in ARROWS]
    off = [node for node in nodes if not page.evaluate(ON_PICTURE, node["target"][0])]
    sure = [f"{one['impact']} {one['id']}: {node['html']}" for one in told["violations"] for node in one["nodes"]]
    return sure + [f"unsure of the contrast: {node['html']}" for node in off]


@pytest.mark.parametrize("world", WORLDS)
def test_nobody_is_kept_out_of_driving(page: Page, server: ServerProcess, world: str) -> None:
    page.goto(f"{server.url}/?world={world}")
    wait_for(page, SHOWN)
    wait_for(page, "document.querySelectorAll('.scene').length > 0")
    assert violations(page) == []
    page.locator("#stage").focus()
    page.keyboard.down("KeyW")
    wait_for(page, "document.querySelector('.cap[data-applied=true]')")
    assert violations(page) == [], "while a cap is lit"
    page.keyboard.up("KeyW")
    page.locator("#pause").click()
    wait_for(page, "document.getElementById('link-text').textContent === 'Paused'")
    page.locator("#film").click()
    wait_for(page, "document.getElementById('film').textContent === 'Stop filming'")
    assert violations(page) == [], "paused, and filming"


def test_nobody_is_kept_out_of_the_engine(page: Page, server: ServerProcess) -> None:
    page.goto(f"{server.url}/?world=toy")
    wait_for(page, "!document.getElementById('twin').hidden && !document.getElementById('twin').disabled")
    page.locator("#twin").click()
    wait_for(page, "document.getElementById('stage').dataset.twin === 'true'")
    assert violations(page) == []


def test_nobody_is_kept_out_of_trouble(page: Page, server: ServerProcess) -> None:
    page.goto(f"{server.url}/#walk=nonsense")
    wait_for(page, "!document.getElementById('retry').hidden")
    assert violations(page) == []


def test_nobody_is_kept_out_of_the_preflight(page: Page, server: ServerProcess) -> None:
    page.goto(f"{server.url}/preflight")
    wait_for(page, "document.getElementById('verdict').dataset.transport === 'webrtc'")
    assert violations(page) == []


def test_axe_finds_what_is_wrong(page: Page, server: ServerProcess) -> None:
    page.goto(f"{server.url}/")
    wait_for(page, SHOWN)
    page.evaluate("document.getElementById('pause').textContent = ''")
    page.evaluate("document.querySelector('.notice').style.color = '#333'")
    assert {found.split()[1] for found in violations(page)} == {"button-name:", "color-contrast:"}
