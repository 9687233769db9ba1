"""What a world is, seen from outside: its picture, its clock, its actions and the calls that advance it.

Knows numpy only: no torch, no weights, no network. Everything that drives a world (the session, the Gymnasium
environment, the checker) is written against this file, so a third party's world needs to satisfy nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Actions = NDArray[np.float32]
"""(B, F, A): one row per frame; columns are `ActionSpec.columns` in order. Row f leads to frame f of the chunk."""

Frames = NDArray[np.uint8]
"""(B, F, H, W, 3) RGB."""

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Switch = Literal["recache", "blend", "flush"]
"""How a stream comes under another prompt, see `TellableWorld`."""


@dataclass(frozen=True)
class Axis:
    """One analogue column of an action."""

    name: str
    low: float  # lowest value of one frame, in `unit`
    high: float  # highest value of one frame, in `unit`
    unit: str  # for people: "degree/frame", "cm/frame", "1"
    kind: Literal["level", "amount"] = "level"  # a level holds until changed; an amount is summed and spent once


@dataclass(frozen=True)
class Key:
    """What holding one key does: adds `value` to `column` for every frame that it is down."""

    column: str  # a button or an axis of the same ActionSpec
    value: float = 1.0  # in the unit of the column; 1 for a button


@dataclass(frozen=True)
class ActionSpec:
    """The control vector of a world and how people's devices map to it.

    Columns are the buttons (levels, 0 or 1) followed by the axes.

    Raises:
        ValueError: a name is used twice, or a key or a look binding names a column that does not exist.
    """

    buttons: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)  # W3C KeyboardEvent.code -> what it does
    look: tuple[str | None, str | None] = (None, None)  # axes that look deltas feed: (yaw right +, pitch up +)

    def __post_init__(self) -> None:
        names = self.columns
        if len(set(names)) != len(names):
            raise ValueError(f"expected distinct column names, got {names}")
        for code, key in self.keys.items():
            if key.column not in names:
                raise ValueError(f"key {code!r} drives {key.column!r}; the columns are {names}")
        for axis in self.look:
            if axis is not None and axis not in [a.name for a in self.axes]:
                raise ValueError(f"look drives {axis!r}; the axes are {[a.name for a in self.axes]}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order: buttons, then axes."""
        return self.buttons + tuple(axis.name for axis in self.axes)

    @property
    def low(self) -> NDArray[np.float32]:
        """(A,) lowest value of each column."""
        return np.array([0.0] * len(self.buttons) + [a.low for a in self.axes], np.float32)

    @property
    def high(self) -> NDArray[np.float32]:
        """(A,) highest value of each column."""
        return np.array([1.0] * len(self.buttons) + [a.high for a in self.axes], np.float32)

    @property
    def scale(self) -> NDArray[np.float32]:
        """(A,) how large each column gets, up or down: rows over it are about [-1, 1]."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def neutral(self, frames: int) -> NDArray[np.float32]:
        """(F, A) rows in which nothing is pressed and nothing moves."""
        return np.zeros((frames, len(self.columns)), np.float32)


@dataclass(frozen=True)
class WorldSpec:
    """A world's picture, clock and controls."""

    name: str
    height: int  # pixels
    width: int  # pixels
    fps: Fraction  # frames a second when played in real time
    chunk: int  # frames that one step makes
    actions: ActionSpec
    prompts: bool = False  # `start` accepts a text
    switches: tuple[Switch, ...] = ()  # ways in which `say` changes the prompt of a stream that goes on; (): none
    images: bool = False  # `start` accepts a picture
    title: str = ""  # for people: one line
    help: str = ""  # for people: how to move, one line
    steps: tuple[int, int] = (0, 0)  # denoising steps: fewest that will do, and what it takes; (0, 0): no choice
    horizon: int = 0  # frames of the episodes that it learned from; 0: not learned, or not known
    scenes: tuple[str, ...] = ()  # names of what it begins with: seed s begins with number s % len(scenes); (): none
    looks: tuple[float, ...] = ()  # mean luma, saturation and sharpness of what it should look like; (): not known

    def __post_init__(self) -> None:
        fewest, most = self.steps
        if self.steps != (0, 0) and not 1 <= fewest <= most:
            raise ValueError(f"expected the range of denoising steps to rise from at least 1, got {self.steps}")


StateT = TypeVar("StateT")


class WorldLost(BaseException):
    """A world can do nothing any more, for good: a device or process that it needs has gone. It must be opened anew.

    Not an `Exception`: who forgives a world one call that failed must not take this for one. It ends the engine.
    """


class WorldModel(Protocol[StateT]):
    """Weights are shared, memory is a value: every stream is a state that its owner holds.

    A state belongs to the model that started it and is advanced only by `step`. Same seed and same actions give the
    same frames. `worldloom.models.check.check_world` tests all of this for an implementation.
    """

    @property
    def spec(self) -> WorldSpec:
        """What this world is."""

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> StateT:
        """A new stream.

        Raises:
            ValueError: a prompt or an image where `spec` says that this world takes none, or of the wrong shape.
        """

    def step(self, states: Sequence[StateT], actions: Actions) -> Frames:
        """Advance each state by one chunk in place and return its pictures.

        Raises:
            ValueError: `actions` is not (len(states), spec.chunk, len(spec.actions.columns)), or a state appears twice.
        """

    def fork(self, state: StateT) -> StateT:
        """An independent copy: nothing that happens to one of the two is seen in the other. It should cost little."""

    def save(self, state: StateT) -> bytes:
        """The state as bytes, without pickle."""

    def load(self, blob: bytes) -> StateT:
        """The state that `save` wrote.

        Raises:
            ValueError: the bytes are damaged or come from another world.
        """

    def release(self, state: StateT) -> None:
        """Free what the state holds. Releasing twice is allowed; stepping a released state is an error."""


class SteadyWorld(WorldModel[StateT], Protocol):
    """A world that can tell whether a stream's bytes depend on the batch in which it is stepped."""

    @property
    def steady(self) -> bool:
        """They do not, on this device and in this arithmetic."""


class AdjustableWorld(WorldModel[StateT], Protocol):
    """A world whose `spec.steps` is a range: it can be asked for fewer denoising steps, from call to call."""

    def step(self, states: Sequence[StateT], actions: Actions, *, steps: int | None = None) -> Frames:
        """As `WorldModel.step`, in so many denoising steps; None: as many as it takes by itself.

        Raises:
            ValueError: `steps` is outside `spec.steps`, besides what `WorldModel.step` refuses.
        """


class SharingWorld(WorldModel[StateT], Protocol):
    """A world whose forks share memory with what they were forked from, until one of the two is stepped."""

    def footprint(self, states: Iterable[StateT]) -> int:
        """Bytes that some states hold together; what they share counts once."""


class ParkableWorld(WorldModel[StateT], Protocol):
    """A world that can make a stream's memory anew from far fewer bytes than it holds; nearly as it was."""

    def park(self, state: StateT) -> bytes:
        """The state in few bytes, for `load`."""


class TellableWorld(WorldModel[StateT], Protocol):
    """A world whose streams can go on under another prompt; `spec.switches` says in which ways.

    - recache: as if what a stream remembers had been dreamed to the new prompt.
    - blend: from the old prompt to the new one over the next chunks; what it remembers stays as it was dreamed.
    - flush: all but its first frames and the latest ones is forgotten, and these are as under `recache`.
    """

    def say(self, state: StateT, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        """The stream goes on under another prompt, in place; with `blend` that takes so many chunks.

        Once more with the same arguments, before the next step, it changes nothing.

        Raises:
            ValueError: the world does not take this prompt; the stream is as it was.
        """


class ReadingWorld(WorldModel[StateT], Protocol):
    """A world that takes long to read a text, and remembers the latest ones that it read."""

    def read(self, prompt: str) -> None:
        """Read a text, so that `start` and `say` are quick with it. On any thread, also while the world is stepped.

        Raises:
            ValueError: the world does not take this prompt.
        """


class RecallingWorld(WorldModel[StateT], Protocol):
    """A world whose stream can begin with frames that somebody recorded."""

    def start_from(self, frames: NDArray[np.uint8], actions: NDArray[np.float32], *, seed: int) -> StateT:
        """A new stream that remembers (K, H, W, 3) frames and the (K, A) action that led to each; K whole chunks.

        Raises:
            ValueError: frames or actions of another shape.
        """


class TensorWorld(WorldModel[StateT], Protocol):
    """A world that gives its pictures as torch tensors, where it made them."""

    def step_tensors(self, states: Sequence[StateT], actions: Actions) -> Any:
        """As `WorldModel.step`, but (B, F, H, W, 3) on the world's device: nothing is copied."""
