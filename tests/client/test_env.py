"""A world as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from worldloom.client.env import WorldEnv
from worldloom.client.hooks import NearGoal
from worldloom.models.catalog import shipped_worlds
from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.errors import ModelFault

WORLDS = ("toy", *(pytest.param(name, marks=pytest.mark.slow) for name in shipped_worlds()))


class FaultyWorld(ToyWorld):
    """Fails at its third step."""

    steps = 0

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("the device is gone")
        return super().step(states, actions)


@pytest.fixture
def env() -> Iterator[WorldEnv]:
    made = WorldEnv("toy", max_frames=5)
    yield made
    made.close()


@pytest.mark.parametrize("name", WORLDS)
def test_gymnasium_approves(name: str) -> None:
    env = gymnasium.make(f"worldloom/{name.capitalize()}-v0", render_mode="rgb_array")
    try:
        check_env(env.unwrapped)
    finally:
        env.close()


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space")  # a recommendation; ranges are the world's own
@pytest.mark.filterwarnings("ignore:.*alternative render modes")  # nothing is registered, so there is no spec to vary
def test_gymnasium_approves_of_the_worlds_own_units(name: str) -> None:
    env = WorldEnv(name, render_mode="rgb_array")
    try:
        check_env(env)
    finally:
        env.close()


@pytest.mark.parametrize("name", WORLDS)
def test_same_seed_and_actions_give_the_same_bytes(name: str) -> None:
    env = WorldEnv(name)
    try:
        assert play(env, seed=3) == play(env, seed=3)
        assert play(env, seed=3) != play(env, seed=4)
    finally:
        env.close()


def test_spaces_come_from_the_world(env: WorldEnv) -> None:
    spec = ToyWorld().spec
    assert env.columns == spec.actions.columns
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    assert (env.action_space.low == spec.actions.low).all()
    assert (env.action_space.high == spec.actions.high).all()
    assert env.action_space.dtype == np.float32
    assert env.observation_space.shape == (spec.height, spec.width, 3)
    assert env.metadata["render_fps"] == 20.0


def test_an_episode_is_truncated_and_never_terminates(env: WorldEnv) -> None:
    env.reset(seed=0)
    ends = [env.step(np.zeros(6, np.float32))[1:4] for _ in range(5)]
    assert ends == [(0.0, False, False)] * 4 + [(0.0, False, True)]


def test_the_environment_shows_what_the_world_makes(env: WorldEnv) -> None:
    world = ToyWorld()
    state = world.start(seed=9)
    first, _ = env.reset(seed=9)
    assert (first == world.step([state], neutral())[0, 0]).all()
    action = np.array([1, 0, 0, 0, 3, 0.5], np.float32)
    picture, *_ = env.step(action)
    assert (picture == world.step([state], action[None, None])[0, 0]).all()


def test_an_action_is_clipped_to_its_range(env: WorldEnv) -> None:
    env.reset(seed=1)
    wild, *_ = env.step(np.array([9, 0, 0, 0, -99, 0], np.float32))
    env.reset(seed=1)
    tame, *_ = env.step(np.array([1, 0, 0, 0, -6, 0], np.float32))
    assert (wild == tame).all()


@pytest.mark.parametrize("action", [np.zeros(5, np.float32), np.full(6, np.nan, np.float32)])
def test_an_action_that_is_none_is_refused(env: WorldEnv, action: NDArray[np.float32]) -> None:
    env.reset(seed=1)
    with pytest.raises(ValueError, match="expected 6 finite numbers"):
        env.step(action)
    env.step(np.zeros(6, np.float32))  # and the episode goes on


def test_every_picture_is_an_array_of_its_own() -> None:
    env = WorldEnv("toy", render_mode="rgb_array")
    first, _ = env.reset(seed=2)
    kept = first.copy()
    second, _, _, _, info = env.step(np.array([0, 0, 0, 0, 6, 0], np.float32))
    assert (first == kept).all()
    second[:] = 0
    assert info["frames"].any()
    shown = env.render()
    assert shown is not None
    assert shown.any()
    env.close()


def test_a_step_is_a_chunk_and_the_action_is_held() -> None:
    world = ToyWorld(chunk=3, fps=Fraction(30))
    env = WorldEnv(world, max_frames=6)
    env.reset(seed=5)
    action = np.array([0, 0, 0, 0, 2, 0], np.float32)
    picture, _, _, truncated, info = env.step(action)
    state = world.start(seed=5)
    world.step([state], np.zeros((1, 3, 6), np.float32))
    want = world.step([state], np.repeat(action[None, None], 3, 1))[0]
    assert (info["frames"] == want).all()
    assert (picture == want[-1]).all()
    assert (info["frame"], truncated) == (3, False)
    assert env.step(action)[3] is True
    env.close()


def test_stepping_before_a_reset_is_refused(env: WorldEnv) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(6, np.float32))


def test_a_fault_of_the_world_reaches_the_loop() -> None:
    env = WorldEnv(FaultyWorld())
    env.reset(seed=0)
    env.step(np.zeros(6, np.float32))
    with pytest.raises(ModelFault):
        env.step(np.zeros(6, np.float32))
    env.close()


def test_closing_twice_is_allowed_and_frees_the_state() -> None:
    released: list[int] = []

    class Counted(ToyWorld):
        def release(self, state: ToyState) -> None:
            released.append(id(state))
            super().release(state)

    env = WorldEnv(Counted())
    env.reset(seed=0)
    env.reset(seed=1)
    env.step(np.zeros(6, np.float32))
    env.close()
    env.close()
    assert len(released) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"world": "nowhere"}, "no world named"),
        ({"world": "toy", "render_mode": "human"}, "render_mode"),
        ({"world": "toy", "max_frames": 0}, "max_frames"),
        ({"world": "toy", "name": "doom"}, "expected no name"),
    ],
)
def test_a_wrong_option_is_explained(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WorldEnv(**options)  # type: ignore[arg-type]


def test_an_episode_begins_at_a_scene_by_its_name() -> None:
    started: list[int] = []

    class Named(ToyWorld):
        def start(self, *, seed: int, **options: Any) -> ToyState:
            started.append(seed)
            return super().start(seed=seed, **options)

    world = Named()
    world.spec = replace(world.spec, scenes=("hall", "cellar", "attic"))
    env = WorldEnv(world)
    assert env.scenes == ("hall", "cellar", "attic")
    for seed in (0, 1, 7, 100):
        env.reset(seed=seed, options={"scene": "cellar"})
    assert started == [1, 1, 7, 100], "the nearest seed that begins there"
    env.reset(seed=9, options={"scene": "attic"})
    assert started[-1] == 8
    with pytest.raises(ValueError, match=r"expected a scene of toy \(hall, cellar, attic\), got 'garden'"):
        env.reset(seed=0, options={"scene": "garden"})
    env.close()


def test_an_episode_is_as_long_as_those_that_the_world_learned_from() -> None:
    world = ToyWorld()
    world.spec = replace(world.spec, horizon=7)
    env = WorldEnv(world)
    assert env.max_frames == 7
    env.close()
    assert WorldEnv("toy").max_frames == 1000


def test_actions_as_buttons_and_axes_are_the_same_rows() -> None:
    rows, parts = WorldEnv("toy"), WorldEnv("toy", actions="dict")
    rows.reset(seed=1)
    parts.reset(seed=1)
    buttons, axes = np.array([1, 0, 0, 1], np.int8), np.array([-0.5, 2.0], np.float32)
    assert parts.action_space.contains({"buttons": buttons, "axes": axes.clip(-1, 1)})
    a, *_ = rows.step(np.array([1, 0, 0, 1, -3.0, 1.0], np.float32))
    b, *_ = parts.step({"buttons": buttons, "axes": axes})
    assert (a == b).all()
    with pytest.raises(ValueError, match="finite numbers"):
        parts.step({"axes": axes})


def test_hooks_see_both_pictures_the_action_and_the_goal() -> None:
    seen: list[tuple[Any, ...]] = []

    def reward(obs: Any, action: Any, next_obs: Any, goal: Any) -> float:
        seen.append(tuple(np.copy(one) for one in (obs, action, next_obs, goal)))
        return 2.5

    env = WorldEnv("toy", reward_fn=reward, terminated_fn=lambda obs, action, next_obs, goal: action[0] == goal)
    first, _ = env.reset(seed=1, options={"goal": 1.0})
    assert not seen
    action = np.array([0.5, 0, 0, 0, 4, 0], np.float32)
    second, got, terminated, truncated, _ = env.step(action)
    assert (got, terminated, truncated) == (2.5, False, False)
    for told, expected in zip(seen[0], (first, action, second, 1.0), strict=True):
        np.testing.assert_array_equal(told, expected)
    assert env.step(np.array([1, 0, 0, 0, 0, 0], np.float32))[2] is True
    env.close()


def test_a_goal_picture_rewards_likeness() -> None:
    env = WorldEnv("toy", reward_fn=NearGoal())
    goal, _ = env.reset(seed=1)
    env.reset(seed=1, options={"goal": goal})
    assert env.step(np.zeros(6, np.float32))[1] == 0.0
    assert env.step(np.array([0, 0, 0, 0, 6, 0], np.float32))[1] < 0.0
    env.close()


@pytest.mark.skipif("arm" not in shipped_worlds(), reason="arm is not installed")
def test_info_tells_of_time_and_drift() -> None:
    env = WorldEnv("arm")
    _, info = env.reset(seed=0)
    assert info["timing"].compute_ms > 0.0
    assert 0.0 <= info["drift"] < 0.2  # a first frame looks as the recordings do
    env.close()


def neutral() -> NDArray[np.float32]:
    return np.zeros((1, 1, 6), np.float32)


def play(env: WorldEnv, *, seed: int) -> bytes:
    """Eight steps of seeded actions, as bytes."""
    rng = np.random.default_rng(0)
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    first, _ = env.reset(seed=seed)
    pictures = [first]
    for _ in range(8):
        row = space.low + (space.high - space.low) * rng.random(space.shape)
        pictures.append(env.step(row.astype(np.float32))[0])
    return b"".join(picture.tobytes() for picture in pictures)
