"""Memory made anew from latents: another prompt in mid-stream, and streams that were parked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.models.memory import FullMemory, chunk_mask
from worldloom.models.rope import rotary
from worldloom.models.wan.config import Positions, Rollout
from worldloom.models.wan.memory import memory_of
from worldloom.models.wan.state import Place, WanState
from worldloom.models.wan.world import WanWorld

from .folders import PROMPTS
from .test_world import REST, opened
from .tiny import ROLL, with_sinks

CLOSE = 1e-5
ROLLS = [ROLL, with_sinks(ROLL, 2), with_sinks(ROLL, 2, positions="beside"), with_sinks(ROLL, 2, positions="relative")]
ROLLS.append(with_sinks(ROLL, 2, positions="beside", context=100.0))
NAMES = ["plain", "absolute", "beside", "relative", "noisy"]


def aged(world: WanWorld, chunks: int, prompt: str = PROMPTS[0]) -> WanState:
    state = world.start(seed=5, prompt=prompt)
    for _ in range(chunks):
        world.step([state], REST)
    return state


def next_velocity(world: WanWorld, state: WanState, x: Tensor) -> Tensor:
    memory = memory_of([state.cache], world._rope, world.roll.positions)
    return world.dit(x, torch.full((1, 2), 700.0), [state.said.keys], memory)


def under_a_mask(world: WanWorld, state: WanState, x: Tensor) -> Tensor:
    """The same of one look at all that is remembered and the chunk, without any cache."""
    roll, at = world.roll, state.frame
    chunks = len(state.history)
    sinks = min(chunks, roll.sink // roll.chunk)
    numbers = [*range(sinks), *range(at // 2 - (chunks - sinks), at // 2 + 1)]
    frames = torch.tensor([2.0 * n + f for n in numbers for f in range(2)], dtype=torch.float64)
    positions: Positions = roll.positions
    if positions != "absolute":
        frames[: roll.sink] += max(0, at - roll.window - roll.sink)
    past = [
        world._entering([Place(5, 2 * n)], chunk[None])[0] for n, chunk in zip(numbers, state.history, strict=False)
    ]
    film = torch.cat([*past, x[0]])[None]
    ids = torch.tensor(numbers).repeat_interleave(2 * world._cache.tokens)
    mask = chunk_mask(ids, ids, roll.window // 2, roll.sink // 2)
    times = torch.tensor([[roll.context] * 2 * chunks + [700.0] * 2])
    memory = FullMemory(rotary(world._rope, frames, torch.zeros_like(frames)), mask)
    return world.dit(film, times, [state.said.keys], memory)[:, -2:]


CASES = [pytest.param(roll, 6, id=name) for roll, name in zip(ROLLS, NAMES, strict=True)]
CASES += [pytest.param(roll, 2, id=f"young-{name}") for roll, name in zip(ROLLS, NAMES, strict=True)]
FAST = ("absolute", "noisy")


@pytest.mark.parametrize(
    ("roll", "chunks"),
    [case if case.id in FAST else pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in CASES],
)
@torch.inference_mode()
def test_another_prompt_equals_a_masked_look_at_what_is_remembered(tmp_path: Path, roll: Rollout, chunks: int) -> None:
    world = opened(tmp_path / "tiny", roll)
    state = aged(world, chunks)
    x = torch.randn(1, *world._latent, generator=torch.Generator().manual_seed(1))
    before = next_velocity(world, state, x)
    world.say(state, PROMPTS[1])
    after = next_velocity(world, state, x)
    torch.testing.assert_close(after, under_a_mask(world, state, x), rtol=0, atol=CLOSE)
    assert (after - before).abs().max() > 1e-3


@torch.inference_mode()
def test_nothing_changes_where_nothing_was_forgotten(tmp_path: Path) -> None:
    """The same prompt once more gives the same memory; another one, that of a stream that was always told so."""
    world = opened(tmp_path / "tiny", with_sinks(ROLL, 2, positions="beside"))
    state = aged(world, 3)
    keys = state.cache.keys.clone()
    world.say(state, PROMPTS[0])
    torch.testing.assert_close(state.cache.keys, keys, rtol=0, atol=CLOSE)
    other = world.start(seed=5, prompt=PROMPTS[1])
    for chunk in state.history:
        world._remember([other], torch.zeros(1, 2, 0), chunk[None])
    world.say(state, PROMPTS[1])
    torch.testing.assert_close(state.cache.keys, other.cache.keys, rtol=0, atol=CLOSE)
    torch.testing.assert_close(state.cache.values, other.cache.values, rtol=0, atol=CLOSE)
    world.step([state], REST)  # and it goes on
    assert state.frame == 8


def test_forks_keep_what_they_were_told(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    state, twin = aged(world, 3), aged(world, 3)
    fork = world.fork(state)
    world.say(state, PROMPTS[1])
    told, kept, want = (world.step([s], REST) for s in (state, fork, twin))
    assert np.array_equal(kept, want)
    assert not np.array_equal(told, want)
    world.release(fork)
    with pytest.raises(ValueError, match="released"):
        world.say(fork, PROMPTS[1])
    with pytest.raises(ValueError, match="no encoder"):
        world.say(state, "a castle")


def test_parked_streams_come_back(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny", replace(with_sinks(ROLL, 2, positions="beside"), context=100.0))
    for chunks in (0, 3, 7):
        state = aged(world, chunks)
        parked, saved = world.park(state), world.save(state)
        assert len(parked) < len(saved)
        back = world.load(parked)
        assert back.frame == back.cache.frame == 2 * chunks
        assert len(back.history) == len(state.history) == min(chunks, 3)
        draft = world._cache.tokens * state.cache.slot()  # what stands there is written next
        one, other = (s.cache.values[0].clone() for s in (state, back))
        for values in (one, other):
            values[:, draft : draft + 2 * world._cache.tokens] = 0.0
        torch.testing.assert_close(one, other, rtol=0, atol=CLOSE)  # the first layer knows nothing but its chunk
        torch.testing.assert_close(state.cache.sinks[0], back.cache.sinks[0], rtol=0, atol=CLOSE)
        shown = [world.step([s], REST).astype(int) for s in (state, back)]
        assert np.abs(shown[0] - shown[1]).max() <= 1 or chunks == 7  # deep layers knew a little of what is gone
