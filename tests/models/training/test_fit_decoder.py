"""The decoder stage: latents stay as they are, also of a lean autoencoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from worldloom.models.autoencoder import Autoencoder, to_signed
from worldloom.models.training.clips import Clips
from worldloom.models.training.collect import record_episodes
from worldloom.models.training.fit_autoencoder import fit_autoencoder, load_autoencoder, load_whole
from worldloom.models.training.fit_decoder import fit_decoder
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.simulators import open_simulator

CPU = torch.device("cpu")

pytestmark = pytest.mark.slow  # trains


def recipe_for(*, lean: bool) -> Recipe:
    toy = load_recipe("toy")
    decoder = replace(toy.decoder, steps=40, batch=8, lr=2e-3, lean=lean)
    return replace(toy, autoencoder=replace(toy.autoencoder, steps=20, position=False), decoder=decoder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, recipe = tmp_path_factory.mktemp("decoder"), recipe_for(lean=False)
    record_episodes(open_simulator("toy", recipe.spec.height, recipe.spec.width), 80, 40, 1).save(
        folder / "data" / "train" / "0000"
    )
    fit_autoencoder(recipe, folder, CPU)
    return folder


def latents(model: Autoencoder, folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(
            to_signed(torch.from_numpy(Clips.open(folder / "data" / "train").take(np.arange(0, 80, 5))))
        )


def test_the_whole_ones_encoder_is_left_alone(folder: Path) -> None:
    recipe = recipe_for(lean=False)
    before = load_whole(recipe, folder)
    fit_decoder(recipe, folder, CPU)
    after = load_autoencoder(recipe, folder, CPU)
    assert torch.equal(latents(before, folder), latents(after, folder))
    changed = [
        not torch.equal(a, b) for a, b in zip(before.decoder.parameters(), after.decoder.parameters(), strict=True)
    ]
    assert any(changed)
    (folder / "decoder.pt").unlink()


@pytest.mark.parametrize("position", [False, True])
def test_a_lean_one_learns_to_give_the_same_latents(folder: Path, position: bool) -> None:
    recipe = recipe_for(lean=True)
    recipe = replace(recipe, autoencoder=replace(recipe.autoencoder, position=position))
    (folder / "autoencoder.pt").unlink(missing_ok=True)
    fit_autoencoder(recipe, folder, CPU)
    whole = load_whole(recipe, folder)
    true = latents(whole, folder)
    fit_decoder(recipe, folder, CPU)
    lean = load_autoencoder(recipe, folder, CPU)
    assert lean.config.lean
    assert sum(p.numel() for p in lean.parameters()) < sum(p.numel() for p in whole.parameters())
    fresh = F.mse_loss(latents(whole.leaner(), folder), true)
    assert F.mse_loss(latents(lean, folder), true) < 0.3 * fresh
    assert lean.decode(true).shape == whole.decode(true).shape
    (folder / "decoder.pt").unlink()
