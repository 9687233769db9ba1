"""A world without weights: a striped panorama that you turn in and walk through. Deterministic, fast, numpy only.

Tests and protocol work run on it; it knows nothing about networks and does not pretend to be dreamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .spec import Actions, ActionSpec, Axis, Frames, Image, Key, WorldSpec

TOY_ACTIONS = ActionSpec(
    buttons=("forward", "back", "left", "right"),
    axes=(Axis("turn", -6.0, 6.0, "degree/frame", "amount"), Axis("lever", -1.0, 1.0, "1")),
    keys={
        "KeyW": Key("forward"),
        "KeyS": Key("back"),
        "KeyA": Key("left"),
        "KeyD": Key("right"),
        "ArrowLeft": Key("turn", -5.0),
        "ArrowRight": Key("turn", 5.0),
        "KeyQ": Key("lever", -1.0),
        "KeyE": Key("lever", 1.0),
    },
    look=("turn", None),
)


@dataclass
class ToyState:
    """Where a visitor of the toy world stands."""

    seed: int
    frame: int = 0  # frames made so far
    yaw: float = 0.0  # degrees, right +
    depth: float = 0.0  # walked forward, in stripe units
    side: float = 0.0  # walked right, in degrees of panorama
    lever: float = 0.0  # last lever position, in [-1, 1]
    released: bool = False


class ToyWorld:
    """The toy world; see `worldloom.models.spec.WorldModel` for the calls."""

    def __init__(self, *, height: int = 96, width: int = 128, fps: Fraction = Fraction(20), chunk: int = 1) -> None:
        self.spec = WorldSpec(
            name="toy",
            height=height,
            width=width,
            fps=fps,
            chunk=chunk,
            actions=TOY_ACTIONS,
            title="Stripes, for tests",
            help="W A S D to walk, arrows or mouse to turn, Q and E for the lever",
        )

    @property
    def steady(self) -> bool:
        """Streams are drawn one by one."""
        return True

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        """A new stream; the seed chooses the colours."""
        if prompt is not None or image is not None:
            raise ValueError("the toy world takes neither a prompt nor an image")
        return ToyState(seed=seed)

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        """(B, F, A) actions -> (B, F, H, W, 3) frames."""
        spec = self.spec
        want = (len(states), spec.chunk, len(spec.actions.columns))
        if actions.shape != want:
            raise ValueError(f"expected actions of shape {want}, got {actions.shape}")
        if len({id(s) for s in states}) != len(states):
            raise ValueError("a state appears twice in one step")
        frames = np.empty((len(states), spec.chunk, spec.height, spec.width, 3), np.uint8)
        for b, state in enumerate(states):
            if state.released:
                raise ValueError("this state was released")
            for f in range(spec.chunk):
                _advance(state, actions[b, f])
                frames[b, f] = _draw(state, spec.height, spec.width)
        return frames

    def fork(self, state: ToyState) -> ToyState:
        """An independent copy."""
        return replace(state)

    def footprint(self, states: Iterable[ToyState]) -> int:
        """Bytes that some states hold together: a guess, for they are a few numbers each."""
        return 100 * len(list(states))

    def save(self, state: ToyState) -> bytes:
        """The state as JSON."""
        return json.dumps(asdict(state)).encode()

    def load(self, blob: bytes) -> ToyState:
        """The state that `save` wrote."""
        try:
            return ToyState(**json.loads(blob))
        except (TypeError, ValueError) as error:
            raise ValueError("expected a saved toy state, got something else") from error

    def release(self, state: ToyState) -> None:
        """Mark the state as gone."""
        state.released = True


def _advance(state: ToyState, row: NDArray[np.float32]) -> None:
    """One frame of motion under one action row (A,)."""
    forward, back, left, right, turn, lever = (float(v) for v in row)
    state.frame += 1
    state.yaw += turn
    state.depth += 0.1 * (forward - back)
    state.side += 2.0 * (right - left)
    state.lever = lever


def _draw(state: ToyState, height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3): stripes that slide against the turn and widen as one walks forward; the lever tints the floor."""
    azimuth = np.linspace(-45.0, 45.0, width) / (1.0 + 0.5 * np.tanh(state.depth)) + state.yaw + state.side
    phase = np.random.default_rng(state.seed).uniform(0.0, 2.0 * np.pi, 3)
    wall = 0.5 + 0.4 * np.sin(np.deg2rad(azimuth)[None, :, None] * np.array([4.0, 9.0, 14.0]) + phase)
    shade = np.linspace(1.0, 0.5, height)[:, None, None]
    picture = wall * shade
    picture[2 * height // 3 :] *= np.array([0.6 + 0.4 * state.lever, 0.6, 0.6 - 0.4 * state.lever])
    return (picture * 255.0).clip(0.0, 255.0).astype(np.uint8)
