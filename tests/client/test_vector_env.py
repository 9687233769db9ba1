"""Many streams of a world as one Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from worldloom.client.env import WorldEnv
from worldloom.client.vector_env import WorldVectorEnv
from worldloom.models.catalog import shipped_worlds
from worldloom.models.toy import ToyWorld

STILL = np.zeros((3, 6), np.float32)


@pytest.fixture
def envs() -> Iterator[WorldVectorEnv]:
    made = WorldVectorEnv("toy", 3, max_frames=2, autoreset_mode=AutoresetMode.DISABLED)
    yield made
    made.close()


@pytest.mark.parametrize("world", ["toy", *(name for name in ("arm",) if name in shipped_worlds())])
@pytest.mark.slow
def test_the_same_as_gymnasiums_own_over_single_ones_through_several_episodes(world: str) -> None:
    native = WorldVectorEnv(world, 2, max_frames=2, terminated_fn=_grabbed, deterministic=True)
    sync = SyncVectorEnv([lambda: WorldEnv(world, max_frames=2, terminated_fn=_grabbed)] * 2)
    native.action_space.seed(0)
    try:
        for seed in (3, None):
            same(native.reset(seed=seed), sync.reset(seed=seed))
            for _ in range(6):
                actions = native.action_space.sample()
                same(native.step(actions), sync.step(actions))
    finally:
        native.close()
        sync.close()


def test_gymnasium_makes_the_native_one() -> None:
    envs = gymnasium.make_vec("worldloom/Toy-v0", num_envs=2)
    assert isinstance(envs.unwrapped, WorldVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    pictures, infos = envs.reset(seed=1)
    assert envs.observation_space.contains(pictures)
    assert infos["frame"].tolist() == [0, 0]
    pictures, *_ = envs.step(envs.action_space.sample())
    assert envs.observation_space.contains(pictures)
    envs.close()


def test_one_step_of_the_world_for_all_of_them() -> None:
    batches: list[int] = []

    class Counted(ToyWorld):
        def step(self, states: Any, actions: Any) -> Any:
            batches.append(len(states))
            return super().step(states, actions)

    envs = WorldVectorEnv(Counted(), 3, max_frames=1)
    envs.reset(seed=1)
    envs.step(STILL)
    envs.step(STILL)  # here all begin anew, in one step too
    envs.close()
    assert batches == [3, 3, 3]


def test_whoever_disables_autoreset_resets_by_mask(envs: WorldVectorEnv) -> None:
    first, _ = envs.reset(seed=[5, 6, 7])
    turned = STILL.copy()
    turned[:, 4] = 6.0
    envs.step(turned)
    *_, truncated, _ = envs.step(turned)
    assert truncated.all()
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"\[0, 1, 2\]"):
        envs.step(STILL)
    before = envs.reset(seed=[5, 6, 7], options={"reset_mask": np.array([True, False, True])})[0]
    assert (before[[0, 2]] == first[[0, 2]]).all()
    assert not (before[1] == first[1]).all()
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"\[1\]"):
        envs.step(STILL)
    pictures, infos = envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert (pictures[[0, 2]] == before[[0, 2]]).all()
    assert infos["_frame"].tolist() == [False, True, False]
    envs.step(STILL)


@pytest.mark.parametrize("mask", [np.array([True]), np.array([1, 0, 0]), np.zeros(3, np.bool_)])
def test_a_wrong_mask_is_explained(envs: WorldVectorEnv, mask: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="reset_mask of 3 booleans"):
        envs.reset(options={"reset_mask": mask})


def test_wrong_arguments_are_explained(envs: WorldVectorEnv) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(STILL)
    with pytest.raises(ValueError, match="expected 3 seeds"):
        envs.reset(seed=[1])
    with pytest.raises(ValueError, match="NEXT_STEP or DISABLED"):
        WorldVectorEnv("toy", 2, autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=1)
    with pytest.raises(ValueError, match="finite numbers"):
        envs.step(STILL[:2])


def test_every_step_gives_arrays_of_its_own(envs: WorldVectorEnv) -> None:
    first, _ = envs.reset(seed=1)
    kept = first.copy()
    second, *_, infos = envs.step(STILL)
    second[:] = 0
    infos["frames"][:] = 0
    assert (first == kept).all()
    third, *_ = envs.step(STILL)
    assert third.any()


def test_snapshots_and_forks_of_all(envs: WorldVectorEnv) -> None:
    envs.reset(seed=1)
    past = envs.snapshot()
    turned = STILL.copy()
    turned[:, 4] = [6.0, 0.0, -6.0]
    ahead, *_ = envs.step(turned)
    restored = envs.restore(past[:1] * 2, [0, 2])
    assert (restored[0] == restored[2]).all()
    forks = envs.fork(2)
    assert forks.num_envs == 6
    dreams, *_ = forks.step(np.repeat(turned, 2, 0))
    assert (dreams[0] == ahead[0]).all()
    assert (dreams[0] == dreams[1]).all()
    assert not (dreams[4] == ahead[2]).all()
    forks.close()


def _grabbed(obs: Any, action: NDArray[np.float32], next_obs: Any, goal: Any) -> float:
    """Something that ends episodes now and then."""
    return float(action[-1] > 0.5)


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    """Equal but for the arrays of infos in which nothing was said."""
    for x, y in zip(a[:-1], b[:-1], strict=True):
        np.testing.assert_array_equal(x, y)
    assert a[-1].keys() == b[-1].keys()
    for name in a[-1]:
        np.testing.assert_array_equal(a[-1][name], b[-1][name])
