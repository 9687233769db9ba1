"""WanWorld: a network of the Wan family, a decoder and prompts as a world. Its step reads as its four calls:

noise -> denoise -> remember -> decode. How a player steers is the `Steering`'s; most worlds have none but their prompt.

A chunk of latent frames is four times as many pictures. The very first latent frame is one picture only; it is shown
four times, so that every step gives as many. Weights are shared; what a stream changes is in its `WanState`. Knows
nothing about files, sessions or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..autoencoder import to_pictures
from ..kv_cache import CacheConfig, KVCache
from ..kv_format import KVFormat
from ..noise import Seeded, noise_of
from ..ring import footprint_of
from ..spec import Actions, Frames, Image, Switch, WorldSpec
from ..state import checked
from .beginning import Beginning
from .config import PICTURES, Rollout
from .controls import Controls
from .dit import WanDiT, rope_of
from .memory import past_of
from .passes import Passes
from .sampler import Level, denoise, levels, sigma_at
from .shown import at as shown_at
from .sights import Sights
from .spread import ALONE, Spread
from .state import NOBODY, WanState, kept, packed, parked, places, shortened, unpacked
from .steering import Steering, Unsteered
from .switch import Turn
from .text import Prompts
from .vae import WanVae
from .vae_layers import Decoder

CONTEXT = 1_000  # purpose of the noise on what is remembered; those before it are of denoising steps


class WanWorld:
    """A world dreamed by a `WanDiT`; see `worldloom.models.spec.WorldModel` for the calls."""

    def __init__(
        self,
        spec: WorldSpec,
        dit: WanDiT,
        decoder: Decoder,
        prompts: Prompts | None,
        roll: Rollout,
        *,
        encoder: WanVae | None = None,
        steering: Steering | None = None,
        sights: Sights | None = None,
        stride: int = 8,
        kv: KVFormat = "native",
        graphs: int = 0,
        spread: Spread = ALONE,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put a world together.

        Args:
            spec: its picture and its clock.
            dit: on the device, in the number format that it computes in.
            decoder: the same.
            prompts: encoded; None where the network looks at a picture instead.
            roll: how the network was trained to be rolled out.
            encoder: of pictures to begin with, where the world takes some.
            steering: how it hears its player; None: it does not.
            sights: pictures to begin with, where the network wants one.
            stride: pixels of a latent cell, each way.
            kv: how memories keep keys and values.
            graphs: for how many streams a device makes room to step them in CUDA graphs (passes.py); 0: without.
            spread: how they lie on several devices, for a `dit` that does.
            device: where all of it is.

        Raises:
            ValueError: these do not fit each other.
        """
        self.spec, self.dit, self.decoder, self.prompts, self.roll = spec, dit, decoder, prompts, roll
        self.device, self.encoder, self.steering = torch.device(device), encoder, steering or Unsteered()
        cell = stride * dit.config.patch
        if spec.height % cell or spec.width % cell or spec.chunk != PICTURES * roll.chunk:
            raise ValueError(
                f"expected a picture in multiples of {cell} pixels and {PICTURES * roll.chunk} of them a step,"
                f" got {spec.height}x{spec.width} and {spec.chunk}"
            )
        if spec.actions != self.steering.actions:
            raise ValueError(f"expected the actions {self.steering.actions.columns}, got {spec.actions.columns}")
        self.beginning = Beginning(spec, dit, prompts, sights, encoder, self.device)
        self.read = self.beginning.read  # see `ReadingWorld`
        c, rows, columns = dit.config, spec.height // stride, spec.width // stride
        self._rope = rope_of(c, rows, columns)
        self._latent = (roll.chunk, c.out_channels, rows, columns)
        tokens = self._rope.rows * self._rope.columns
        heads, self._spread = c.heads // spread.ranks, spread
        self._cache = CacheConfig(c.layers, heads, c.head_dim, tokens, roll.chunk, roll.window, roll.sink, kv)
        self._passes = Passes(dit, self._cache, self._rope, roll.positions, self.device, graphs)
        self.pool = self._passes.pool

    @torch.inference_mode()
    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> WanState:
        """A new stream: of a prompt, or the one that the seed chooses; beginning with a picture, if there is one.

        A network whose frames are shown the first picture begins there, and always has one: that of the caller, or of
        the world, the seed choosing. Others are at rest on it for a chunk.
        """
        said, shown = self.beginning.of(seed, prompt, image)
        hands, carried = self._hands(), self.steering.rest()
        state = WanState(self._passes.cache(), seed, said, hands=hands, carried=carried, shown=shown)
        if image is not None and shown is None:
            self._rest_on(state, image)
        return state

    def step(self, states: Sequence[WanState], actions: Actions) -> Frames:
        """Advance each stream by one chunk: (B, F, A) -> (B, F, H, W, 3) pictures."""
        return self.step_tensors(states, actions).cpu().numpy()

    @torch.inference_mode()
    def step_tensors(self, states: Sequence[WanState], actions: Actions) -> Tensor:
        """The same, and the pictures stay on the device."""
        rows = checked(self.spec, states, actions, None)
        for state in states:
            if state.turn:
                encoded, state.turn = state.turn.on()
                state.said = self.beginning.keys_of(encoded)
        latents: dict[int, Tensor] = {}
        both = list(zip(states, rows, strict=True))
        groups = [(s, row) for s, row in both if s.frame == 0], [(s, row) for s, row in both if s.frame]
        for first, group in zip((True, False), groups, strict=True):  # a first chunk may take other steps
            if group:
                streams = [s for s, _ in group]
                heard = [self.steering.hear(s.carried, row, first) for s, row in group]
                told = torch.stack([chunk for chunk, _ in heard])
                made = self._denoise(streams, told, levels(self.roll, first=first))
                self._remember(streams, told, made)
                for s, chunk, (_, carried) in zip(streams, made, heard, strict=True):
                    latents[id(s)], s.carried = chunk, carried
        return to_pictures(torch.stack([self._pictures(s, latents[id(s)]) for s in states]))

    def fork(self, state: WanState) -> WanState:
        """An independent copy; it dreams the same future. It costs next to nothing."""
        return state.fork()

    def footprint(self, states: Iterable[WanState]) -> int:
        """Bytes that streams hold together; what they share counts once."""
        pooled = self.pool.storages() if self.pool else frozenset()
        return footprint_of((tensor for state in states for tensor in state.tensors()), pooled)

    @torch.inference_mode()
    def save(self, state: WanState) -> bytes:
        """The stream as safetensors bytes."""
        return packed(state, self.spec.name, self._spread)

    def park(self, state: WanState) -> bytes:
        """The stream in as few bytes as it can be made anew from, nearly."""
        return parked(state, self.spec.name)

    @torch.inference_mode()
    def load(self, blob: bytes) -> WanState:
        """The stream that `save` or `park` wrote, for this world."""
        try:
            empty = WanState(self._passes.cache(), 0, NOBODY, hands=self._hands())
            empty.shown = torch.zeros(0) if self.dit.config.shown else None
            state, whole = unpacked(blob, empty, self.beginning.keys_of, self._spread)
            if not whole and state.history:
                self._recall(state)
                _, state.seen = self.decoder.decode(torch.cat(state.history), ())
            return state
        except Exception as error:  # safetensors raises its own kinds for damaged bytes
            raise ValueError(f"expected a saved state of the world {self.spec.name!r}: {error}") from error

    @torch.inference_mode()
    def say(self, state: WanState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        """The stream goes on under another prompt; the pictures go on from where they are.

        By itself as if what it remembers had been dreamed to that one: memory is made anew from latents, in one pass
        (LongLive's KV re-cache, arXiv 2509.22622). The other ways are in `switch.py`.

        Raises:
            ValueError: no such prompt, the world takes none, no chunk to blend over, or the stream is released.
        """
        if not self.spec.prompts:
            raise ValueError(f"the world {self.spec.name!r} takes no prompt")
        if state.released:
            raise ValueError("a released state cannot be told anything: start a new one")
        said = self.beginning.said(prompt)
        if how == "blend":
            state.turn = Turn(state.said.encoded, said.encoded, chunks)
            return
        state.said, state.turn = said, None
        if how == "flush":
            state.history, state.told = (shortened(self._cache, line) for line in (state.history, state.told))
            self._recall(state, self.roll.chunk * len(state.history))
        else:
            self._recall(state)

    def release(self, state: WanState) -> None:
        """Give the memory back."""
        state.release()

    def _denoise(self, states: Sequence[WanState], told: Tensor, steps: Sequence[Level]) -> Tensor:
        """(B, F, C, h, w) float32 finished latents of the next chunk of each stream."""
        memory = self._passes.memory([s.cache for s in states])
        texts, controls = [s.said.keys for s in states], self._controls(states, told)
        shown = self._beside(states)

        def velocity(x: Tensor, t: float) -> Tensor:
            return self._passes.velocity(torch.cat([x, *shown], 2), t, texts, memory, controls)

        return denoise(velocity, lambda k: self._noise(states, k), steps)

    def _remember(self, states: Sequence[WanState], told: Tensor, latents: Tensor) -> None:
        """Finished chunks enter the memories, and the streams move on behind them."""
        memory = self._passes.memory([s.cache for s in states])
        x, texts = torch.cat([self._entering(states, latents), *self._beside(states)], 2), [s.said.keys for s in states]
        self._passes.commit(x, self.roll.context, texts, memory, self._controls(states, told))
        for state, heard, chunk in zip(states, told, latents, strict=True):
            for cache in (state.cache, *state.hands):
                cache.advance([0.0] * self.roll.chunk)
            state.frame += self.roll.chunk
            state.history = kept(self._cache, state.history, chunk)
            state.told = kept(self._cache, state.told, heard)

    def _controls(self, states: Sequence[WanState], told: Tensor) -> Controls:
        return self.steering.controls(told.to(self.device), [s.hands for s in states])

    def _beside(self, states: Sequence[WanState]) -> list[Tensor]:
        """[(B, F, 4 + C, h, w)] what the frames of the next chunk are shown; [] where that is nothing."""
        ahead = range(self.roll.chunk)
        shown = [shown_at(s.shown, [s.frame + k for k in ahead]) for s in states if s.shown is not None]
        return [torch.stack(shown)] if shown else []

    def _entering(self, where: Sequence[Seeded], latents: Tensor) -> Tensor:
        """(B, F, C, h, w) finished chunks as noisy as they entered the memory in training."""
        sigma = sigma_at(self.roll.context, self.roll.shift)
        return (1.0 - sigma) * latents + sigma * self._noise(where, CONTEXT) if sigma else latents

    def _recall(self, state: WanState, frame: int | None = None) -> None:
        """A memory of the stream's history, made anew under its prompt; forks keep the old one.

        Args:
            state: the stream.
            frame: where its memory stands then; where it stands when absent.
        """
        if not state.history:
            return
        old, new = (state.cache, *state.hands), (self._passes.cache(), *self._hands())
        frame = state.cache.frame if frame is None else frame
        for cache, before in zip(new, old, strict=True):
            cache.frame, cache.sink_yaw = frame, list(before.sink_yaw)
        where = places(state)
        latents = self._entering(where, torch.stack(state.history)).flatten(0, 1)
        if state.shown is not None:
            frames = [place.frame + k for place in where for k in range(self.roll.chunk)]
            latents = torch.cat([latents, shown_at(state.shown, frames)], 1)
        memory = past_of(new[0], self._rope, len(latents), self.roll.positions)
        told = torch.cat(state.told)[None].to(self.device)
        controls = self.steering.past(told, new[1:], [place.frame // self.roll.chunk for place in where])
        self._passes.commit(latents[None], self.roll.context, [state.said.keys], memory, controls)
        for cache, before in zip(new, old, strict=True):
            cache.frame = frame
            before.release()
        state.cache, state.hands = new[0], new[1:]

    def _pictures(self, state: WanState, latents: Tensor) -> Tensor:
        """(F, C, h, w) latents -> (4 F, 3, H, W) pictures in [-1, 1]."""
        pictures, state.seen = self.decoder.decode(latents, state.seen)
        missing = self.spec.chunk - len(pictures)
        return torch.cat([pictures[:1].expand(missing, -1, -1, -1), pictures]) if missing else pictures

    def _rest_on(self, state: WanState, image: Image) -> None:
        """The stream has seen this picture for a chunk."""
        assert self.encoder
        still = self.beginning.signed(image).expand(1 + PICTURES * (self.roll.chunk - 1), -1, -1, -1)
        latents, _ = self.encoder.encode(still)
        rows = torch.from_numpy(self.spec.actions.neutral(self.spec.chunk))
        told, state.carried = self.steering.hear(state.carried, rows, True)
        self._remember([state], told[None], latents[None])
        _, state.seen = self.decoder.decode(latents, state.seen)

    def _hands(self) -> tuple[KVCache, ...]:
        return tuple(self._passes.cache(config) for config in self.steering.caches)

    def _noise(self, states: Sequence[Seeded], purpose: int) -> Tensor:
        """(B, F, C, h, w), see noise.py."""
        return noise_of(states, self._latent, purpose).to(self.device)
