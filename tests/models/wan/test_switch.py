"""From one prompt to another in mid-stream, a little a chunk or by forgetting; at once is in test_recall.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.wan.config import Rollout
from worldloom.models.wan.switch import Turn, turn_of

from .folders import PROMPTS
from .test_recall import CLOSE, ROLLS, aged, next_velocity
from .test_world import REST, opened
from .tiny import ROLL, prompt, with_sinks

BESIDE = with_sinks(ROLL, 2, positions="beside")


def test_prompts_are_mixed_and_what_is_shorter_ends_in_zeros() -> None:
    before, after = prompt(0)[:2], prompt(1)[:4]
    turn: Turn | None = Turn(before, after, 4)
    mixed = []
    while turn:
        encoded, turn = turn.on()
        mixed.append(encoded)
    assert len(mixed) == 4
    torch.testing.assert_close(mixed[0][:2], 0.75 * before + 0.25 * after[:2])
    torch.testing.assert_close(mixed[1][2:], 0.5 * after[2:])
    assert mixed[3] is after
    assert mixed[0].dtype == after.dtype
    assert turn_of({}) is None
    with pytest.raises(ValueError, match="at least one chunk"):
        Turn(before, after, 0)


def test_a_blend_ends_at_the_new_prompt_and_keeps_the_memory_as_it_was_dreamed(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny", BESIDE)
    state, at_once = aged(world, 3), aged(world, 3)
    keys = state.cache.keys.clone()
    world.say(state, PROMPTS[1], how="blend", chunks=2)
    assert torch.equal(state.cache.keys, keys)
    world.step([state], REST)
    assert world.prompts is not None
    half = world.prompts.encode(PROMPTS[0]).lerp(world.prompts.encode(PROMPTS[1]), 0.5)
    torch.testing.assert_close(state.said.encoded, half)
    world.step([state], REST)
    assert state.turn is None
    torch.testing.assert_close(state.said.encoded, world.prompts.encode(PROMPTS[1]))
    world.say(at_once, PROMPTS[1], how="blend", chunks=1)
    assert not np.array_equal(world.step([aged(world, 3)], REST), world.step([at_once], REST))


@pytest.mark.parametrize(
    "roll", [pytest.param(ROLLS[1], id="absolute"), pytest.param(ROLLS[4], id="noisy", marks=pytest.mark.slow)]
)
@torch.inference_mode()
def test_a_flush_leaves_the_sinks_and_the_latest_chunk_under_the_new_prompt(tmp_path: Path, roll: Rollout) -> None:
    """As a stream is that has dreamed no more than these."""
    world = opened(tmp_path / "tiny", roll)
    state = aged(world, 6)
    first, last = state.history[0], state.history[-1]
    world.say(state, PROMPTS[1], how="flush")
    assert (len(state.history), state.frame, state.cache.frame) == (2, 12, 4)
    assert state.history[0] is first
    assert state.history[1] is last
    x = torch.randn(1, *world._latent, generator=torch.Generator().manual_seed(1))
    after = next_velocity(world, state, x)
    young = world.start(seed=5, prompt=PROMPTS[1])
    if not roll.context:  # whose noise is that of the place where a chunk was made
        for chunk in (first, last):
            world._remember([young], torch.zeros(1, 2, 0), chunk[None])
        torch.testing.assert_close(after, next_velocity(world, young, x), rtol=0, atol=CLOSE)
    before = after
    world.say(state, PROMPTS[1], how="flush")  # once more, and nothing changes
    torch.testing.assert_close(next_velocity(world, state, x), before, rtol=0, atol=0)
    for _ in range(5):  # until the window slides again
        world.step([state], REST)
    assert (state.frame, state.cache.frame, len(state.history)) == (22, 14, 3)


@torch.inference_mode()
def test_a_young_stream_has_nothing_to_forget(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny", BESIDE)
    flushed, told = aged(world, 2), aged(world, 2)
    world.say(flushed, PROMPTS[1], how="flush")
    world.say(told, PROMPTS[1])
    assert torch.equal(flushed.cache.keys, told.cache.keys)
    fresh = aged(world, 0)
    world.say(fresh, PROMPTS[1], how="flush")
    assert np.array_equal(world.step([fresh], REST), world.step([world.start(seed=5, prompt=PROMPTS[1])], REST))


@pytest.mark.parametrize("how", ["blend", "flush"])
def test_what_was_told_is_saved_and_forked(tmp_path: Path, how: str) -> None:
    world = opened(tmp_path / "tiny", replace(BESIDE, context=100.0))
    state, other = aged(world, 5), aged(world, 5)
    for one in (state, other):
        world.say(one, PROMPTS[1], how="blend" if how == "blend" else "flush", chunks=3)
        world.step([one], REST)
    back, fork = world.load(world.save(state)), world.fork(state)
    parked = world.load(world.park(state))
    assert (parked.turn is None) == (back.turn is None) == (how == "flush")
    assert parked.cache.frame == state.cache.frame
    want = [world.step([state], REST) for _ in range(3)]
    for one in (back, fork):
        assert all(np.array_equal(world.step([one], REST), pictures) for pictures in want)
    assert np.array_equal(world.step([other], REST), want[0])
    for _ in range(3):  # nearly as it was; how near is in test_recall.py
        world.step([parked], REST)
    assert parked.turn is None
    assert torch.equal(parked.said.encoded, state.said.encoded)


def test_streams_on_their_way_are_stepped_beside_others(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    plain, turning = aged(world, 3), aged(world, 3)
    alone, also = aged(world, 3), aged(world, 3)
    for one in (turning, also):
        world.say(one, PROMPTS[1], how="blend", chunks=4)
    both = world.step([plain, turning], np.repeat(REST, 2, 0))
    for pictures, one in zip(both, (alone, also), strict=True):
        assert np.abs(pictures.astype(int) - world.step([one], REST)[0]).max() <= 1
