"""Beginning from a world that is there already: its weights as the checkpoints that a run would have left.

What each part was trained before counts as spent, so a run goes on as if it had been stopped there; what the optimisers
remember is not in a world and begins anew. Blocks that can never do anything, for they and their gates are zero, get
weights with which they can learn. A recipe with fewer layers takes some of a deeper world's. Knows files of worlds and
of checkpoints; nothing about training.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..catalog import weights_file
from ..dit import Block, CausalDiT
from ..hand_view import HandOutlook
from ..low_noise import LowNoise
from ..reader import save_reader
from ..weights import load_world, read_table
from ..world import DiTWorld
from .budget import Budget
from .fit_autoencoder import autoencoder_config
from .fit_detail import detail_config
from .fit_dynamics import dit_config
from .fit_low_noise import low_noise_config
from .fit_reader import FILE
from .hands import hand_configs
from .loop import write_checkpoint
from .recipe import Recipe
from .walks import motion_config


def begin_from(source: str, recipe: Recipe, folder: Path) -> None:
    """Write the checkpoints that `folder` lacks.

    Args:
        source: a world that ships, or a path to a `.safetensors` file.
        recipe: what is going to be trained.
        folder: of the run.

    Raises:
        ValueError: that world is not made of weights, or its parts have other shapes than the recipe's.
    """
    path = weights_file(source)
    if path is None or not path.is_file():
        raise ValueError(f"expected a world with weights to begin from, got {source!r}; try one that ships, or a file")
    world, trained = load_world(path, device="cpu", dtype=torch.float32), read_table(path).get("trained", {})
    dit = thinned(world.dit, recipe.dynamics.layers)
    if dit is not world.dit or world.low_noise and not _fits(recipe, world.low_noise):
        world.low_noise = None  # differences of another network, or of other shapes: they are learned anew
    _check(recipe, world, dit)
    torch.manual_seed(recipe.data.seed)
    revive(dit)
    for stage, part in (_parts(world) | {"dynamics": dit}).items():
        file = folder / f"{stage}.pt"
        if not file.exists():
            seen = trained.get(stage, {})
            budget = Budget(0.0, spent_s=60.0 * seen.get("minutes", 0.0), done=seen.get("steps", 0))
            write_checkpoint(file, _state(part), budget)
    if isinstance(world.outlook, HandOutlook) and not (folder / FILE).exists():
        save_reader(world.outlook.reader, folder / FILE)


@torch.no_grad()
def revive(dit: CausalDiT) -> int:
    """Draw anew what leaves blocks where it and its gate are zero, for then neither has a gradient; returns how many.

    What the network says does not change: the gates are still zero.
    """
    if dit.modulate.weight.any() or dit.modulate.bias.any():
        return 0
    blocks = [block for block in dit.blocks if isinstance(block, Block) and not block.table.any()]
    dead = [layer for block in blocks for layer in (block.out, block.down) if not layer.weight.any()]
    for layer in dead:
        layer.reset_parameters()
    return len(dead)


def thinned(dit: CausalDiT, layers: int) -> CausalDiT:
    """The same network where it has no more layers than that; else one with some of its blocks.

    These are spread evenly, the first and the last among them (LayerDrop, arXiv 1909.11556). What is left predicts
    badly, and learns what was lost sooner than a network that begins with nothing.
    """
    deep = dit.config.layers
    if deep <= layers:
        return dit
    kept = [round(k * (deep - 1) / max(1, layers - 1)) for k in range(layers)]
    thin = deepcopy(dit)
    thin.config = replace(dit.config, layers=layers)
    thin.blocks = nn.ModuleList(thin.blocks[k] for k in kept)
    return thin


def _parts(world: DiTWorld) -> dict[str, nn.Module]:
    """What each stage leaves. The decoder's checkpoint holds a whole autoencoder."""
    parts: dict[str, nn.Module] = {"decoder": world.autoencoder, "dynamics": world.dit}
    if world.low_noise:
        parts["low_noise"] = world.low_noise
    if world.outlook:
        parts |= world.outlook.parts
    return parts


def _fits(recipe: Recipe, low_noise: LowNoise) -> bool:
    return recipe.low_noise is not None and low_noise.config == low_noise_config(recipe)


def _state(part: nn.Module) -> dict[str, Any]:
    weights = {name: value.detach().clone() for name, value in part.state_dict().items()}
    return {"model": weights, "average": {name: weights[name].clone() for name, _ in part.named_parameters()}}


def _check(recipe: Recipe, world: DiTWorld, dit: CausalDiT) -> None:
    wanted = {"autoencoder": autoencoder_config(recipe, lean=recipe.decoder.lean), "dynamics": dit_config(recipe)}
    found: dict[str, object] = {"autoencoder": world.autoencoder.config, "dynamics": dit.config}
    if recipe.moves:
        wanted |= {"detail": detail_config(recipe)}
        wanted |= {"motion": motion_config(recipe)} if recipe.motion else hand_configs(recipe)
        found |= {name: part.config for name, part in world.outlook.parts.items()} if world.outlook else {}
    for stage, config in wanted.items():
        if found.get(stage) != config:
            raise ValueError(f"{stage}: expected what the recipe says, {config}; got {found.get(stage)} in the world")
