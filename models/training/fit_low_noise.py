"""The low-noise stage: what the transformer says once its first denoising step is behind it (see low_noise.py).

A batch goes through as it will when streaming: the first step is the trained transformer's, which is left as it is,
each later one sees what the steps before it made of the noise, and is taught to make the true frame of that. So what is
learned is to mend the steps before, and not to read a true frame through noise, which is never there. What the clips'
contexts leave in the memory is the first step's as well. Knows latents and actions; nothing about pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from ..autoencoder import unit_cells
from ..dit import CausalDiT, Memory
from ..low_noise import LowNoise, LowNoiseConfig
from ..precision import mixed
from ..sampler import sigmas
from .budget import Budget
from .fit_dynamics import clip_shape, load_dynamics, loss_of, memory_of, past_of, two_streams
from .latents import Batch, ClipSource
from .loop import loaded, run_steps
from .moved import mover_of
from .recipe import Recipe
from .rollouts import Rollouts
from .trainee import Trainee


@dataclass
class KeptContexts:
    """A memory of two streams; what the contexts of the first pass look like is kept for passes of targets alone."""

    both: Memory  # of contexts and targets
    kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # by layer: queries and keys, values of contexts

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """See `dit.Memory`."""
        if len(self.kept) == layer:
            half = v.shape[2] // 2
            self.kept.append((qk[..., :half, :], v[..., :half, :]))
            return self.both.attend(layer, qk, v)
        context_qk, context_v = self.kept[layer]
        pairs = torch.cat([context_qk.to(qk), qk], 3), torch.cat([context_v.to(v), v], 2)
        return self.both.attend(layer, *pairs)[:, :, v.shape[2] :]


@dataclass
class Finish:
    """What a batch came to."""

    loss: Tensor  # scalar: of all steps but the first, about 1 is copying
    first: float  # of the frame that the first step alone would have made
    last: float  # of the frame that all steps made
    latents: Tensor  # (B, C, h, w) the frame after each clip's context, as streaming would draw it


def finish(dit: CausalDiT, weights: Mapping[str, Tensor], batch: Batch, noise: Tensor, steps: int) -> Finish:
    """All denoising steps of a batch.

    Args:
        dit: of the first step.
        weights: that it has in the others, by name.
        batch: clips.
        noise: (B, T - 1, C, h, w) that each target begins as.
        steps: at least 2.
    """
    z, target, change, T = batch.context, batch.target, dit.change, batch.context.shape[1] + 1
    at, levels, past = torch.from_numpy(two_streams(T)), sigmas(steps), past_of(batch)
    memory = KeptContexts(memory_of(dit.config, batch, at))

    def error(picture: Tensor) -> Tensor:
        return loss_of((picture - target).square().mean((2, 3, 4)) / change.square(), batch, change)

    with torch.no_grad():
        sigma = torch.cat([torch.zeros(z.shape[:2]), torch.ones(z.shape[:2])], 1).to(z)
        shown, told = torch.cat([past[:, :-1], past[:, 1:]], 1), batch.actions[:, at]
        v = dit(torch.cat([z, noise], 1), shown, sigma, told, memory, finished=T - 1)
        first = error(noise - v).item()
        x = noise + (levels[1] - 1.0) * v
    errors, shown, told = [], past[:, 1:], batch.actions[:, 1:]
    for level, lower in zip(levels[1:-1], levels[2:], strict=True):
        v = functional_call(dit, dict(weights), (x, shown, torch.full(z.shape[:2], level).to(z), told, memory))
        errors.append(error(x - level * v))
        x = (x + (lower - level) * v).detach()
    return Finish(torch.stack(errors).mean(), first, errors[-1].item(), unit_cells(x[:, -1]))


def fit_low_noise(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/low_noise.pt` is the checkpoint and holds the result."""
    r = recipe.low_noise
    assert r is not None, "the recipe has no [low_noise]"
    dit = load_dynamics(recipe, folder).to(device).requires_grad_(False)
    trainee = trainee_of(recipe, dit, device)
    path, budget = folder / "low_noise.pt", trainee.budget
    trainee.resume(path)
    torch.manual_seed(recipe.data.seed + budget.done)
    rng = np.random.default_rng((recipe.data.seed, budget.done))
    source, d = ClipSource(recipe, folder, "train"), recipe.dynamics
    mover = mover_of(recipe, folder, "train", device) if recipe.moves else None
    rollouts = Rollouts(source, d.window, d.rollout_frames, rng, d.rollout_beyond, mover)

    def step() -> dict[str, float]:
        frames, count = clip_shape(recipe, budget.progress)
        own = round(count * d.rollout_share)
        batch = source.draw(budget.done, count - own, frames)
        batch = (batch.beside(rollouts.draw(own, frames)) if own else batch).to(device)
        with mixed(device):
            steps = int(rng.choice(r.takes))
            made = finish(dit, trainee.model.beside(dit), batch, torch.randn_like(batch.context), steps)
        trainee.step(made.loss)
        if own:
            with mixed(device), torch.no_grad():
                rollouts.extend(made.latents[-own:])
        return {"loss": made.loss.item(), "first": made.first, "last": made.last}

    run_steps(f"low noise {recipe.spec.name}", budget, step, lambda: trainee.save(path))


def low_noise_config(recipe: Recipe) -> LowNoiseConfig:
    """The shape that a recipe asks for."""
    assert recipe.low_noise is not None, "the recipe has no [low_noise]"
    return LowNoiseConfig(recipe.low_noise.rank, recipe.low_noise.takes)


def trainee_of(recipe: Recipe, dit: CausalDiT, device: torch.device) -> Trainee[LowNoise]:
    """No differences yet."""
    r = recipe.low_noise
    assert r is not None, "the recipe has no [low_noise]"
    torch.manual_seed(recipe.data.seed)
    model = LowNoise(low_noise_config(recipe), dit).to(device)
    adam = torch.optim.AdamW(model.parameters(), r.lr, betas=(0.9, 0.95), weight_decay=0.0)
    return Trainee(model, {"adam": (adam, r.lr)}, Budget(r.minutes, r.steps), r.ema)


def load_low_noise(recipe: Recipe, folder: Path, dit: CausalDiT) -> LowNoise:
    """The averaged weights, for that transformer.

    Raises:
        FileNotFoundError: the low-noise stage has not run.
    """
    return loaded(LowNoise(low_noise_config(recipe), dit), folder / "low_noise.pt").eval()
