"""Start pictures from the Python client, against a real server."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from worldloom.client.connection import connect
from worldloom.client.images import media_type
from worldloom.client.session import RemoteWorld
from worldloom.models.spec import Actions, Frames, Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer import errors
from worldloom.streamer.tokens import Claims, Tokens

from .test_connection import serving

SECRET = "a secret that is only good for this test"


class Tinted(ToyWorld):
    """Every picture has the mean colour of the one that the stream started from."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, images=True)
        self.tints: dict[int, Any] = {}  # by state

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        state = super().start(seed=seed, prompt=prompt)
        if image is not None:
            self.tints[id(state)] = image.mean((0, 1)).astype(np.uint8)
        return state

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        frames = super().step(states, actions)
        for b, state in enumerate(states):
            if id(state) in self.tints:
                frames[b] = self.tints[id(state)]
        return frames

    def release(self, state: ToyState) -> None:
        super().release(state)
        self.tints.pop(id(state), None)


def painted(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


async def colour(world: RemoteWorld) -> list[int]:
    (picture,) = await world.step()
    return [int(part) for part in picture.pixels[0, 0]]


async def test_a_session_starts_from_a_picture_and_is_reset_to_another(tmp_path: Path) -> None:
    path = tmp_path / "green.png"
    path.write_bytes(painted((0, 200, 0)))
    async with serving(Tinted) as url, connect(url, mode="lockstep", format="raw", image=painted((200, 0, 0))) as world:
        assert await colour(world) == [200, 0, 0]
        await world.start_from(path)
        assert await colour(world) == [0, 200, 0]
        world.reset(seed=3)
        assert await colour(world) == [0, 200, 0], "the picture before"
        world.reset(image="none")
        assert await colour(world) != [0, 200, 0], "the world's own"


async def test_refusals_are_errors_and_the_session_lives() -> None:
    async with (
        serving(Tinted, images={"max_pixels": 1000}) as url,
        connect(url, mode="lockstep", format="raw") as world,
    ):
        with pytest.raises(errors.TooManyPixels):
            await world.start_from(painted((0, 0, 200)))
        with pytest.raises(errors.BadImage):
            await world.start_from(painted((0, 0, 200))[:50])
        with pytest.raises(errors.BadImage, match="expected the bytes of"):
            await world.start_from(b"<svg/>")
        assert len(await world.step()) == 1
        with pytest.raises(errors.TooManyPixels):
            async with connect(url, image=painted((0, 0, 200))):
                pass


async def test_a_token_opens_the_door_for_pictures_too() -> None:
    token = Tokens(SECRET).sign(Claims(role="drive", exp=int(time.time()) + 60))
    async with serving(Tinted, auth="on", secret=SECRET) as url:
        with pytest.raises(errors.Unauthorized):
            async with connect(url, image=painted((200, 0, 0))):
                pass
        async with connect(url, mode="lockstep", format="raw", token=token, image=painted((200, 0, 0))) as world:
            assert await colour(world) == [200, 0, 0]
            resume = world.resume_token
            async with connect(url, resume=resume, format="raw") as again:  # its own token is proof enough
                await again.start_from(painted((0, 0, 200)))
                assert await colour(again) == [0, 0, 200]


def test_files_are_told_by_their_first_bytes() -> None:
    kinds = {}
    for kind in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        Pillow.new("RGB", (4, 4)).save(file, kind)
        kinds[kind] = media_type(file.getvalue())
    assert kinds == {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
