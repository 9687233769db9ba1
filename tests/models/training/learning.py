"""How much better a trained network foretells held-out frames than a fresh one."""

from __future__ import annotations

from pathlib import Path

import torch

from worldloom.models.training.fit_dynamics import attempt, dit_config, load_dynamics, trainee_of
from worldloom.models.training.latents import ClipSource
from worldloom.models.training.recipe import Recipe


def held_out_loss(recipe: Recipe, folder: Path) -> tuple[float, float]:
    """The dynamics' loss on the same held-out clips: with random weights, and with those of a run. 1 is copying."""
    trained = load_dynamics(recipe, folder)
    fresh = trainee_of(recipe, torch.device("cpu")).model
    fresh.change.copy_(trained.change)
    batch = ClipSource(recipe, folder, "holdout").draw(0, 32, recipe.dynamics.window)
    losses = []
    for model in (fresh, trained):
        torch.manual_seed(0)
        with torch.inference_mode():
            losses.append(attempt(model, dit_config(recipe), batch).loss.item())
    return losses[0], losses[1]
