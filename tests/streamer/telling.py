"""A world that shows what it is told, and sessions of it that are logged."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

from worldloom.models.spec import Image, Switch
from worldloom.models.toy import ToyState
from worldloom.streamer.fields import Mode

from .logged import Drive
from .test_parking import Parks, desk_of


class Teller(Parks):
    """What it is told shows: in its colours, and by where one stands where it forgets or blends."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, prompts=True, switches=("recache", "blend", "flush"))
        self.told: list[tuple[str, str, int]] = []

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        return super().start(seed=crc32(prompt.encode()) if prompt else seed)

    def say(self, state: ToyState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        if prompt == "nonsense":
            raise ValueError("not encoded here")
        if prompt == "fault":
            raise RuntimeError("secret detail")
        self.told.append((prompt, how, chunks))
        if how == "blend":
            state.depth = float(chunks)
            return
        state.seed = crc32(prompt.encode())
        if how == "flush":
            state.yaw = 0.0


def driven(mode: Mode = "realtime", model: Teller | None = None) -> Drive:
    """A session of such a world, which is parked where it rests."""
    return Drive(desk_of(model or Teller()), mode)
