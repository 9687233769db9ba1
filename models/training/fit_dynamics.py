"""The dynamics stage: teach the diffusion transformer to make the next frame from true frames and actions.

Teacher forcing in two streams. A clip of T frames enters twice: once clean (frames 0..T-2, the context, what the cache
will hold when streaming) and once noisy (frames 1..T-1, the targets). A target sees the context before it and itself,
so every target of a clip is trained in one pass. A share of the clips has the network's own frames as context, which
makes it mend its mistakes (see rollouts.py). Knows latents and actions; nothing about pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import unit_cells
from ..dit import CausalDiT, DiTConfig, precondition
from ..memory import TwoStreamMemory
from ..precision import mixed
from ..rope import Rotary, rotary
from ..two_streams import two_stream_attention
from .budget import Budget
from .latents import Batch, ClipSource
from .loop import loaded, run_steps
from .moved import mover_of
from .muon import Muon
from .recipe import Recipe
from .rollouts import Rollouts
from .trainee import Trainee

PURE_SHARE = 0.7  # share of targets that start from pure noise, as every sampled frame does
SPREAD = 0.5  # of the others around a sampler's level: standard deviation of log(noise / picture)


def dit_config(recipe: Recipe) -> DiTConfig:
    """The shape that a recipe asks for."""
    r, spec = recipe.dynamics, recipe.spec
    return DiTConfig(
        channels=recipe.autoencoder.channels,
        rows=spec.height // 16,
        columns=spec.width // 16,
        actions=len(spec.actions.columns),
        width=r.width,
        layers=r.layers,
        heads=r.heads,
        patch=r.patch,
        stem=r.stem,
        history=r.history,
        moves=recipe.moves,
        recalls=r.keyframes > 0,
        fov=r.fov if r.azimuth else 0.0,
    )


def two_streams(frames: int) -> NDArray[np.int64]:
    """Frame indices (2T - 2,) of contexts, then targets."""
    return np.concatenate([np.arange(frames - 1), np.arange(1, frames)])


@dataclass
class Attempt:
    """What the network made of a batch."""

    loss: Tensor  # scalar: weighted mean squared error of the velocity of every target frame; about 1 is copying
    noise: Tensor  # (B, C, h, w) what the last target was hidden in
    velocity: Tensor  # (B, C, h, w) of the last target; at noise level 1 where `dreamed`

    def last(self, count: int) -> Attempt:
        """Of the last clips only."""
        return Attempt(self.loss, self.noise[-count:], self.velocity[-count:])


def attempt(model: Any, config: DiTConfig, batch: Batch, levels: Sequence[float] = ()) -> Attempt:
    """How far the network is from the true frames.

    Args:
        model: the network, perhaps compiled.
        config: its shape.
        batch: clips.
        levels: noise levels between 1 and 0 that the sampler visits; about these the network is trained besides 1.
    """
    z, device, change = batch.context, batch.context.device, model.change
    B, T = z.shape[0], z.shape[1] + 1
    sigma = some_levels((B, T - 1), levels, device)
    sigma[:, -1] = torch.where(batch.dreamed, 1.0, sigma[:, -1])
    noise = torch.randn_like(z)
    s = sigma[..., None, None, None]
    target = (1 - s) * batch.target + s * noise
    at = torch.from_numpy(two_streams(T))
    past = past_of(batch)
    velocity = model(
        torch.cat([z, target], 1),
        torch.cat([past[:, :-1], past[:, 1:]], 1),
        torch.cat([torch.zeros_like(sigma), sigma], 1),
        batch.actions[:, at],
        memory_of(config, batch, at),
        finished=T - 1,
    )
    weight = precondition(sigma, change)[3]
    loss = loss_of((weight * (velocity - (noise - batch.target)).square()).mean((2, 3, 4)), batch, change)
    return Attempt(loss, noise[:, -1], velocity[:, -1].detach())


def loss_of(errors: Tensor, batch: Batch, change: Tensor) -> Tensor:
    """One number of errors (B, T - 1), squared and in changes from frame to frame."""
    error = mean_of_known(errors, batch.counts)
    # Context that went astray is far from its target, and would drown the clips that can be learnt.
    astray = mean_of_known((batch.context - batch.target).square().mean((2, 3, 4)), batch.counts) / change.square()
    return (error / torch.where(batch.dreamed | batch.faded, astray.clamp(min=1.0), 1.0)).mean()


def some_levels(shape: tuple[int, int], levels: Sequence[float], device: torch.device) -> Tensor:
    """Noise levels to train at: mostly 1, the others about those of the sampler."""
    ones = torch.ones(shape, device=device)
    if not levels:
        return ones
    middle = torch.tensor(levels, device=device)[torch.randint(len(levels), shape, device=device)].logit()
    sigma = torch.sigmoid(middle + SPREAD * torch.randn(shape, device=device))
    return torch.where(torch.rand(shape, device=device) < PURE_SHARE, ones, sigma)


def memory_of(config: DiTConfig, batch: Batch, at: Tensor, skipped: int = 0) -> TwoStreamMemory:
    """What the frames `at` of a batch may look at."""
    device = batch.context.device
    cos, sin = rotary(config.rope, at.double().expand(len(batch.context), -1), batch.yaw.cpu()[:, at])
    return TwoStreamMemory((cos[:, None].to(device), sin[:, None].to(device)), config.tokens, skipped, _uncompiled())


@cache
def _uncompiled() -> Callable[[Tensor, Tensor, Rotary, int], Tensor]:
    """Attention that the compiler leaves alone: written out for every frame of every layer it takes minutes to compile.

    Made when it is first needed, for that loads the compiler.
    """
    apart = torch.compiler.disable(two_stream_attention)  # type: ignore[no-untyped-call]
    return cast(Callable[[Tensor, Tensor, Rotary, int], Tensor], apart)


@torch.no_grad()
def sample_last(model: Any, config: DiTConfig, batch: Batch, tried: Attempt, sigmas: Sequence[float]) -> Tensor:
    """(B, C, h, w) the frame after each clip's context as streaming would draw it, from the first step that was tried.

    The later steps look at the contexts and one target only.
    """
    z, T = batch.context, batch.context.shape[1] + 1
    at = torch.arange(T)
    past, memory = past_of(batch), memory_of(config, batch, at, skipped=T - 2)
    x = tried.noise + (sigmas[1] - 1.0) * tried.velocity
    for level, lower in zip(sigmas[1:-1], sigmas[2:], strict=True):
        sigma = torch.zeros(len(z), T, device=z.device)
        sigma[:, -1] = level
        frames = torch.cat([z, x[:, None]], 1)
        x = x + (lower - level) * model(frames, past[:, :T], sigma, batch.actions[:, at], memory)[:, -1]
    return unit_cells(x)


def mean_of_known(values: Tensor, counts: Tensor) -> Tensor:
    """(B, T - 1) -> (B,) mean over the targets that count."""
    return (values * counts).sum(1) / counts.sum(1)


def past_of(batch: Batch) -> Tensor:
    """(B, T, 2 or 3, C, h, w) finished frames before each frame of the clips and the keyframe, as when streaming."""
    frames = torch.cat([batch.lead, batch.context], 1)  # frames -2..T-2
    last, before = frames[:, 1:], frames[:, :-1]
    if batch.moved.shape[2]:
        return torch.cat([batch.moved, last[:, :, None], batch.recalled], 2)
    # At the beginning of a stream there is nothing before frame 0, and frame 0 counts as its own past.
    begins = batch.begins[:, None, None, None]
    before = torch.cat([before[:, :1], torch.where(begins, last[:, 1], before[:, 1])[:, None], before[:, 2:]], 1)
    return torch.cat([torch.stack([last, before], 2), batch.recalled], 2)


def trainee_of(recipe: Recipe, device: torch.device) -> Trainee[CausalDiT]:
    """Random weights."""
    r = recipe.dynamics
    torch.manual_seed(recipe.data.seed)
    model = CausalDiT(dit_config(recipe)).to(device)
    names = {n for n, p in model.named_parameters() if n.startswith("blocks.") and n.endswith("weight") and p.ndim == 2}
    matrices = [p for n, p in model.named_parameters() if n in names]
    rest = [p for n, p in model.named_parameters() if n not in names]
    adam = torch.optim.AdamW(rest, r.lr_adam, betas=(0.9, 0.95), weight_decay=0.0)
    optimisers = {"muon": (Muon(matrices, r.lr_muon), r.lr_muon), "adam": (adam, r.lr_adam)}
    return Trainee(model, optimisers, Budget(r.minutes, r.steps), r.ema)


def fit_dynamics(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/dynamics.pt` is the checkpoint and holds the result."""
    r, config = recipe.dynamics, dit_config(recipe)
    source = ClipSource(recipe, folder, "train")
    trainee = trainee_of(recipe, device)
    trainee.model.change.fill_(source.change())
    path = folder / "dynamics.pt"
    trainee.resume(path)
    model: Any = torch.compile(trainee.model) if r.compile else trainee.model
    budget = trainee.budget
    rng = np.random.default_rng((recipe.data.seed, budget.done))
    mover = mover_of(recipe, folder, "train", device) if recipe.moves else None
    rollouts = Rollouts(source, r.window, r.rollout_frames, rng, r.rollout_beyond, mover)

    def step() -> dict[str, float]:
        frames, count = clip_shape(recipe, budget.progress)
        own = round(count * r.rollout_share)
        batch = source.draw(budget.done, count - own, frames)
        batch = batch.beside(rollouts.draw(own, frames)) if own else batch
        with mixed(device):
            batch = batch.to(device)
            tried = attempt(model, config, batch, r.sigmas[1:-1])
        trainee.step(tried.loss)
        if own:
            with mixed(device):
                rollouts.extend(sample_last(model, config, batch.last(own), tried.last(own), r.sigmas))
        return {"loss": tried.loss.item()}

    run_steps(f"dynamics {recipe.spec.name}", budget, step, lambda: trainee.save(path))


def clip_shape(recipe: Recipe, progress: float) -> tuple[int, int]:
    """(frames, batch) now: short clips first, clips as long as the window for the last part."""
    r = recipe.dynamics
    if progress < r.long_from:
        return r.frames, r.batch
    long = r.window + 1
    return long, max(1, round(r.batch * (r.frames - 1) / (long - 1)))


def load_dynamics(recipe: Recipe, folder: Path) -> CausalDiT:
    """The averaged weights.

    Raises:
        FileNotFoundError: the dynamics stage has not run.
    """
    return loaded(CausalDiT(dit_config(recipe)), folder / "dynamics.pt").eval()
