"""Episodes that are saved, restored and forked, and that begin as they are told."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.tiny import tiny_world
from worldloom.client.env import WorldEnv
from worldloom.streamer.errors import Unsupported


def test_a_restored_episode_dreams_the_same_again() -> None:
    env, other = WorldEnv("toy", max_frames=3), WorldEnv("toy", max_frames=3)
    env.reset(seed=4, options={"goal": "there"})
    env.step(np.array([0, 0, 0, 0, 6, 0], np.float32))
    past = env.snapshot()
    action = np.array([1, 0, 0, 0, -2, 1], np.float32)
    ahead = [env.step(action) for _ in range(2)]
    assert [step[3] for step in ahead] == [False, True]
    for one in (env, other):
        assert (one.restore(past) == past.picture).all()
        again = [one.step(action) for _ in range(2)]
        assert [a[0].tobytes() for a in again] == [b[0].tobytes() for b in ahead]
        assert [a[1:4] for a in again] == [b[1:4] for b in ahead]
    first, info = other.reset(seed=0, options={"state": past})
    assert (first == past.picture).all()
    assert info["frame"] == 0  # a new episode, not the old one
    assert other.step(action)[0].tobytes() == ahead[0][0].tobytes()
    assert other.reset(seed=0, options={"state": past.state})[1]["frame"] == 0
    env.close()
    other.close()


def test_forks_go_their_own_ways() -> None:
    env = WorldEnv("toy")
    env.reset(seed=4)
    forks = env.fork(3)
    left, right = np.array([0, 0, 0, 0, -6, 0], np.float32), np.array([0, 0, 0, 0, 6, 0], np.float32)
    pictures, *_ = forks.step(np.stack([left, right, left]))
    assert (pictures[0] == pictures[2]).all()
    assert not (pictures[0] == pictures[1]).all()
    assert (env.step(right)[0] == pictures[1]).all()
    forks.close()
    env.step(left)  # the engine is still there
    env.close()


def test_an_episode_begins_as_it_is_told() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    env = WorldEnv(tiny_world())
    first, info = env.reset(seed=1, options={"image": picture})
    assert (first == picture).all()
    assert info["frame"] == 0
    frames = np.stack([picture[::-1], picture])
    assert (env.reset(seed=1, options={"frames": frames})[0] == picture).all()
    a = env.step(np.zeros(3, np.float32))[0].tobytes()
    env.reset(seed=1, options={"frames": frames, "context_actions": np.ones((2, 3))})
    assert env.step(np.zeros(3, np.float32))[0].tobytes() != a
    for options, error, message in (
        ({"picture": picture}, ValueError, "expected options"),
        ({"context_actions": np.ones((2, 3))}, ValueError, "expected frames"),
        ({"image": picture.astype(np.float32)}, ValueError, "uint8"),
        ({"prompt": "a castle"}, Unsupported, "prompt"),
    ):
        with pytest.raises(error, match=message):
            env.reset(options=options)
    env.step(np.zeros(3, np.float32))  # the episode before goes on
    env.close()
