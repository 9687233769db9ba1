"""A world in a pygame window: the game loop is yours, the world comes from a server.

    pip install worldloom pygame-ce pillow
    python examples/pygame_client.py ws://127.0.0.1:8000 --world doom

Keys are those of the world, where they lie on the keyboard; the mouse looks around after a click; R begins anew, Escape
leaves. The loop runs at the screen's rate and never waits for the network: it says what happened and draws the newest
picture. In the title: pictures a second, and how long a key took until its first picture was here.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import dataclass, field

import pygame

from worldloom.client.blocking import Answer, SyncWorld, connect_sync
from worldloom.client.pictures import Picture

DEGREES_PER_PIXEL = 0.18
SCREEN_HZ = 60
CODES = {getattr(pygame, f"KSCAN_{letter}"): f"Key{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
CODES |= {getattr(pygame, f"KSCAN_{way.upper()}"): f"Arrow{way}" for way in ("Up", "Down", "Left", "Right")}
CODES |= {pygame.KSCAN_SPACE: "Space", pygame.KSCAN_RETURN: "Enter", pygame.KSCAN_LSHIFT: "ShiftLeft"}
"""By scancode, which is a place on the keyboard, as `KeyboardEvent.code` is."""


@dataclass
class Figures:
    """How the stream runs, as this loop sees it."""

    shown: deque[float] = field(default_factory=lambda: deque(maxlen=60))  # when pictures came, seconds
    pressed: deque[tuple[float, Answer]] = field(default_factory=lambda: deque(maxlen=64))  # when, and its answer
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=20))  # from a press to its picture, seconds

    def picture(self, picture: Picture) -> None:
        """A picture came."""
        came = picture.received_ns / 1e9
        self.shown.append(came)
        while self.pressed and self.pressed[0][1].done():
            said, answer = self.pressed[0]
            frame = None if answer.exception() else answer.result().frame
            if frame is not None and frame > picture.index:
                break
            if frame is not None:
                self.delays.append(came - said)
            self.pressed.popleft()

    def title(self, world: SyncWorld) -> str:
        """In a line."""
        span = self.shown[-1] - self.shown[0] if len(self.shown) > 1 else 0.0
        rate = (len(self.shown) - 1) / span if span else 0.0
        delay = f", {1000 * sorted(self.delays)[len(self.delays) // 2]:.0f} ms" if self.delays else ""
        return f"{world.info.name}: {rate:.1f} pictures/s{delay}"


def main() -> None:
    """Open the world and play."""
    parser = argparse.ArgumentParser(description="A world in a pygame window.")
    parser.add_argument("url", help="of the server, like ws://127.0.0.1:8000")
    parser.add_argument("--world", help="its name; the server's first one when absent")
    parser.add_argument("--token", help="signed by the server, where it serves strangers")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="leave after so long")
    arguments = parser.parse_args()
    pygame.init()
    try:
        with connect_sync(arguments.url, world=arguments.world, token=arguments.token) as world:
            play(world, time.monotonic() + arguments.seconds)
    finally:
        pygame.quit()


def play(world: SyncWorld, until: float) -> Figures:
    """Draw and steer until Escape, or the end of the session."""
    info = world.info
    scale = max(1, 720 // info.height)
    screen = pygame.display.set_mode((info.width * scale, info.height * scale))
    clock, figures, drawn = pygame.time.Clock(), Figures(), -1
    while time.monotonic() < until and world.ended is None:
        if not all(heed(world, event, figures) for event in pygame.event.get()):
            break
        picture = world.newest
        if picture is not None and picture.index > drawn:
            drawn = picture.index
            figures.picture(picture)
            surface = pygame.surfarray.make_surface(picture.pixels.swapaxes(0, 1))
            pygame.transform.scale(surface, screen.get_size(), screen)
            pygame.display.flip()
            pygame.display.set_caption(figures.title(world))
        clock.tick(SCREEN_HZ)
    if world.ended is not None:
        raise world.ended
    return figures


def heed(world: SyncWorld, event: pygame.event.Event, figures: Figures) -> bool:
    """Say what a person did. Returns whether to go on."""
    match event.type:
        case pygame.QUIT:
            return False
        case pygame.KEYDOWN | pygame.KEYUP:
            if event.key == pygame.K_ESCAPE:
                return False
            key(world, event, figures)
        case pygame.MOUSEBUTTONDOWN:
            pygame.event.set_grab(True)
            pygame.mouse.set_visible(False)
        case pygame.MOUSEMOTION if pygame.event.get_grab() and any(world.info.actions.look):
            right, down = event.rel
            world.look(yaw=right * DEGREES_PER_PIXEL, pitch=-down * DEGREES_PER_PIXEL)
    return True


def key(world: SyncWorld, event: pygame.event.Event, figures: Figures) -> None:
    """One key of the world, or R."""
    code = CODES.get(event.scancode, "")
    if code in world.info.actions.keys:
        if event.type == pygame.KEYDOWN:
            figures.pressed.append((time.monotonic(), world.press(code)))
        else:
            world.release(code)
    elif event.type == pygame.KEYDOWN and event.key == pygame.K_r:
        world.reset(seed=time.monotonic_ns() % 2**32)


if __name__ == "__main__":
    main()
