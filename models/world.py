"""DiTWorld: a trained autoencoder and a CausalDiT as a world. Its `step` reads as its four calls:

noise -> denoise -> finish -> decode. A finished chunk goes into the memory beside the next chunk's first pass: two
chunks in one pass cost less than two passes, and no picture waits for it. Where it is known what moves, the last
picture is moved before (view.py). Steps behind the first may have weights of their own (low_noise.py).

Weights are shared and never written; everything that a stream changes is in its `DiTState`. Noise comes from the
stream's seed and frame index, so the same seed and actions give the same frames, and a fork dreams the same future.
Knows nothing about sessions, clocks or networks of computers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .autoencoder import Autoencoder, to_pictures, to_signed, unit_cells
from .dit import CausalDiT
from .keyframes import Keyframes
from .kv_cache import CacheConfig
from .kv_format import KVFormat
from .low_noise import LowNoise
from .network import Network
from .noise import noise_of
from .packed import kept, packed, parked, unpacked
from .prefill import prefill
from .sampler import denoise, fewer
from .spec import Actions, Frames, Image, WorldSpec
from .state import DiTState, Given, Pending, StartScene, checked, footprint, named, told_of, yaws_of
from .view import Glimpse, Outlook, View

START_REPEATS = 4  # times that a start picture enters the memory: a stream that begins at rest


@dataclass(frozen=True)
class DreamConfig:
    """How a world is sampled; belongs to a checkpoint, never global."""

    sigmas: tuple[float, ...]  # falling noise levels of the sampler, from 1 to 0
    context_sigma: float  # noise level at which finished frames enter the memory, as in training
    window: int  # frames remembered
    sink: int = 0  # first frames never forgotten
    azimuth: str = ""  # axis that turns the camera, in degrees a frame; "" when it stands still


class DiTWorld:
    """A world dreamed by a CausalDiT; see `worldloom.models.spec.WorldModel` for the calls."""

    def __init__(
        self,
        spec: WorldSpec,
        dit: CausalDiT,
        autoencoder: Autoencoder,
        config: DreamConfig,
        scenes: Sequence[StartScene] = (),
        keyframes: Keyframes | None = None,
        outlook: Outlook | None = None,
        low_noise: LowNoise | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        kv: KVFormat = "native",
        pool: int = 0,  # streams whose memory is one block, see network.py
    ) -> None:
        self.config, self.scenes = config, named(scenes)
        self.spec = replace(spec, scenes=tuple(scene.name for scene in self.scenes))
        self.device, self.dtype = torch.device(device), dtype
        if dit.config.recalls != (keyframes is not None):
            raise ValueError("expected keyframes if and only if the network recalls them")
        if dit.config.moves != (outlook is not None):
            raise ValueError("expected an outlook if and only if the network is shown moved frames")
        if outlook and spec.chunk != 1:
            raise ValueError(f"a world that moves its pictures makes one frame at a time, got chunks of {spec.chunk}")
        if spec.steps != (0, 0) and spec.steps[1] != len(config.sigmas) - 1:
            raise ValueError(f"expected at most {len(config.sigmas) - 1} denoising steps, got the range {spec.steps}")
        self.keyframes = keyframes.to(self.device) if keyframes else None
        self.dit = dit.to(self.device, dtype).eval().requires_grad_(False)
        autoencoder = autoencoder.to(self.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.outlook = outlook.to(self.device, dtype) if outlook else None
        self.low_noise = low_noise.to(self.device).requires_grad_(False) if low_noise else None
        self._scale = torch.from_numpy(spec.actions.scale)
        self._turn = spec.actions.columns.index(config.azimuth) if config.azimuth else None
        d = dit.config
        cache = CacheConfig(d.layers, d.heads, d.width // d.heads, d.tokens, spec.chunk, config.window, config.sink, kv)
        self._network = Network(self.dit, cache, device=self.device, dtype=dtype, pool=pool, low_noise=self.low_noise)
        self.pool = self._network.pool
        self._decode, self._encode = map(self._network.batched, (self.autoencoder.pictures, self.autoencoder.latents))

    @property
    def steady(self) -> bool:
        """Batches change no stream's bytes: in bfloat16 on a CPU, as docs/design.md says."""
        return self.device.type == "cpu" and self.dtype == torch.bfloat16 and not self.pool

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> DiTState:
        """A new stream: from a picture, or from the start scene that the seed chooses."""
        if prompt is not None:
            raise ValueError(f"the world {self.spec.name!r} takes no prompt")
        if image is not None:
            scene = self._scene_of(image)
        elif self.scenes:
            scene = self.scenes[seed % len(self.scenes)]
        else:
            raise ValueError(f"the world {self.spec.name!r} has no start scenes: give an image")
        return self.begin(scene, seed)

    def start_from(self, frames: NDArray[np.uint8], actions: NDArray[np.float32], *, seed: int) -> DiTState:
        """A new stream that remembers (K, H, W, 3) frames and the (K, A) action that led to each."""
        spec, rows = self.spec, np.ascontiguousarray(actions, np.float32)
        want = (len(frames), spec.height, spec.width, 3), (len(frames), len(spec.actions.columns))
        if (frames.shape, rows.shape) != want or frames.dtype != np.uint8 or not np.isfinite(rows).all():
            raise ValueError(f"expected uint8 frames and finite actions {want}, got {frames.shape} and {rows.shape}")
        if not len(frames) or len(frames) % spec.chunk:
            raise ValueError(f"expected whole chunks of {spec.chunk} frames, got {len(frames)}")
        scene = StartScene(self.encode(frames), torch.from_numpy(rows), picture=torch.from_numpy(frames[-1]))
        return self.begin(scene, seed)

    @torch.inference_mode()
    def begin(self, scene: StartScene, seed: int) -> DiTState:
        """A new stream whose memory holds the frames of a scene; (K, ...) with K a multiple of the chunk."""
        cache = self._network.cache()
        past = torch.zeros(2, *scene.latents[0].shape, device=self.device)
        config = self.dit.config
        state = DiTState(cache, seed, past, torch.zeros(config.history, config.actions, device=self.device))
        for k in range(0, len(scene.latents), self.spec.chunk):
            rows = scene.actions[None, k : k + self.spec.chunk]
            latents = scene.latents[None, k : k + self.spec.chunk].to(self.device)
            given, glimpse = self._given([state], rows)
            self._remember([state])
            self._finish([state], latents, given)
            if self.outlook:
                picture = self._pictures(latents, None)[0, -1]
                way = scene.way(k, self.outlook.arrived(picture, glimpse.ways[0] if glimpse else None))
                state.view = View(picture, way, scene.clock + state.frame)
        if state.view and scene.picture is not None:
            state.view = replace(state.view, picture=to_signed(scene.picture).to(self.device, self.dtype))
        return state

    def step(self, states: Sequence[DiTState], actions: Actions, *, steps: int | None = None) -> Frames:
        """Advance each stream by one chunk: (B, F, A) actions -> (B, F, H, W, 3) pictures."""
        return self.step_tensors(states, actions, steps=steps).cpu().numpy()

    @torch.inference_mode()
    def step_tensors(self, states: Sequence[DiTState], actions: Actions, *, steps: int | None = None) -> Tensor:
        """The same, and the pictures stay on the device."""
        rows = checked(self.spec, states, actions, steps)
        latents, glimpse = self.dream(states, rows, fewer(self.config.sigmas, steps))
        pictures = self._pictures(latents, glimpse)
        if glimpse:
            for state, picture, way in zip(states, pictures, glimpse.ways, strict=True):
                state.view = state.view and View(picture[-1].clone(), way, state.view.clock + 1)
        return to_pictures(pictures)

    def dream(
        self, states: Sequence[DiTState], rows: Tensor, levels: Sequence[float], glimpse: Glimpse | None = None
    ) -> tuple[Tensor, Glimpse | None]:
        """Finished latents (B, F, C, h, w) of each stream's next chunk, and what was known of its picture before.

        Args:
            states: B streams; their memories move on, their views do not.
            rows: (B, F, A) actions.
            levels: of the sampler.
            glimpse: instead of the one that the world would take; where the motion is known better, as in training.
        """
        given, glimpse = self._given(states, rows, glimpse)
        latents = self._denoise(states, self._noise(states, purpose=0), given, levels)
        self._finish(states, latents, given)
        return latents, glimpse

    def fork(self, state: DiTState) -> DiTState:
        """An independent copy; it dreams the same future under the same actions. It costs next to nothing."""
        return state.fork()

    def footprint(self, states: Iterable[DiTState]) -> int:
        """Bytes that streams hold together; what they share counts once."""
        return footprint(states, self.pool.storages() if self.pool else frozenset())

    def save(self, state: DiTState) -> bytes:
        """The stream as safetensors bytes."""
        return packed(state, self.spec.name)

    def park(self, state: DiTState) -> bytes:
        """The stream in as few bytes as it can be made anew from, nearly; see packed.py."""
        return parked(state, self.spec.name)

    @torch.inference_mode()
    def load(self, blob: bytes) -> DiTState:
        """The stream that `save` or `park` wrote, for this world."""
        try:
            state, whole = unpacked(blob, self._network.cache(), way=self.outlook.way if self.outlook else None)
            if not whole:
                prefill(self.dit, state.cache, state.history, self.config.context_sigma)
            return state
        except Exception as error:  # safetensors raises its own kinds for damaged bytes
            raise ValueError(f"expected a saved state of the world {self.spec.name!r}: {error}") from error

    def release(self, state: DiTState) -> None:
        """Give the memory back."""
        state.release()

    def _noise(self, states: Sequence[DiTState], purpose: int) -> Tensor:
        """(B, F, C, h, w), see noise.py."""
        return noise_of(states, (self.spec.chunk, *states[0].past.shape[1:]), purpose).to(self.device)

    def _denoise(self, states: Sequence[DiTState], noise: Tensor, given: Given, levels: Sequence[float]) -> Tensor:
        """(B, F, C, h, w) finished latents. The first pass also leaves the chunk before in the memory."""
        if self.config.sink:  # which stand elsewhere for every chunk
            self._remember(states)

        def velocity(x: Tensor, sigma: float) -> Tensor:
            at = torch.full(x.shape[:2], sigma, device=self.device)
            return self._pass(states, x, at, given, low=sigma < levels[0])

        return unit_cells(denoise(velocity, noise, levels))

    def _pass(self, states: Sequence[DiTState], x: Tensor, sigma: Tensor, given: Given, *, low: bool) -> Tensor:
        """(B, F, C, h, w) velocity of a chunk of every stream, and the chunks before it, if pending, remembered."""
        pending = Pending.together(states)
        if pending:
            latents, before = pending
            x = torch.cat([latents, x], 1)
            sigma = torch.cat([torch.full_like(sigma, self.config.context_sigma), sigma], 1)
            given = Given(*(torch.cat([getattr(part, f.name) for part in (before, given)], 1) for f in fields(Given)))
        velocity = self._network.velocity([s.cache for s in states], x, sigma, given, low=low)
        self._remembered(states)
        return velocity

    def _remember(self, states: Sequence[DiTState]) -> None:
        """Leave pending chunks in the memory, in a pass of their own."""
        pending = Pending.together(states)
        if not pending:
            return
        x, given = pending
        sigma = torch.full(x.shape[:2], self.config.context_sigma, device=self.device)
        self._network.remember([s.cache for s in states], x, sigma, given)
        self._remembered(states)

    @staticmethod
    def _remembered(states: Sequence[DiTState]) -> None:
        """Pending chunks are in the memory."""
        for state in states:
            if state.pending:
                state.history = kept(state, state.pending)
                state.cache.advance(state.pending.yaws.tolist())
                state.pending = None

    def _finish(self, states: Sequence[DiTState], latents: Tensor, given: Given) -> None:
        """The streams move on behind a finished chunk (B, F, C, h, w)."""
        sigma, kept = self.config.context_sigma, latents
        if sigma:  # the memory is as noisy as it was in training, with noise that belongs to the frame
            kept = (1.0 - sigma) * latents + sigma * self._noise(states, purpose=1)
        for b, state in enumerate(states):
            state.pending = Pending(kept[b], given.shown[b], given.told[b], given.yaws[b])
            state.yaw = float(given.yaws[b, -1])
            state.past, state.recent = state.followed(kept[b]), given.told[b, -1]
            state.frame += self.spec.chunk

    def _pictures(self, latents: Tensor, glimpse: Glimpse | None) -> Tensor:
        """(B, F, C, h, w) latents -> (B, F, 3, H, W) pictures in [-1, 1]."""
        pictures = self._decode(latents.flatten(0, 1))
        if self.outlook and glimpse:
            pictures = self.outlook.picture(pictures, glimpse)
        return pictures.view(*latents.shape[:2], *pictures.shape[1:])

    def _given(
        self, states: Sequence[DiTState], rows: Tensor, glimpse: Glimpse | None = None
    ) -> tuple[Given, Glimpse | None]:
        """What the next chunk is made from, and what is known of its picture where a camera moves."""
        told = told_of(states, (rows / self._scale).to(self.device))
        past = torch.stack([s.past for s in states])
        views = [s.view for s in states if s.view]
        if self.outlook and views:  # a stream's very first frame has nothing before it
            glimpse = glimpse or self.outlook.ahead(views, told[:, 0])
            past = torch.stack([self._encode(glimpse.filled), past[:, 0]], 1)
        if self.keyframes:
            recalled = torch.stack([self.keyframes.recall(p[0]) for p in past])
            past = torch.cat([past, recalled[:, None]], 1)
        shown = past[:, None].expand(-1, self.spec.chunk, -1, -1, -1, -1)
        turns = rows[..., self._turn] if self._turn is not None else torch.zeros(rows.shape[:2])
        return Given(shown, told, yaws_of(states, turns)), glimpse

    def _scene_of(self, image: Image) -> StartScene:
        """A scene at rest from one picture."""
        want = (self.spec.height, self.spec.width, 3)
        if image.shape != want or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 picture of shape {want}, got {image.dtype} {image.shape}")
        repeats = START_REPEATS * self.spec.chunk
        latent = self.encode(image[None])
        rest = torch.zeros(repeats, len(self.spec.actions.columns))
        return StartScene(latent.expand(repeats, -1, -1, -1), rest, picture=torch.from_numpy(image))

    @torch.inference_mode()
    def encode(self, pictures: NDArray[np.uint8]) -> Tensor:
        """(n, H, W, 3) uint8 -> (n, C, h, w) float32 latents."""
        return self.autoencoder.latents(to_signed(torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device)))
