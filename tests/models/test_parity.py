"""The cache against the truth: a cached rollout equals one full forward under the block-causal window mask."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
import torch
from torch import Tensor

from worldloom.models.attention import attention
from worldloom.models.dit import CausalDiT
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.memory import CachedMemory, FullMemory, chunk_mask
from worldloom.models.rope import RopeConfig, rotary, rotate

from .tiny import tiny_dit

CLOSE = 1e-5
WINDOW_CHUNKS = 2


@dataclass
class ReferenceMemory:
    """Full attention, one query chunk at a time, with every key rotated to where that chunk sees it."""

    rope: RopeConfig
    frames: list[int]  # absolute index of every frame of the sequence
    yaw: Tensor  # (F,) float64
    chunk: int
    window: int
    sink: int

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        q, k = qk
        n = self.rope.rows * self.rope.columns
        frame = torch.tensor(self.frames)
        out = torch.empty_like(q)
        for first in frame[:: self.chunk].tolist():
            mine = (frame >= first) & (frame < first + self.chunk)
            seen = ((frame < first + self.chunk) & (frame >= first - self.window)) | (
                (frame < self.sink) & (frame < first + self.chunk)
            )
            where, turned = frame.double(), self.yaw.clone()
            sinks = frame < self.sink
            if self.sink and first > self.sink:
                where = torch.where(sinks, where + max(0, first - self.window - self.sink), where)
                if self.rope.fov:
                    now = self.yaw[mine][0]
                    turned = torch.where(sinks, now + (turned - now + 180.0) % 360.0 - 180.0, turned)
            phases = rotary(self.rope, where, turned)
            rows, columns = mine.repeat_interleave(n), seen.repeat_interleave(n)
            keys = rotate(k, phases)[:, :, columns]
            queries = rotate(q, rotary(self.rope, frame.double(), self.yaw))[:, :, rows]
            out[:, :, rows] = attention(queries, keys, v[:, :, columns])
        return out


@dataclass
class Film:
    """Random finished frames and all that conditions them."""

    latents: Tensor  # (1, F, C, h, w)
    actions: Tensor  # (1, F, history, A)
    yaw: Tensor  # (F,) float64

    @classmethod
    def random(cls, dit: CausalDiT, frames: int) -> Film:
        c = dit.config
        g = torch.Generator().manual_seed(frames)
        latents = torch.randn(1, frames, c.channels, c.rows, c.columns, generator=g)
        turns = torch.rand(frames, generator=g, dtype=torch.float64) * 120.0 - 20.0
        return cls(latents, torch.randn(1, frames, c.history, c.actions, generator=g), turns.cumsum(0))

    def past(self, chunk: int) -> Tensor:
        """For each frame, the last frame of the chunk before and the one before that; zeros for the first chunk.

        The very first frame counts as its own past.
        """
        zero = torch.zeros_like(self.latents[:, :1])
        last = torch.cat([zero, self.latents[:, chunk - 1 : -1 : chunk]], 1)
        ends = [max(0, k * chunk - 2) for k in range(1, last.shape[1])]
        before = torch.cat([zero, self.latents[:, ends]], 1)
        return torch.stack([last, before], 2).repeat_interleave(chunk, 1)


def cached_velocities(
    dit: CausalDiT, film: Film, chunk: int, sink: int, noisy: Tensor, index_of: list[int]
) -> list[Tensor]:
    """Velocity of the noisy chunk at every place of the film, streaming."""
    c = dit.config
    config = CacheConfig(c.layers, c.heads, c.width // c.heads, c.tokens, chunk, WINDOW_CHUNKS * chunk, sink)
    cache = KVCache.allocate(config, torch.device("cpu"), torch.float32)
    past, out = film.past(chunk), []
    for at in range(0, film.latents.shape[1], chunk):
        span = slice(at, at + chunk)
        cache.frame = index_of[at]
        memory = CachedMemory.of([cache], c.rope, film.yaw[None, span])
        for sigma in (1.0, 0.4):  # several passes over one chunk must not disturb each other
            level = torch.full((1, chunk), sigma)
            velocity = dit(noisy, past[:, span], level, film.actions[:, span], memory)
        out.append(velocity)
        memory = CachedMemory.of([cache], c.rope, film.yaw[None, span])
        dit.commit(film.latents[:, span], past[:, span], torch.zeros(1, chunk), film.actions[:, span], memory)
        cache.advance(film.yaw[span].tolist())
    return out


def full_velocity(
    dit: CausalDiT, film: Film, chunk: int, sink: int, noisy: Tensor, index_of: list[int], at: int
) -> Tensor:
    """The same for the chunk at frame `at`, with everything before it in one sequence."""
    end = at + chunk
    memory = ReferenceMemory(dit.config.rope, index_of[:end], film.yaw[:end], chunk, WINDOW_CHUNKS * chunk, sink)
    sequence = torch.cat([film.latents[:, :at], noisy], 1)
    sigma = torch.cat([torch.zeros(1, at), torch.full((1, chunk), 0.4)], 1)
    velocity: Tensor = dit(sequence, film.past(chunk)[:, :end], sigma, film.actions[:, :end], memory)
    return velocity[:, at:]


FAST = [(1, 1, 0, 90.0), (1, 3, 1, 90.0), (2, 1, 1, 90.0), (2, 3, 0, 90.0)]  # each value beside each other one


@pytest.mark.parametrize(
    ("patch", "chunk", "sink_chunks", "fov"),
    [
        one if one in FAST else pytest.param(*one, marks=pytest.mark.slow)
        for one in product([1, 2], [1, 3], [0, 1], [0.0, 90.0])
    ],
)
def test_cached_equals_full_across_evictions(patch: int, chunk: int, sink_chunks: int, fov: float) -> None:
    dit = tiny_dit(fov, columns=4, patch=patch)
    film = Film.random(dit, chunk * (sink_chunks + WINDOW_CHUNKS + 5))  # at least three evictions
    noisy = torch.randn(film.latents[:, :chunk].shape, generator=torch.Generator().manual_seed(5))
    index = list(range(film.latents.shape[1]))
    with torch.inference_mode():
        cached = cached_velocities(dit, film, chunk, sink_chunks * chunk, noisy, index)
        for k, got in enumerate(cached):
            want = full_velocity(dit, film, chunk, sink_chunks * chunk, noisy, index, k * chunk)
            torch.testing.assert_close(got, want, atol=CLOSE, rtol=CLOSE, msg=f"chunk {k} of the stream differs")


@pytest.mark.parametrize("sink_chunks", [0, 1])
@pytest.mark.parametrize("chunk", [1, 3])
def test_cached_equals_full_at_frame_one_million(chunk: int, sink_chunks: int) -> None:
    """Sinks from the beginning of time, then a jump: once the jump has left the receptive field, nothing differs."""
    dit = tiny_dit(90.0)
    sink = sink_chunks * chunk
    settled = chunk * (dit.config.layers + 1) * (WINDOW_CHUNKS + 1)
    film = Film.random(dit, sink + settled + 2 * chunk)
    far = 10**6 - 10**6 % chunk
    index = list(range(sink)) + [far + k for k in range(settled + 2 * chunk)]
    noisy = torch.randn(film.latents[:, :chunk].shape, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        cached = cached_velocities(dit, film, chunk, sink, noisy, index)
        for at in range(sink + settled, len(index), chunk):
            want = full_velocity(dit, film, chunk, sink, noisy, index, at)
            torch.testing.assert_close(cached[at // chunk], want, atol=CLOSE, rtol=CLOSE)


def test_several_chunks_at_once_are_refused_beside_sinks() -> None:
    config = tiny_dit().config
    shape = CacheConfig(config.layers, config.heads, config.width // config.heads, config.tokens, 1, 2, sink=1)
    cache = KVCache.allocate(shape, torch.device("cpu"), torch.float32)
    with pytest.raises(ValueError, match="one chunk at a time"):
        CachedMemory.of([cache], config.rope, torch.zeros(1, 2, dtype=torch.float64))


def test_a_patch_spans_whole_cells() -> None:
    with pytest.raises(ValueError, match="multiples of the patch"):
        tiny_dit(patch=2)


@pytest.mark.parametrize("chunk", [1, 3])
def test_reference_without_sinks_is_plain_masked_attention(chunk: int) -> None:
    """The reference itself against the mask that training would use."""
    dit = tiny_dit()
    film = Film.random(dit, 6 * chunk)
    noisy = film.latents[:, -chunk:]
    index = list(range(6 * chunk))
    phases = rotary(dit.config.rope, torch.arange(6 * chunk).double(), film.yaw)
    ids = (torch.arange(6 * chunk) // chunk).repeat_interleave(dit.config.tokens)
    memory = FullMemory(phases, chunk_mask(ids, ids, WINDOW_CHUNKS, 0))
    sigma = torch.zeros(1, 6 * chunk)
    sigma[:, -chunk:] = 0.4
    with torch.inference_mode():
        masked = dit(film.latents, film.past(chunk), sigma, film.actions, memory)[:, -chunk:]
        want = full_velocity(dit, film, chunk, 0, noisy, index, 5 * chunk)
    torch.testing.assert_close(masked, want, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("chunk", [1, 3])
def test_the_future_changes_nothing(chunk: int) -> None:
    dit = tiny_dit()
    film = Film.random(dit, 4 * chunk)
    ids = (torch.arange(4 * chunk) // chunk).repeat_interleave(dit.config.tokens)
    phases = rotary(dit.config.rope, torch.arange(4 * chunk).double(), film.yaw)
    memory = FullMemory(phases, chunk_mask(ids, ids, 4, 0))
    changed = film.latents.clone()
    changed[:, 2 * chunk :] += 1.0
    with torch.inference_mode():
        a, b = (
            dit(x, film.past(chunk), torch.zeros(1, 4 * chunk), film.actions, memory) for x in (film.latents, changed)
        )
    torch.testing.assert_close(a[:, : 2 * chunk], b[:, : 2 * chunk], atol=CLOSE, rtol=CLOSE)
    assert (a[:, 2 * chunk :] - b[:, 2 * chunk :]).abs().max() > 1e-3


def test_a_chunk_attends_within_itself() -> None:
    """Full attention inside a chunk: its first frame feels its last one."""
    dit = tiny_dit()
    film = Film.random(dit, 3)
    ids = torch.zeros(3 * dit.config.tokens, dtype=torch.int64)
    phases = rotary(dit.config.rope, torch.arange(3).double(), film.yaw)
    memory = FullMemory(phases, chunk_mask(ids, ids, 2, 0))
    changed = film.latents.clone()
    changed[:, 2] += 1.0
    with torch.inference_mode():
        past = torch.zeros_like(film.past(3))
        a, b = (dit(x, past, torch.zeros(1, 3), film.actions, memory) for x in (film.latents, changed))
    assert (a[:, 0] - b[:, 0]).abs().max() > 1e-4
