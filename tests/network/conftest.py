"""A link to run things over, where this machine allows one; elsewhere every test here is skipped and says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, sync_playwright

from worldloom.streamer.chromium import MISSING, installed_browser

from .lane import Conditions
from .link import Link, why_no_link
from .scenario import Server, start, visit


@pytest.fixture(scope="session")
def needs_namespaces() -> None:
    """Skips where namespaces or TUN devices are missing or forbidden."""
    reason = why_no_link()
    if reason is not None:
        pytest.skip(f"no network namespaces on this machine: {reason}")


@pytest.fixture
def link(needs_namespaces: None) -> Iterator[Link]:
    """Two namespaces and a clean link between them."""
    with Link() as made:
        yield made


@dataclass
class Theatre:
    """A ready server of the toy on its side of a link, and what it takes to send somebody there."""

    link: Link
    server: Server
    playwright: Playwright


@pytest.fixture(scope="module")
def theatre(needs_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """One server for all scenarios of a module: what it learns of a line, it learns in each session afresh."""
    if installed_browser() is None:
        pytest.skip(MISSING)
    log = tmp_path_factory.mktemp("server") / "log"
    with Link() as link, Server(link, log) as server, sync_playwright() as playwright:
        yield Theatre(link, server, playwright)


@pytest.fixture
def page(theatre: Theatre, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that shows the toy over a clean line and has the keyboard. A test may give the query as a parameter."""
    theatre.link.set("both", **asdict(Conditions()))
    query = getattr(request, "param", "transport=auto")
    with visit(theatre.playwright, theatre.link, f"{theatre.server.url}/?{query}", tmp_path) as opened:
        start(opened)
        yield opened
    theatre.link.set("both", **asdict(Conditions()))
