"""A world on several ranks dreams what it dreams on one. Ranks are threads here, processes in test_split_world.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.models.check import random_actions
from worldloom.models.kv_format import KVFormat
from worldloom.models.spec import Actions
from worldloom.models.wan import open as opening
from worldloom.models.wan.config import T2V_1_3B, T2V_14B, Rollout
from worldloom.models.wan.need import Plan, need
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.split import refuse_indivisible
from worldloom.models.wan.state import WanState
from worldloom.models.wan.told import Blind, Told
from worldloom.models.wan.world import WanWorld

from .folders import PROMPTS, filmed, folder, played
from .ranks import each, seats
from .test_need import SELF
from .tiny import FILMED, PLAYED, ROLL, SHAPE, with_sinks

CLOSE = 1e-5
FOUR = replace(SHAPE, heads=4)  # two tokens by three, four heads
Make = Callable[[Path, Rollout], Path]
SINKS = with_sinks(ROLL, 2)


def walked(path: Path, roll: Rollout) -> Path:
    return folder(path, roll, FOUR, size=(16, 24))


def hands(path: Path, roll: Rollout) -> Path:
    return played(path, roll, replace(PLAYED, heads=4), (16, 24))


def camera(path: Path, roll: Rollout) -> Path:
    return filmed(path, roll, replace(FILMED, heads=4), (32, 48))


class Both:
    """A world on one rank, and the same on two. States are lists of one a world."""

    def __init__(self, path: Path, ranks: int = 2, **options: Any) -> None:
        options = {"dtype": torch.float32, "device": "cpu", **options}
        self.worlds = [open_wan(path, **options), *(open_wan(path, exchange=e, **options) for e in seats(ranks))]

    def all(self, do: Callable[[WanWorld, int], Any]) -> list[Any]:
        return each([lambda k=k, world=world: do(world, k) for k, world in enumerate(self.worlds)])  # type: ignore[misc]

    def start(self, **more: Any) -> list[WanState]:
        return self.all(lambda world, _: world.start(**more))

    def step(self, states: Sequence[list[WanState]], actions: Actions) -> np.ndarray[Any, np.dtype[np.uint8]]:
        alone, *others = self.all(lambda world, k: world.step([each[k] for each in states], actions))
        for other in others:
            assert np.abs(alone.astype(int) - other).max() <= 1
        for state in states:
            self.same(state)
        return alone

    def same(self, state: list[WanState]) -> None:
        """The same latents everywhere, and each rank has its heads of the same memory."""
        alone, *others = state
        for rank, other in enumerate(others):
            for a, b in zip(alone.history, other.history, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=CLOSE)
            heads = self.worlds[1 + rank]._cache.heads
            here = slice(rank * heads, (rank + 1) * heads)
            torch.testing.assert_close(other.cache.keys, alone.cache.keys[:, here], rtol=0, atol=CLOSE)
            torch.testing.assert_close(other.cache.values, alone.cache.values[:, here], rtol=0, atol=CLOSE)

    def rows(self, k: int, streams: int = 1) -> Actions:
        return np.concatenate([random_actions(self.worlds[0].spec, 10 * k + b) for b in range(streams)])


CASES = [
    pytest.param(walked, ROLL, id="plain"),
    pytest.param(walked, replace(SINKS, positions="beside", context=100.0), id="beside"),
    pytest.param(walked, SINKS, id="absolute"),
    pytest.param(walked, replace(SINKS, positions="relative"), id="relative"),
    pytest.param(hands, ROLL, id="hands"),
    pytest.param(camera, replace(SINKS, positions="beside"), id="camera"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "roll"), CASES)
def test_two_ranks_dream_what_one_does(tmp_path: Path, make: Make, roll: Rollout) -> None:
    """Two streams, evictions, another prompt, a fork, a way there and back through bytes."""
    both = Both(make(tmp_path / "tiny", roll))
    one, other = both.start(seed=1), both.start(seed=2)
    both.step([other], both.rows(90))
    for k in range(4):
        both.step([one, other], both.rows(k, 2))
    fork = both.all(lambda world, k: world.fork(one[k]))
    if both.worlds[0].spec.prompts:
        for how in ("recache", "flush"):
            both.all(lambda world, k, how=how: world.say(one[k], PROMPTS[1], how=how))  # type: ignore[misc]
            both.step([one], both.rows(5))
    shown = both.step([fork], both.rows(6))
    assert shown.std() > 1
    alone, *parts = both.all(lambda world, k: world.save(fork[k]))
    assert len(parts[0]) == len(alone)
    assert parts[1] == b""
    crossed = both.all(lambda world, k: world.load(parts[0] if k == 0 else alone))  # each what the other wrote
    both.step([crossed], both.rows(7))
    parked = both.all(lambda world, k: world.load(world.park(fork[k])))
    both.step([parked], both.rows(8))
    for state in (one, other, fork, crossed, parked):
        for world, own in zip(both.worlds, state, strict=True):
            world.release(own)
            assert own.cache.nbytes == 0


@pytest.mark.slow
def test_three_ranks_and_a_picture(tmp_path: Path) -> None:
    both = Both(folder(tmp_path / "tiny", SINKS, replace(SHAPE, width=72, heads=6), size=(16, 24)), ranks=3)
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    state = both.start(seed=1, image=image)
    for k in range(4):
        both.step([state], both.rows(k))


@pytest.mark.slow
@pytest.mark.parametrize("make", [walked, hands])
def test_eight_bits_are_saved_and_loaded_across(tmp_path: Path, make: Make) -> None:
    both = Both(make(tmp_path / "tiny", ROLL), kv="int8")
    states = both.start(seed=1)
    for k in range(3):
        both.all(lambda world, n, k=k: world.step([states[n]], both.rows(k)))  # type: ignore[misc]
    alone, *parts = both.all(lambda world, k: world.save(states[k]))
    assert len(parts[0]) == len(alone)
    again = both.all(lambda world, k: world.load(alone))
    whole = both.all(lambda world, k: world.save(again[k]))
    assert whole[1] == whole[0]


@pytest.mark.parametrize("kv", ["native", pytest.param("int8", marks=pytest.mark.slow)])
def test_memory_of_a_rank_is_foretold(tmp_path: Path, kv: KVFormat) -> None:
    path = hands(tmp_path / "tiny", ROLL)
    about, both = opening.WanFolder.read(path), Both(path, kv=kv)
    plan = Plan(about.shape, about.rollout, about.vae, about.height, about.width, torch.float32, kv=kv)
    state = both.start(seed=1)
    held = [s.cache.nbytes + sum(cache.nbytes for cache in s.hands) for s in state]
    assert held == [need(plan).memory, *[need(replace(plan, split=2)).memory] * 2]


def test_other_ranks_need_no_encoder_and_show_nothing(tmp_path: Path) -> None:
    path = walked(tmp_path / "tiny", ROLL)
    replace(opening.WanFolder.read(path), encoder="nowhere", small="nowhere").write(path)
    with pytest.raises(ValueError, match="graphs = 0 on several devices, got 2"):
        open_wan(path, dtype=torch.float32, exchange=seats(2)[1], graphs=2, told=Told())
    with pytest.raises(ValueError, match="nowhere"):
        open_wan(path, dtype=torch.float32, exchange=seats(2)[0])
    told = Told()
    world = open_wan(path, dtype=torch.float32, exchange=seats(2)[1], told=told)
    told.given = torch.randn(4, FOUR.text_width)
    assert world.start(seed=1, prompt="anything").said.encoded is told.given
    assert isinstance(world.decoder, Blind)


def test_figures_of_self_forcing_on_two_devices() -> None:
    one, two = need(SELF), need(replace(SELF, split=2))
    assert two.memory * 2 == one.memory
    assert (two.network, two.decoder, two.history, two.prompt) == (one.network, one.decoder, one.history, one.prompt)
    assert str(two).endswith("on the first of 2 devices")


def test_what_does_not_divide_is_refused() -> None:
    refuse_indivisible(T2V_1_3B, 1560, 4)
    with pytest.raises(ValueError, match="12 heads and 1560 tokens of a frame, got 5; possible: 2, 3, 4, 6, 12"):
        refuse_indivisible(T2V_1_3B, 1560, 5)
    with pytest.raises(ValueError, match="40 heads and 1563 tokens of a frame, got 2; possible: none"):
        refuse_indivisible(T2V_14B, 1563, 2)
