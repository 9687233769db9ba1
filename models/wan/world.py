"""WanWorld: a network of the Wan family, a decoder and prompts as a world. Its step reads as its four calls:

noise -> denoise -> remember -> decode. Nobody steers these worlds but by their prompt: they have no actions.

A chunk of latent frames is four times as many pictures. The very first latent frame is one picture only; it is shown
four times, so that every step gives as many. Weights are shared; what a stream changes is in its `WanState`. Knows
nothing about files, sessions or clocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..autoencoder import to_pictures, to_signed
from ..kv_cache import CacheConfig, KVCache
from ..kv_format import KVFormat
from ..noise import Seeded, noise_of
from ..ring import footprint_of
from ..spec import Actions, Frames, Image, Switch, WorldSpec
from ..state import checked
from .config import Rollout
from .dit import Moment, WanDiT, rope_of
from .memory import memory_of, past_of
from .sampler import Level, denoise, levels, sigma_at
from .state import Said, WanState, kept, packed, parked, places, shortened, unpacked
from .switch import Turn
from .text import Prompts, padded
from .vae import Seen, WanVae

PICTURES = 4  # of a latent frame
CONTEXT = 1_000  # purpose of the noise on what is remembered; those before it are of denoising steps
PROMPTS_KEPT = 8  # whose keys and values stay, for streams to come


class Decoder(Protocol):
    """Latents to pictures, a stream at a time."""

    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        """See `WanVae.decode`."""


class WanWorld:
    """A world dreamed by a `WanDiT`; see `worldloom.models.spec.WorldModel` for the calls."""

    def __init__(
        self,
        spec: WorldSpec,
        dit: WanDiT,
        decoder: Decoder,
        prompts: Prompts,
        roll: Rollout,
        *,
        encoder: WanVae | None = None,
        stride: int = 8,
        kv: KVFormat = "native",
        device: torch.device | str = "cpu",
    ) -> None:
        """Put a world together.

        Args:
            spec: its picture and its clock.
            dit: on the device, in the number format that it computes in.
            decoder: the same.
            prompts: encoded.
            roll: how the network was trained to be rolled out.
            encoder: of pictures to begin with, where the world takes some.
            stride: pixels of a latent cell, each way.
            kv: how memories keep keys and values.
            device: where all of it is.

        Raises:
            ValueError: these do not fit each other.
        """
        self.spec, self.dit, self.decoder, self.prompts, self.roll = spec, dit, decoder, prompts, roll
        self.device, self.encoder = torch.device(device), encoder
        cell = stride * dit.config.patch
        if spec.height % cell or spec.width % cell or spec.chunk != PICTURES * roll.chunk:
            raise ValueError(
                f"expected a picture in multiples of {cell} pixels and {PICTURES * roll.chunk} of them a step,"
                f" got {spec.height}x{spec.width} and {spec.chunk}"
            )
        if not prompts.known:
            raise ValueError("expected at least one prompt to begin with")
        if spec.images != (encoder is not None):
            raise ValueError("expected an encoder of pictures if and only if the world takes some")
        c, rows, columns = dit.config, spec.height // stride, spec.width // stride
        self._rope = rope_of(c, rows, columns)
        self._latent = (roll.chunk, c.out_channels, rows, columns)
        tokens = self._rope.rows * self._rope.columns
        self._cache = CacheConfig(c.layers, c.heads, c.head_dim, tokens, roll.chunk, roll.window, roll.sink, kv)
        self._moments: dict[float, Moment] = {}
        self._said: OrderedDict[str, Said] = OrderedDict()

    @torch.inference_mode()
    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> WanState:
        """A new stream: of a prompt, or the one that the seed chooses; at rest on a picture, if there is one."""
        if prompt is not None and not self.spec.prompts:
            raise ValueError(f"the world {self.spec.name!r} takes no prompt")
        if image is not None and not self.spec.images:
            raise ValueError(f"the world {self.spec.name!r} takes no picture")
        known = self.prompts.known
        state = WanState(self._empty(), seed, self._said_of(prompt or known[seed % len(known)]))
        if image is not None:
            self._rest_on(state, image)
        return state

    def step(self, states: Sequence[WanState], actions: Actions) -> Frames:
        """Advance each stream by one chunk: (B, F, 0) -> (B, F, H, W, 3) pictures."""
        return self.step_tensors(states, actions).cpu().numpy()

    @torch.inference_mode()
    def step_tensors(self, states: Sequence[WanState], actions: Actions) -> Tensor:
        """The same, and the pictures stay on the device."""
        checked(self.spec, states, actions, None)
        for state in states:
            if state.turn:
                encoded, state.turn = state.turn.on()
                state.said = self._keys_of(encoded)
        latents: dict[int, Tensor] = {}
        groups = [s for s in states if s.frame == 0], [s for s in states if s.frame]
        for first, group in zip((True, False), groups, strict=True):  # a first chunk may take other steps
            if group:
                made = self._denoise(group, levels(self.roll, first=first))
                self._remember(group, made)
                latents |= {id(s): chunk for s, chunk in zip(group, made, strict=True)}
        return to_pictures(torch.stack([self._pictures(s, latents[id(s)]) for s in states]))

    def fork(self, state: WanState) -> WanState:
        """An independent copy; it dreams the same future. It costs next to nothing."""
        return state.fork()

    def footprint(self, states: Iterable[WanState]) -> int:
        """Bytes that streams hold together; what they share counts once."""
        return footprint_of(tensor for state in states for tensor in state.tensors())

    def save(self, state: WanState) -> bytes:
        """The stream as safetensors bytes."""
        return packed(state, self.spec.name)

    def park(self, state: WanState) -> bytes:
        """The stream in as few bytes as it can be made anew from, nearly."""
        return parked(state, self.spec.name)

    @torch.inference_mode()
    def load(self, blob: bytes) -> WanState:
        """The stream that `save` or `park` wrote, for this world."""
        cache = self._empty()
        try:
            found = unpacked(blob, cache)
            said = self._keys_of(found.encoded)
            state = WanState(cache, found.seed, said, found.seen, found.history, found.frame, found.turn)
            if not found.whole and found.history:
                self._recall(state)
                _, state.seen = self.decoder.decode(torch.cat(found.history), ())
            return state
        except Exception as error:  # safetensors raises its own kinds for damaged bytes
            raise ValueError(f"expected a saved state of the world {self.spec.name!r}: {error}") from error

    @torch.inference_mode()
    def say(self, state: WanState, prompt: str, *, how: Switch = "recache", chunks: int = 1) -> None:
        """The stream goes on under another prompt; the pictures go on from where they are.

        By itself as if what it remembers had been dreamed to that one: memory is made anew from latents, in one pass
        (LongLive's KV re-cache, arXiv 2509.22622). The other ways are in `switch.py`.

        Raises:
            ValueError: no such prompt, no chunk to blend over, or the stream is released.
        """
        if state.released:
            raise ValueError("a released state cannot be told anything: start a new one")
        said = self._said_of(prompt)
        if how == "blend":
            state.turn = Turn(state.said.encoded, said.encoded, chunks)
            return
        state.said, state.turn = said, None
        if how == "flush":
            state.history = shortened(state)
            self._recall(state, self.roll.chunk * len(state.history))
        else:
            self._recall(state)

    def release(self, state: WanState) -> None:
        """Give the memory back."""
        state.release()

    def _denoise(self, states: Sequence[WanState], steps: Sequence[Level]) -> Tensor:
        """(B, F, C, h, w) float32 finished latents of the next chunk of each stream."""
        memory = memory_of([s.cache for s in states], self._rope, self.roll.positions)
        texts = [s.said.keys for s in states]

        def velocity(x: Tensor, t: float) -> Tensor:
            return self.dit(x, self._moment(t), texts, memory)

        return denoise(velocity, lambda k: self._noise(states, k), steps)

    def _remember(self, states: Sequence[WanState], latents: Tensor) -> None:
        """Finished chunks enter the memories, and the streams move on behind them."""
        memory = memory_of([s.cache for s in states], self._rope, self.roll.positions)
        entering = self._entering(states, latents)
        self.dit.commit(entering, self._moment(self.roll.context), [s.said.keys for s in states], memory)
        for state, chunk in zip(states, latents, strict=True):
            state.cache.advance([0.0] * self.roll.chunk)
            state.frame += self.roll.chunk
            state.history = kept(state, chunk)

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
        cache, old = self._empty(), state.cache
        frame = old.frame if frame is None else frame
        cache.frame, cache.sink_yaw = frame, list(old.sink_yaw)
        latents = self._entering(places(state), torch.stack(state.history)).flatten(0, 1)[None]
        memory = past_of(cache, self._rope, latents.shape[1], self.roll.positions)
        self.dit.commit(latents, self._moment(self.roll.context), [state.said.keys], memory)
        cache.frame, state.cache = frame, cache
        old.release()

    def _pictures(self, state: WanState, latents: Tensor) -> Tensor:
        """(F, C, h, w) latents -> (4 F, 3, H, W) pictures in [-1, 1]."""
        pictures, state.seen = self.decoder.decode(latents, state.seen)
        missing = self.spec.chunk - len(pictures)
        return torch.cat([pictures[:1].expand(missing, -1, -1, -1), pictures]) if missing else pictures

    def _rest_on(self, state: WanState, image: Image) -> None:
        """The stream has seen this picture for a chunk."""
        want = (self.spec.height, self.spec.width, 3)
        if image.shape != want or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 picture of shape {want}, got {image.dtype} {image.shape}")
        assert self.encoder
        picture = to_signed(torch.from_numpy(np.ascontiguousarray(image))[None].to(self.device))
        still = picture.expand(1 + PICTURES * (self.roll.chunk - 1), -1, -1, -1)
        latents, _ = self.encoder.encode(still)
        self._remember([state], latents[None])
        _, state.seen = self.decoder.decode(latents, state.seen)

    def _said_of(self, prompt: str) -> Said:
        """A prompt's keys and values; those of the latest few are kept."""
        if prompt not in self._said:
            self._said[prompt] = self._keys_of(self.prompts.encode(prompt))
            while len(self._said) > PROMPTS_KEPT:
                self._said.popitem(last=False)
        self._said.move_to_end(prompt)
        return self._said[prompt]

    @torch.inference_mode()
    def _keys_of(self, encoded: Tensor) -> Said:
        c = self.dit.config
        if encoded.ndim != 2 or encoded.shape[1] != c.text_width:
            raise ValueError(f"expected prompts of (n, {c.text_width}) numbers, got {tuple(encoded.shape)}")
        return Said(encoded, self.dit.text_keys(padded(encoded, c.text_tokens).to(self.device)))

    def _moment(self, t: float) -> Moment:
        """What a timestep makes of the network; there are as many as denoising steps, and one of the memory."""
        if t not in self._moments:
            self._moments[t] = self.dit.moment(t)
        return self._moments[t]

    def _empty(self) -> KVCache:
        return KVCache.allocate(self._cache, self.device, self.dit.head.head.weight.dtype)

    def _noise(self, states: Sequence[Seeded], purpose: int) -> Tensor:
        """(B, F, C, h, w), see noise.py."""
        return noise_of(states, self._latent, purpose).to(self.device)
