"""The pygame example, on a server, without a screen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.threaded import threaded
from worldloom.client.blocking import connect_sync
from worldloom.streamer import errors

from .test_examples import EXAMPLES, example

pygame = pytest.importorskip("pygame", reason="pygame is not installed", exc_type=ImportError)
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with threaded() as address:
        yield address


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")


def test_it_draws_what_comes_and_times_what_was_pressed(url: str) -> None:
    client = example("pygame_client")
    pygame.init()
    with connect_sync(url, world="toy", seed=1) as world:
        while world.newest is None:
            time.sleep(0.01)
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            pygame.event.post(pygame.event.Event(kind, key=pygame.K_w, scancode=pygame.KSCAN_W))
        figures = client.play(world, time.monotonic() + 1.5)
        screen = pygame.surfarray.array3d(pygame.display.get_surface())
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, scancode=pygame.KSCAN_ESCAPE))
        began = time.monotonic()
        client.play(world, began + 20)
        assert time.monotonic() - began < 5, "Escape leaves"
    pygame.quit()
    assert len(figures.shown) > 15
    assert len(figures.delays) == 1
    assert 0.0 < figures.delays[0] < 1.0
    assert screen.shape == (128 * 7, 96 * 7, 3)
    assert np.std(screen) > 10


def test_a_server_that_ends_is_told(url: str) -> None:
    client = example("pygame_client")
    pygame.init()
    with (
        connect_sync(url, world="toy") as world,
        connect_sync(url, resume=world.resume_token),
        pytest.raises(errors.TakenOver),
    ):
        client.play(world, time.monotonic() + 20)
    pygame.quit()


def test_it_is_a_program(url: str) -> None:
    command = [sys.executable, str(EXAMPLES / "pygame_client.py"), url, "--world", "toy", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
