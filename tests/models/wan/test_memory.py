"""Chunk by chunk through the cache equals one look at the whole clip, under each rule of positions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from worldloom.models.attention import attention
from worldloom.models.kv_cache import KVCache
from worldloom.models.memory import FullMemory, chunk_mask
from worldloom.models.rope import RopeConfig, rotary, rotate
from worldloom.models.wan.config import Positions, Rollout
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.memory import memory_of

from .tiny import COLUMNS, ROLL, ROWS, SHAPE, cache_of, latents, text_of, tiny_dit, with_sinks

CLOSE = 1e-5
POLICIES: tuple[Positions, ...] = ("absolute", "beside", "relative")
ROPE = rope_of(SHAPE, ROWS, COLUMNS)
TOKENS = ROPE.rows * ROPE.columns


def places(roll: Rollout, first: int, frames: int) -> Tensor:
    """Where the chunk that begins with frame `first` sees each frame of a clip, by the words of `memory.py`."""
    frame = torch.arange(frames, dtype=torch.float64)
    window = max(roll.sink, first - roll.window)  # its first frame
    if roll.positions == "absolute":
        return frame
    beside = torch.where(frame < roll.sink, frame + window - roll.sink, frame)
    return beside if roll.positions == "beside" else beside - (window - roll.sink)


@dataclass
class WholeClip:
    """All frames at hand: each chunk looks at what it may, every key turned to where that chunk sees it."""

    roll: Rollout
    frames: int

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        del layer
        chunk = torch.arange(self.frames).repeat_interleave(TOKENS) // self.roll.chunk
        mask = chunk_mask(chunk, chunk, self.roll.window // self.roll.chunk, self.roll.sink // self.roll.chunk)
        out = []
        for c in range(self.frames // self.roll.chunk):
            seen = places(self.roll, c * self.roll.chunk, self.frames)
            q, k = rotate(qk, rotary(ROPE, seen, torch.zeros_like(seen)))
            mine = chunk == c
            out.append(attention(q[:, :, mine], k, v, mask[mine]))
        return torch.cat(out, 2)


def streamed(dit: WanDiT, roll: Rollout, film: Tensor, t: float = 0.0, cache: KVCache | None = None) -> Tensor:
    """Velocities of a film whose chunks come one after the other, each first as something else, then as it is."""
    cache, text, out = cache or cache_of(SHAPE, roll), text_of(dit), []
    for first in range(0, film.shape[1], roll.chunk):
        chunk = film[:, first : first + roll.chunk]
        times = torch.full(chunk.shape[:2], t)
        memory = memory_of([cache], ROPE, roll.positions)
        dit(torch.randn_like(chunk), times + 700.0, [text], memory)  # a draft, as denoising leaves it
        out.append(dit(chunk, times, [text], memory))
        dit(torch.randn_like(chunk), times + 300.0, [text], memory)
        dit.commit(chunk, times, [text], memory_of([cache], ROPE, roll.positions))
        cache.advance([0.0] * roll.chunk)
    return torch.cat(out, 1)


@pytest.mark.parametrize("positions", POLICIES)
@pytest.mark.parametrize("sink", [0, 2, 4])
@torch.inference_mode()
def test_streamed_equals_whole(positions: Positions, sink: int) -> None:
    dit, roll = tiny_dit(), with_sinks(ROLL, sink, positions=positions)
    film = latents(16)  # twice around the ring
    whole = dit(film, torch.zeros(1, 16), [text_of(dit)], WholeClip(roll, 16))
    torch.testing.assert_close(streamed(dit, roll, film), whole, rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_one_frame_at_a_time() -> None:
    dit, roll = tiny_dit(), Rollout(steps=(1000,), chunk=1, attention=4, sink=1, positions="beside")
    film = latents(9)
    whole = dit(film, torch.zeros(1, 9), [text_of(dit)], WholeClip(roll, 9))
    torch.testing.assert_close(streamed(dit, roll, film), whole, rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_what_is_one_and_the_same() -> None:
    """Without sinks all three; with sinks the two that keep them near, and not the one that does not."""
    dit, film = tiny_dit(), latents(14)
    plain = [streamed(dit, replace(ROLL, positions=p), film) for p in POLICIES]
    torch.testing.assert_close(plain[0], plain[1], rtol=0, atol=CLOSE)
    torch.testing.assert_close(plain[0], plain[2], rtol=0, atol=CLOSE)
    sinks = [streamed(dit, with_sinks(ROLL, 2, positions=p), film) for p in POLICIES]
    torch.testing.assert_close(sinks[1], sinks[2], rtol=0, atol=CLOSE)
    young = ROLL.window + 2 + ROLL.chunk  # frames made before the window leaves the sinks
    torch.testing.assert_close(sinks[0][:, :young], sinks[1][:, :young], rtol=0, atol=CLOSE)
    assert (sinks[0][:, young:] - sinks[1][:, young:]).abs().max() > 1e-3


@pytest.mark.parametrize("positions", POLICIES)
@torch.inference_mode()
def test_no_last_frame(positions: Positions) -> None:
    """Beyond the tables of the public code, which end at 1,024: frame one million is as good as frame zero."""
    dit, roll, film = tiny_dit(), replace(ROLL, positions=positions), latents(12)
    dit.blocks = dit.blocks[:1]  # deeper ones remember what their frames saw, which is never quite forgotten
    ring = roll.window + roll.chunk
    late = cache_of(SHAPE, roll)
    late.frame = 1_000_000 // ring * ring
    early, after = streamed(dit, roll, film), streamed(dit, roll, film, cache=late)
    torch.testing.assert_close(early[:, ring:], after[:, ring:], rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_streams_of_other_ages_and_prompts_share_a_batch() -> None:
    dit, roll = tiny_dit(), with_sinks(ROLL, 2, positions="beside")
    texts = [text_of(dit, 0), text_of(dit, 1)]
    caches = [cache_of(SHAPE, roll), cache_of(SHAPE, roll)]
    for k in range(5):  # the second is five chunks old
        dit.commit(latents(2, seed=k), torch.zeros(1, 2), texts[1:], memory_of(caches[1:], ROPE, roll.positions))
        caches[1].advance([0.0, 0.0])
    x, t = torch.cat([latents(2, seed=8), latents(2, seed=9)]), torch.tensor([[900.0, 900.0], [500.0, 500.0]])
    alone = [
        dit(x[b : b + 1], t[b : b + 1], [texts[b]], memory_of([caches[b]], ROPE, roll.positions)) for b in range(2)
    ]
    both = dit(x, t, texts, memory_of(caches, ROPE, roll.positions))
    torch.testing.assert_close(both, torch.cat(alone), rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_the_prompt_matters() -> None:
    dit, film = tiny_dit(), latents(2)
    memory = FullMemory(rotary(ROPE, torch.arange(2.0).double(), torch.zeros(2).double()), None)
    said = [dit(film, torch.full((1, 2), 500.0), [text_of(dit, k)], memory) for k in range(2)]
    assert (said[0] - said[1]).abs().max() > 1e-2


def test_ropes_are_the_familys() -> None:
    assert rope_of(SHAPE, 4, 6) == RopeConfig(24, 2, 3, 10000.0, split=(4, 4, 4))
