"""Toy recordings that many tests share: drawn in this process, in a second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worldloom.models.training.collect import record_battery, record_episodes
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.scripts import play_script, scripts_of
from worldloom.models.training.simulators import open_simulator


@pytest.fixture(scope="session")
def toy_recipe() -> Recipe:
    return load_recipe("toy")


@pytest.fixture(scope="session")
def recordings(toy_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with all sets, as the collect stage and the evaluation leave them. Read it only.

    Where tests run in several processes, the first of them that is done draws for all.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "toy-run"
    if not shared.exists():
        own = base / "toy-run-of-mine"
        draw(toy_recipe, own)
        try:
            own.rename(shared)
        except OSError:  # another one was faster
            return own
    return shared


def draw(toy_recipe: Recipe, folder: Path) -> None:
    """All sets of the toy, into a folder."""
    data = toy_recipe.data
    simulator = open_simulator("toy", toy_recipe.spec.height, toy_recipe.spec.width)
    for name, frames, seed in (("train", 300, 1), ("holdout", 240, 1_000_001)):
        record_episodes(simulator, frames, data.episode, seed).save(folder / "data" / name / "0000")
    for k, direction in enumerate(data.directions):
        shard = record_battery(simulator, toy_recipe, direction, 2_000_001 + 10_000 * k)
        shard.save(folder / "data" / "battery" / f"{k:04d}")
    for name in scripts_of(toy_recipe):
        play_script(simulator, toy_recipe, name).save(folder / "data" / name / "0000")
