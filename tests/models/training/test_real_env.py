"""The engine as an environment: which task an episode has, and when it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from worldloom.models.training import real_env
from worldloom.models.training.real_env import RealEnv
from worldloom.models.training.recipe import load_recipe

TASKS = ("drawer-open-v3", "button-press-topdown-v3", "pick-place-v3")


class Table:
    """Stands in for an arm's engine: seeds choose the task, and it is done after two frames."""

    def __init__(self, tasks: int) -> None:
        self.tasks, self.frames, self.seed = tasks, 0, -1

    def reset(self, seed: int) -> None:
        self.frames, self.seed = 0, seed

    def act(self, row: Any) -> bool:
        self.frames += 1
        return False

    def observe(self) -> Any:
        pose = np.zeros(10, np.float32)
        pose[8:] = self.frames >= 2, self.seed % self.tasks
        return np.zeros((128, 128, 3), np.uint8), pose


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("arm")
    recipe = replace(recipe, data=replace(recipe.data, tasks=TASKS))
    monkeypatch.setattr(real_env, "load_recipe", lambda name: recipe)
    monkeypatch.setattr(real_env, "simulator_of", lambda recipe, name: Table(len(recipe.data.tasks)))


@pytest.mark.usefixtures("tables")
def test_every_episode_has_the_task_that_was_asked_for() -> None:
    for number, task in enumerate(TASKS):
        env = RealEnv("arm", task=task)
        kinds = {env.reset(seed=seed)[1]["pose"][9] for seed in range(4)}
        kinds |= {env.reset()[1]["pose"][9] for _ in range(4)}
        assert kinds == {number}


@pytest.mark.usefixtures("tables")
def test_seeds_take_turns_where_none_was_asked_for() -> None:
    env = RealEnv("arm")
    assert [env.reset(seed=seed)[1]["pose"][9] for seed in range(3)] == [0, 1, 2]


@pytest.mark.usefixtures("tables")
def test_an_episode_ends_when_its_task_is_done() -> None:
    env = RealEnv("arm", task=TASKS[1])
    env.reset(seed=0)
    ends = [env.step(np.zeros(4, np.float32))[1:4] for _ in range(2)]
    assert ends == [(0.0, False, False), (1.0, True, False)]


@pytest.mark.usefixtures("tables")
def test_a_task_that_the_recipe_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a task of arm .drawer-open-v3, .*got soccer"):
        RealEnv("arm", task="soccer")
