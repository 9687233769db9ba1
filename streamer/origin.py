"""What a session begins from: a seed and what the world takes beside it, or a session as it was before.

Values only; knows no engine and no world.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import Image

from .client_messages import Prompt, Reset
from .clock import ClockState
from .fields import Mode
from .since import MADE, Since

if TYPE_CHECKING:
    from .past import SavedPast


@dataclass(frozen=True)
class Origin:
    """What a stream starts from."""

    seed: int
    prompt: str | None = None
    image: Image | None = None
    frames: NDArray[np.uint8] | None = None  # (K, H, W, 3) recorded, to begin with; for programs, see worlds.py
    actions: NDArray[np.float32] | None = None  # (K, A) what led to each of them; rest when absent
    deterministic: bool = False  # stepped so that its bytes do not depend on other streams

    def after(self, event: Reset | Restart | Prompt) -> Origin:
        """What the stream starts anew from; as before where the event does not say."""
        if isinstance(event, Prompt):
            return replace(self, prompt=event.text)
        seed = self.seed if event.seed is None else event.seed
        return replace(self, seed=seed, image=event.image if isinstance(event, Restart) else self.image)


@dataclass(frozen=True, eq=False)
class Restart:
    """A `reset` whose picture is here."""

    seq: int
    seed: int | None  # the seed before when absent
    image: Image | None  # the world's own scenes when absent


@dataclass(frozen=True)
class Branch:
    """Another session of the same engine, to go on from beside it."""

    of: Any  # the session, as whoever asks knows it
    snapshot: str | None  # as that snapshot of it was; as it is now when absent
    mode: Mode


@dataclass(frozen=True)
class Snapshot:
    """A session as it was, to go on from later: everything but what somebody held down."""

    ident: str
    origin: Origin
    mode: Mode
    index: int  # number of the next frame
    applied: int  # seq of the last control that shaped a frame
    paused: bool
    clock: ClockState
    state: bytes  # the world's memory, as the world saves it
    since: Since = MADE  # its last frame; a parked state counts as made anew, for that is how it goes on
    moment: int = 0  # frames that led to where the world is
    past: SavedPast | None = None  # what it can go back to, of a session that ended here

    @property
    def octets(self) -> int:
        """Bytes that it holds."""
        image, past = self.origin.image, self.past
        return len(self.state) + (image.nbytes if image is not None else 0) + (past.octets if past else 0)


Start: TypeAlias = Origin | Snapshot | Branch
"""What a session begins from."""
