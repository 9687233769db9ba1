"""Beginning from a world: what a run is given is what the world has, and goes on from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldloom.models.catalog import open_world
from worldloom.models.dit import CausalDiT
from worldloom.models.reader import load_reader
from worldloom.models.training.budget import Budget
from worldloom.models.training.fit_autoencoder import load_autoencoder
from worldloom.models.training.fit_detail import load_detail
from worldloom.models.training.fit_dynamics import dit_config, load_dynamics, trainee_of
from worldloom.models.training.fit_low_noise import load_low_noise
from worldloom.models.training.fit_motion import load_motion
from worldloom.models.training.fit_reader import load_read
from worldloom.models.training.loop import read_checkpoint
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.warm import begin_from, revive, thinned

from ..tiny import tiny_dit


def test_a_run_begins_with_the_weights_of_a_world(tmp_path: Path) -> None:
    recipe = load_recipe("doom")
    begin_from("doom", recipe, tmp_path)
    world = open_world("doom", dtype=torch.float32)
    pairs = {
        "autoencoder": (load_autoencoder(recipe, tmp_path, torch.device("cpu")), world.autoencoder),  # type: ignore[attr-defined]
        "dynamics": (load_dynamics(recipe, tmp_path), world.dit),  # type: ignore[attr-defined]
        "motion": (load_motion(recipe, tmp_path), world.outlook.motion),  # type: ignore[attr-defined]
        "detail": (load_detail(recipe, tmp_path), world.outlook.detail),  # type: ignore[attr-defined]
        "low_noise": (load_low_noise(recipe, tmp_path, world.dit), world.low_noise),  # type: ignore[attr-defined]
    }
    for name, (loaded, shipped) in pairs.items():
        for part, other in shipped.state_dict().items():
            one = loaded.state_dict()[part]
            assert torch.equal(one, other.to(one.dtype)) or not other.any(), (
                name,
                part,
            )  # what was zero may be revived
    budget = Budget(1.0)
    read_checkpoint(tmp_path / "motion.pt", budget)
    assert budget.done > 0
    assert budget.finished  # a minute is less than it has been trained


def test_differences_of_another_rank_are_learned_anew(tmp_path: Path) -> None:
    recipe = load_recipe("doom")
    assert recipe.low_noise
    begin_from("doom", replace(recipe, low_noise=replace(recipe.low_noise, rank=8)), tmp_path)
    assert (tmp_path / "dynamics.pt").exists()
    assert not (tmp_path / "low_noise.pt").exists()


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "motion.pt").write_bytes(b"mine")
    begin_from("doom", load_recipe("doom"), tmp_path)
    assert (tmp_path / "motion.pt").read_bytes() == b"mine"


def test_optimisers_begin_anew(tmp_path: Path) -> None:
    recipe = load_recipe("arm")
    begin_from("arm", recipe, tmp_path)
    trainee = trainee_of(recipe, torch.device("cpu"))
    trainee.resume(tmp_path / "dynamics.pt")
    assert not trainee.optimisers["adam"][0].state_dict()["state"]
    assert trainee.budget.done > 0
    assert load_read(recipe, tmp_path).holdout == load_reader().holdout


def test_another_shape_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe("arm")
    wider = replace(recipe, dynamics=replace(recipe.dynamics, width=512))
    with pytest.raises(ValueError, match="dynamics: expected what the recipe says"):
        begin_from("arm", wider, tmp_path)
    with pytest.raises(ValueError, match="a world with weights"):
        begin_from("toy", recipe, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_shallower_run_takes_some_of_the_layers() -> None:
    deep = CausalDiT(replace(tiny_dit().config, layers=6))
    thin = thinned(deep, 4)
    assert thin.config == replace(deep.config, layers=4)
    for one, other in zip(thin.blocks, (deep.blocks[k] for k in (0, 2, 3, 5)), strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), atol=0.0, rtol=0.0)
    for name, part in deep.state_dict().items():
        assert name.startswith("blocks.") or torch.equal(part, thin.state_dict()[name]), name
    assert thinned(deep, 6) is deep
    assert thinned(deep, 1).blocks[0].state_dict().keys() == deep.blocks[0].state_dict().keys()


def test_blocks_that_could_never_learn_are_revived() -> None:
    dit = CausalDiT(dit_config(load_recipe("toy"))).eval()
    with torch.no_grad():
        for block in dit.blocks:
            block.out.weight.zero_()  # type: ignore[union-attr, operator]
    assert revive(dit) == len(dit.blocks)
    assert all(block.out.weight.any() for block in dit.blocks)  # type: ignore[union-attr, operator]
    assert revive(dit) == 0


def test_blocks_that_do_something_are_left_alone() -> None:
    dit = tiny_dit()
    before = [p.detach().clone() for p in dit.parameters()]
    assert revive(dit) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, dit.parameters(), strict=True))
