"""What Agones is told while a server starts, is entered, left, and falls silent; by a pretended SDK sidecar."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from tests.gateway.conftest import running

PATH = Path(__file__).parents[2] / "deploy" / "agones" / "lifecycle.py"


@pytest.fixture(scope="module")
def lifecycle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lifecycle", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lifecycle"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


class Sidecar:
    """Two HTTP servers in one: Agones' SDK, and a Worldloom that says what it is told to say."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.alive = self.ready = True
        self.sessions = 0
        self.refuses = False
        sidecar = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                sidecar.heard.append(self.path)
                self.send_response(503 if sidecar.refuses else 200)
                self.end_headers()

            def do_GET(self) -> None:
                here = {"/livez": sidecar.alive, "/readyz": sidecar.ready}.get(self.path, True)
                self.send_response(200 if here else 503)
                self.end_headers()
                self.wfile.write(b'{"worlds": {"toy": {"sessions": %d}}}' % sidecar.sessions)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def told(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    started = Sidecar()
    yield started
    started.server.shutdown()
    started.server.server_close()


def test_a_life_under_agones(lifecycle: ModuleType, sidecar: Sidecar) -> None:
    life = lifecycle.Lifecycle(sidecar.url, sidecar.url)

    def look() -> list[str]:
        life.look()
        return sidecar.told()

    sidecar.ready = False
    assert look() == ["/health"]  # it loads its worlds
    sidecar.ready = True
    assert look() == ["/health", "/ready"]
    assert look() == ["/health"]  # said once
    sidecar.sessions = 2
    assert look() == ["/health", "/allocate"]
    sidecar.ready = False  # its engine starts anew: those who are in stay
    assert look() == ["/health"]
    sidecar.sessions = 0
    assert look() == ["/health"]  # nobody is to be sent there now
    sidecar.ready = True
    assert look() == ["/health", "/ready"]
    sidecar.alive = False
    assert look() == []  # Agones ends it


def test_a_sidecar_that_starts_later_is_told_again(lifecycle: ModuleType, sidecar: Sidecar) -> None:
    life = lifecycle.Lifecycle(sidecar.url, sidecar.url)
    sidecar.refuses = True
    life.look()
    assert life.told == ""
    sidecar.refuses = False
    life.look()
    assert life.told == "ready"


async def test_it_reads_what_a_real_server_says(lifecycle: ModuleType, sidecar: Sidecar) -> None:
    async with running(1) as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions")).json()
        life = lifecycle.Lifecycle(lease["worker_url"], sidecar.url)
        await asyncio.to_thread(life.look)
        assert sidecar.told() == ["/health", "/allocate"]
