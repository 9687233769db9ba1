"""A simulator and its dream, side by side."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tests.models.tiny import tiny_world
from worldloom.client.env import WorldEnv
from worldloom.client.twin import TwinEnv, divergence
from worldloom.models.toy import ToyWorld
from worldloom.models.training.real_env import RealEnv

TURN = np.array([0, 0, 0, 0, 6, 0], np.float32)


class StillSim(gymnasium.Env[np.ndarray, np.ndarray]):
    """Shows one picture, and ends after four frames."""

    observation_space = gymnasium.spaces.Box(0, 255, (32, 48, 3), np.uint8)
    action_space = gymnasium.spaces.Box(-1, 1, (3,))
    closed = False
    frames = 0

    def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
        super().reset(seed=seed)
        self.frames = 0
        return np.full((32, 48, 3), 90, np.uint8), {"options": options}

    def step(self, action):  # type: ignore[no-untyped-def]
        self.frames += 1
        return np.full((32, 48, 3), 90, np.uint8), 0.5, self.frames == 4, False, {"saw": action}

    def close(self) -> None:
        self.closed = True


def test_a_dream_of_itself_does_not_diverge_and_another_does() -> None:
    twin = TwinEnv(WorldEnv("toy"), WorldEnv("toy"))
    both, info = twin.reset(seed=3)
    assert info["divergence"] == {"mean": 0.0, "psnr": math.inf}
    both, *_, info = twin.step(TURN)
    assert (both["real"] == both["dream"]).all()
    shown = twin.render()
    assert shown is not None
    assert shown.shape == (96, 256, 3)
    twin.close()
    turned = TwinEnv(WorldEnv("toy"), WorldEnv("toy"), to_sim=lambda action: -action)
    turned.reset(seed=3)
    apart = [turned.step(TURN)[4]["divergence"]["mean"] for _ in range(3)]
    assert min(apart) > 0.0
    turned.close()


def test_the_dream_begins_with_the_simulators_picture() -> None:
    sim = StillSim()
    twin = TwinEnv(sim, WorldEnv(tiny_world()))
    both, info = twin.reset(seed=1, options={"sim": {"easy": True}})
    assert (both["dream"] == both["real"]).all()
    assert info["real"]["options"] == {"easy": True}
    given = np.full((2, 32, 48, 3), 9, np.uint8)
    assert (twin.reset(seed=1, options={"frames": given})[0]["dream"] == 9).all()
    twin.close()
    assert sim.closed


def test_the_simulator_makes_as_many_frames_as_a_chunk_and_its_end_counts() -> None:
    sim = StillSim()
    twin = TwinEnv(sim, WorldEnv(tiny_world(chunk=3), reward_fn=lambda *_: 7.0))
    twin.reset(seed=1)
    _, reward, terminated, _, info = twin.step(np.zeros(3, np.float32))
    assert (sim.frames, reward, terminated, info["dream_reward"]) == (3, 1.5, False, 7.0)
    _, reward, terminated, _, _ = twin.step(np.zeros(3, np.float32))
    assert (sim.frames, reward, terminated) == (4, 0.5, True)
    twin.close()


def test_pictures_of_another_size_are_refused() -> None:
    world = WorldEnv("toy")
    with pytest.raises(ValueError, match="pictures of the simulator"):
        TwinEnv(StillSim(), world)
    world.close()


def test_divergence_is_known_of_black_and_white() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert divergence(black, white) == {"mean": 1.0, "psnr": 0.0}


def test_an_engine_is_an_environment_too() -> None:
    env = RealEnv("toy", max_frames=3)
    first, info = env.reset(seed=2)
    assert env.observation_space.contains(first)
    assert (env.reset(seed=2)[0] == first).all()
    ends = [env.step(env.action_space.sample())[1:4] for _ in range(3)]
    assert ends == [(0.0, False, False)] * 2 + [(0.0, False, True)]
    assert info["pose"].shape == (2,)
    world = WorldEnv(ToyWorld(height=env.observation_space.shape[0], width=env.observation_space.shape[1]))  # type: ignore[index]
    twin = TwinEnv(env, world)
    twin.reset(seed=0)
    assert twin.step(np.zeros(6, np.float32))[4]["real"]["frame"] == 1
    twin.close()


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space")
@pytest.mark.filterwarnings("ignore:.*alternative render modes")
def test_gymnasium_approves() -> None:
    twin = TwinEnv(WorldEnv("toy"), WorldEnv("toy"))
    check_env(twin)
    twin.close()


@pytest.mark.engines
@pytest.mark.slow
def test_the_arm_and_its_dream() -> None:
    pytest.importorskip("metaworld")
    twin = TwinEnv(RealEnv("arm"), WorldEnv("arm"))
    twin.reset(seed=7)
    forward = np.array([0, 1, 0, 0], np.float32)
    for _ in range(8):
        both, _, terminated, _, info = twin.step(forward)
    assert not terminated
    assert both["real"].mean() > 5.0
    assert info["divergence"]["psnr"] > 20.0
    twin.close()
