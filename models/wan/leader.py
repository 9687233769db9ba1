"""A world on several devices of this machine as one `WorldModel`: it says every call to the others and makes it too.

Latents, noise and steering are the same on every rank, so each makes the whole call; only within the network do they
share the work (split.py). Encoders of prompts and pictures are here alone, and what they said goes along; pictures are
decoded here alone. Nothing is sent before it is known that this rank will not refuse it. Knows the calls of worlds; no
tensors of the network.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from ..spec import Actions, Frames, Image, Switch, WorldLost
from ..state import checked
from .crew import Call, Crew, device_of
from .open import WanFolder, open_wan
from .split import refuse_indivisible
from .state import WanState
from .world import WanWorld

T = TypeVar("T")


@dataclass(eq=False)
class SplitState:
    """One stream: this rank's part, and the number under which the others have theirs."""

    number: int
    own: WanState


class SplitWorld:
    """See the module, and `worldloom.models.spec.WorldModel` for the calls. Each raises `WorldLost` besides.

    From one thread; `read` from any.
    """

    def __init__(self, own: WanWorld, crew: Crew) -> None:
        self.spec, self.device, self.read = own.spec, own.device, own.read
        self._own, self._crew = own, crew
        self._numbers = itertools.count(1)
        self._dropped: deque[int] = deque()  # states that were forgotten without a release; bounded by the states

    @torch.inference_mode()
    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> SplitState:
        """See `WanWorld.start`."""
        own = self._own
        encoded = own.beginning.of(seed, prompt, image)[0].encoded
        prompt = own.beginning.prompt(seed, prompt)
        rest: dict[str, Any] = {"seed": seed, "prompt": prompt, "image": image}
        return self._begun(Call("start", rest=rest, given=_given(encoded)), lambda: own.start(**rest))

    def step(self, states: Sequence[SplitState], actions: Actions) -> Frames:
        """See `WanWorld.step`."""
        return self.step_tensors(states, actions).cpu().numpy()

    def step_tensors(self, states: Sequence[SplitState], actions: Actions) -> Tensor:
        """See `WanWorld.step_tensors`."""
        streams = [s.own for s in states]
        checked(self.spec, streams, actions, None)
        call = Call("step", tuple(s.number for s in states), rest={"actions": actions})
        return self._together(call, lambda: self._own.step_tensors(streams, actions))

    def fork(self, state: SplitState) -> SplitState:
        """See `WanWorld.fork`."""
        return self._begun(Call("fork", self._number(state)), lambda: self._own.fork(state.own))

    def footprint(self, states: Iterable[SplitState]) -> int:
        """Bytes that streams hold together on the first device, which holds the most."""
        return self._own.footprint(s.own for s in states)

    def save(self, state: SplitState) -> bytes:
        """See `WanWorld.save`: whole, so that any number of devices loads it."""
        return self._together(Call("save", self._number(state)), lambda: self._own.save(state.own))

    def park(self, state: SplitState) -> bytes:
        """See `WanWorld.park`."""
        return self._own.park(state.own)

    def load(self, blob: bytes) -> SplitState:
        """See `WanWorld.load`."""
        return self._begun(Call("load", rest={"blob": blob}), lambda: self._own.load(blob))

    def say(self, state: SplitState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        """See `WanWorld.say`."""
        if not self.spec.prompts:
            raise ValueError(f"the world {self.spec.name!r} takes no prompt")
        number = self._number(state)
        given = _given(self._own.beginning.said(prompt).encoded)
        rest: dict[str, Any] = {"prompt": prompt, "how": how, "chunks": chunks}
        self._together(Call("say", number, rest=rest, given=given), lambda: self._own.say(state.own, **rest))

    def release(self, state: SplitState) -> None:
        """Give the memory back, everywhere."""
        if not state.own.released:
            self._own.release(state.own)
            self._crew.tell(Call("drop", gone=(state.number,)))

    def close(self) -> None:
        """Let the other processes go; every call but `release` and `read` raises `WorldLost` from now on."""
        self._crew.end("the world was closed")

    def _begun(self, call: Call, do: Callable[[], WanState]) -> SplitState:
        """The state that comes of a call."""
        number = next(self._numbers)
        state = SplitState(number, self._together(replace(call, new=number), do))
        weakref.finalize(state, self._dropped.append, number).atexit = False
        return state

    def _together(self, call: Call, do: Callable[[], T]) -> T:
        gone = tuple(self._dropped.popleft() for _ in range(len(self._dropped)))
        return self._crew.together(replace(call, gone=gone), do)

    @staticmethod
    def _number(state: SplitState) -> tuple[int]:
        if state.own.released:
            raise ValueError("a released state is gone everywhere: start a new one")
        return (state.number,)


def open_split(folder: Path, split: int, *, device: str | torch.device = "", **options: Any) -> SplitWorld:
    """The world in a folder, on so many CUDA devices, or in so many processes on the CPU.

    Args:
        folder: with a `wan.json`.
        split: how many; each has all weights, and a part of the tokens and of every memory.
        device: "cuda" or "cpu"; CUDA where there is some.
        options: see `open_wan`.

    Raises:
        ValueError: it cannot be divided so, there are fewer devices, or what `open_wan` says.
    """
    about = WanFolder.read(folder)
    refuse_indivisible(about.shape, about.tokens, split)
    crew = Crew(split, _kind(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")), split))
    try:
        return opened(crew, folder, **options)
    except BaseException as error:
        crew.end("the world could not be opened")
        if isinstance(error, WorldLost):
            raise ValueError(f"{folder}: the world could not be opened: {error.__cause__ or error}") from error
        raise


def opened(crew: Crew, folder: Path, **options: Any) -> SplitWorld:
    """The same with processes that are there; the world that they had is gone then."""
    place, call = device_of(crew.device, 0), Call("open", rest={"folder": str(folder.resolve()), **options})
    load = partial(open_wan, folder, device=place, exchange=crew.exchange, **options)
    return SplitWorld(crew.together(call, load, crew.config.open_s), crew)


def _kind(device: torch.device, split: int) -> Literal["cpu", "cuda"]:
    if device.type == "cpu":
        return "cpu"
    if str(device) != "cuda":
        raise ValueError(f"expected cuda or cpu, all devices of one kind and from the first on, got {device}")
    if torch.cuda.device_count() < split:
        raise ValueError(f"expected {split} CUDA devices for split = {split}, got {torch.cuda.device_count()}")
    return "cuda"


def _given(encoded: Tensor) -> bytes:
    return save_tensors({"given": encoded.contiguous()})
