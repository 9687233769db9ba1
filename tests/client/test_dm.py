"""A world as a dm_env environment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("dm_env")

import dm_env

from worldloom.client.dm import DmEnv
from worldloom.client.env import WorldEnv

TURN = np.array([0, 0, 0, 0, 6, 0], np.float32)


@pytest.fixture
def env() -> Iterator[DmEnv]:
    made = DmEnv(WorldEnv("toy", max_frames=2, reward_fn=lambda *_: 0.5))
    yield made
    made.close()


def test_steps_are_those_of_gymnasium_and_the_next_episode_begins_by_itself(env: DmEnv) -> None:
    plain = WorldEnv("toy", max_frames=2)
    step = env.reset(seed=3)
    assert step.first()
    np.testing.assert_array_equal(step.observation, plain.reset(seed=3)[0])
    step = env.step(TURN)
    assert (step.step_type, step.reward, step.discount) == (dm_env.StepType.MID, 0.5, 1.0)
    np.testing.assert_array_equal(step.observation, plain.step(TURN)[0])
    step = env.step(TURN)
    assert (step.step_type, step.discount) == (dm_env.StepType.LAST, 1.0)  # truncated: there was more to come
    assert env.step(TURN).first()
    plain.close()


def test_an_episode_that_terminates_has_nothing_to_come() -> None:
    env = DmEnv(WorldEnv("toy", terminated_fn=lambda *_: True))
    env.reset(seed=1)
    step = env.step(TURN)
    assert step.last()
    assert step.discount == 0.0
    env.close()


def test_specs_are_the_spaces(env: DmEnv) -> None:
    assert env.observation_spec().shape == (96, 128, 3)
    assert env.action_spec().maximum.tolist() == [1, 1, 1, 1, 6, 1]
    with pytest.raises(ValueError, match="boxes"):
        DmEnv(WorldEnv("toy", actions="dict"))
