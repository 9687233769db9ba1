"""Dreams that begin in recordings: real frames into the memory, then the world's own frames under given actions.

Knows a DiTWorld and recordings; measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import Autoencoder, to_pictures, to_signed
from ..camera_view import CameraOutlook
from ..motion import turn_of
from ..spec import Actions
from ..state import DiTState, StartScene
from ..world import DiTWorld
from .clips import Clips
from .metrics import Pictures
from .survey import recorded_poses
from .walks import walked

SETTLING = 16
"""Frames after which little is left of a wrong speed."""


def context_frames(world: DiTWorld, most: int | None = None) -> int:
    """Real frames that a dream begins with: as many as the memory holds, and at most so many, whole chunks."""
    chunk, window = world.spec.chunk, world.config.window
    return max(chunk, min(window, window if most is None else most) // chunk * chunk)


def spread(starts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` of them, evenly spread, none twice.

    Raises:
        ValueError: there are none.
    """
    if not len(starts):
        raise ValueError("the held-out episodes are too short for this measurement: record longer ones")
    return starts[np.unique(np.linspace(0, len(starts) - 1, count).astype(np.int64))]


def scenes_at(world: DiTWorld, clips: Clips, starts: NDArray[np.int64], frames: int) -> list[StartScene]:
    """Scenes of `frames` recorded frames that begin at each of `starts`."""
    spans = [np.arange(start, start + frames) for start in starts]
    scenes = [StartScene(world.encode(clips.take(span)), torch.from_numpy(clips.leading[span])) for span in spans]
    if not world.outlook:
        return scenes
    last = [torch.from_numpy(clips.take(span[-1:])[0]) for span in spans]
    scenes = [replace(scene, picture=picture) for scene, picture in zip(scenes, last, strict=True)]
    if not isinstance(world.outlook, CameraOutlook):
        return scenes
    config = world.outlook.motion.config
    (_, momenta, clocks), poses = walked(clips, config), recorded_poses(clips, config.unit)
    speeds = _velocities(world.outlook, clips, poses, world.spec.actions.scale, np.stack(spans))
    return [  # recordings are entered in the middle of a walk
        replace(
            scene,
            momenta=momenta[span],
            poses=poses[span],
            velocities=None if speeds is None else speeds[k],
            clock=int(clocks[span[0]]),
        )
        for k, (scene, span) in enumerate(zip(scenes, spans, strict=True))
    ]


def _velocities(
    outlook: CameraOutlook, clips: Clips, poses: Tensor, scale: NDArray[np.float32], at: NDArray[np.int64]
) -> Tensor | None:
    """(*at, 2) of the body that carried the camera to recorded frames `at`; zeros where an episode begins.

    It cannot be read off the way of a body that hits something. So it is, some frames before, and from there goes on.
    """
    if not outlook.body:
        return None
    body, begins, rows = outlook.body.to(poses.device), clips.begins, torch.from_numpy(clips.leading / scale)
    turns = turn_of(outlook.motion.config, rows[:, None])
    found = body.velocity_of(poses[:, :2].diff(dim=0, prepend=poses[:1, :2]), poses[:, 2], rows)
    velocity = torch.zeros(at.size, 2, dtype=torch.float64)
    for back in range(SETTLING, -1, -1):
        here = np.maximum(at.ravel() - back, 0)
        before = np.maximum(here - 1, 0)
        if back < SETTLING:
            _, velocity = body.moved(poses[before], velocity, rows[here], turns[here])
        unknown = torch.from_numpy(begins[before] | (back == SETTLING))[:, None]
        velocity = torch.where(unknown, found[here], velocity)
        velocity = velocity.masked_fill(torch.from_numpy(begins[here])[:, None], 0.0)
    return velocity.view(*at.shape, 2)


def dream(
    world: DiTWorld, scenes: Sequence[StartScene], rows: Actions, seed: int = 0, steps: int | None = None
) -> Iterator[Pictures]:
    """Streams from all scenes as one batch; yields (B, H, W, 3) for each frame after the scenes.

    Args:
        world: what dreams.
        scenes: B of them.
        rows: (B, T, A), the action that leads to each dreamed frame.
        seed: stream b dreams with seed + b.
        steps: denoising steps; None: as many as the world takes by itself.
    """
    for made, _ in followed(world, scenes, rows, seed, steps):
        yield made


def followed(
    world: DiTWorld, scenes: Sequence[StartScene], rows: Actions, seed: int = 0, steps: int | None = None
) -> Iterator[tuple[Pictures, Sequence[DiTState]]]:
    """The same, each with the states of the streams at the end of its chunk; see `dream`."""
    chunk, length = world.spec.chunk, rows.shape[1]
    states = [world.begin(scene, seed + b) for b, scene in enumerate(scenes)]
    try:
        for k in range(0, length, chunk):
            part = rows[:, k : k + chunk]
            part = np.concatenate([part, np.repeat(part[:, -1:], chunk - part.shape[1], 1)], 1)
            made = world.step(states, part) if steps is None else world.step(states, part, steps=steps)
            for pictures in made.swapaxes(0, 1)[: length - k]:
                yield pictures, states
    finally:
        for state in states:
            world.release(state)


@torch.inference_mode()
def reconstruct(autoencoder: Autoencoder, pictures: Pictures) -> Pictures:
    """Pictures (n, H, W, 3) through a world's autoencoder and back: the best that the world can show."""
    device = next(autoencoder.parameters()).device
    again = []
    for k in range(0, len(pictures), 32):
        some = to_signed(torch.from_numpy(np.ascontiguousarray(pictures[k : k + 32])).to(device))
        again.append(to_pictures(autoencoder.pictures(autoencoder.latents(some))).cpu().numpy())
    return np.concatenate(again)
