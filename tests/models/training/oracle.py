"""A world that remembers its recordings: it shows the next recorded frame, so every measure of it is known.

It stands in for a DiTWorld where the evaluation is tested: an index that is off by one cannot hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldloom.models.autoencoder import to_pictures, to_signed
from worldloom.models.spec import Actions, Frames, WorldSpec
from worldloom.models.state import StartScene
from worldloom.models.training.clips import Clips


@dataclass
class Place:
    """A stream: where in the recordings it is."""

    at: int  # the last frame shown
    view: None = None  # it knows no camera
    released: bool = False


class Oracle:
    """Plays recordings on from wherever a scene was taken; `stride` -1 plays them backwards, 0 stands still."""

    def __init__(self, spec: WorldSpec, clips: Clips, *, window: int = 4, stride: int = 1, strict: bool = True) -> None:
        self.spec, self.clips, self.stride, self.strict = spec, clips, stride, strict
        self.config = SimpleNamespace(window=window)
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.outlook = None
        self.autoencoder = SimpleNamespace(
            latents=lambda pictures: pictures,
            pictures=lambda latents: latents,
            parameters=lambda: iter([torch.zeros(1)]),
        )
        self.places: list[Place] = []
        spans = np.arange(len(clips) - window + 1)[:, None] + np.arange(window)
        frames = clips.take(np.arange(len(clips)))
        self._known = {frames[span].tobytes(): int(span[-1]) for span in spans}

    def encode(self, pictures: NDArray[np.uint8]) -> Tensor:
        return to_signed(torch.from_numpy(pictures))

    def begin(self, scene: StartScene, seed: int) -> Place:
        at = self._known[to_pictures(scene.latents).numpy().tobytes()]
        span = np.arange(at - self.config.window + 1, at + 1)
        np.testing.assert_array_equal(scene.actions.numpy(), self.clips.leading[span])
        self.places.append(Place(at))
        return self.places[-1]

    def step(self, states: Sequence[Place], actions: Actions) -> Frames:
        assert actions.shape == (len(states), 1, len(self.spec.actions.columns))
        for state, rows in zip(states, actions, strict=True):
            if self.strict:
                np.testing.assert_array_equal(rows[0], self.clips.leading[(state.at + 1) % len(self.clips)])
            state.at = (state.at + self.stride) % len(self.clips)
        return np.stack([self.clips.frame(state.at)[None] for state in states])

    def release(self, state: Place) -> None:
        state.released = True
