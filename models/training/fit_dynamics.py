"""The dynamics stage: teach the diffusion transformer to make the next frame from true frames and actions.

Teacher forcing in two streams. A clip of T frames enters twice: once nearly clean (frames 0..T-2, the context, what
the cache will hold when streaming) and once noisy (frames 1..T-1, the targets). A target sees the context before it
and itself, so every target of a clip is trained in one pass. Context carries a little noise whose level is told to
the network, which makes it forgive its own mistakes later. Knows latents and actions; nothing about pixels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from ..dit import CausalDiT, DiTConfig, precondition
from ..memory import TwoStreamMemory
from ..rope import rotary
from .budget import Budget
from .clips import Clips
from .muon import Muon
from .recipe import Recipe

SAVE_EVERY_S = 180.0  # seconds between checkpoints
MAX_CONTEXT_SIGMA = 0.2  # strongest noise on the context in training; never more than a frame changes by
CLEAN_SHARE = 0.25  # share of clips whose context carries no noise at all
PURE_SHARE = 0.3  # share of targets that start from pure noise, as every sampled frame does
SPREAD = 1.2  # standard deviation of the logarithm of the noise-to-picture ratio of the other targets
ABOVE = 1.0  # its mean lies this far above the logarithm of the typical change: finer noise hides nothing


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
        fov=r.fov if r.azimuth else 0.0,
    )


def normal_actions(recipe: Recipe, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., A) action rows with every column brought to about [-1, 1]."""
    spec = recipe.spec.actions
    return np.asarray(rows / np.maximum(np.abs(spec.low), np.abs(spec.high)), np.float32)


@dataclass
class Batch:
    """Clips of T frames."""

    latents: Tensor  # (B, T, C, h, w)
    actions: Tensor  # (B, T, A), the ones that led to each frame, normalised
    yaw: Tensor  # (B, T) degrees turned since the clip began, float64


class ClipSource:
    """Draws random clips of latents; the same seed and step give the same clips."""

    def __init__(self, recipe: Recipe, folder: Path, name: str) -> None:
        clips = Clips.open(folder / "data" / name)
        self.latents = np.load(folder / f"latents-{name}.npy", mmap_mode="r")
        self.actions = normal_actions(recipe, clips.leading)
        self.clips = clips
        turn = recipe.dynamics.azimuth
        column = recipe.spec.actions.columns.index(turn) if turn else -1
        self.turned = np.cumsum(clips.leading[:, column].astype(np.float64)) if turn else np.zeros(len(clips))
        self.seed = recipe.data.seed

    def change(self) -> float:
        """Root-mean-square change of a latent number from one frame to the next."""
        starts = self.clips.windows(2)
        at = starts[np.linspace(0, len(starts) - 1, min(2_000, len(starts))).astype(np.int64)]
        step = self.latents[at + 1].astype(np.float32) - self.latents[at].astype(np.float32)
        return float(np.sqrt(np.mean(step**2)))

    def draw(self, step: int, batch: int, frames: int) -> Batch:
        """`batch` clips of `frames` frames."""
        starts = self.clips.windows(frames)
        chosen = np.random.default_rng((self.seed, step)).choice(starts, batch)
        at = chosen[:, None] + np.arange(frames)
        return Batch(
            torch.from_numpy(self.latents[at].astype(np.float32)),
            torch.from_numpy(self.actions[at]),
            torch.from_numpy(self.turned[at] - self.turned[at[:, :1]]),
        )


def two_streams(frames: int) -> NDArray[np.int64]:
    """Frame indices (2T - 2,) of contexts, then targets."""
    return np.concatenate([np.arange(frames - 1), np.arange(1, frames)])


def loss_of(model: Any, config: DiTConfig, batch: Batch) -> Tensor:
    """Weighted mean squared error of the velocity of every target frame; 1 is what copying the last frame gives."""
    B, T = batch.latents.shape[:2]
    z, device, change = batch.latents, batch.latents.device, model.change
    strength = torch.rand(B, 1, device=device).square() * change.clamp(max=MAX_CONTEXT_SIGMA)
    strength = (strength * (torch.rand(B, 1, device=device) > CLEAN_SHARE)).expand(B, T)
    noisy = mixed(z, strength)
    sigma = torch.sigmoid(torch.randn(B, T - 1, device=device) * SPREAD + change.log() + ABOVE)
    sigma = torch.where(torch.rand_like(sigma) < PURE_SHARE, torch.ones_like(sigma), sigma)
    noise = torch.randn_like(z[:, 1:])
    s = sigma[..., None, None, None]
    target = (1 - s) * z[:, 1:] + s * noise
    before = torch.cat([torch.zeros_like(noisy[:, :1]), noisy[:, :-1]], 1)
    at = torch.from_numpy(two_streams(T))
    cos, sin = rotary(config.rope, at.double().expand(B, -1), batch.yaw.cpu()[:, at])
    memory = TwoStreamMemory((cos[:, None].to(device), sin[:, None].to(device)), config.tokens)
    velocity = model(
        torch.cat([noisy[:, :-1], target], 1),
        torch.cat([before[:, :-1], noisy[:, :-1]], 1),
        torch.cat([strength[:, :-1], sigma], 1),
        batch.actions[:, at],
        memory,
    )
    weight = precondition(sigma, change)[3]
    return (weight * (velocity[:, T - 1 :] - (noise - z[:, 1:])).square()).mean()


def mixed(z: Tensor, sigma: Tensor) -> Tensor:
    """Latents (B, F, C, h, w) with noise at level sigma (B, F)."""
    s = sigma[..., None, None, None]
    return (1 - s) * z + s * torch.randn_like(z)


@dataclass
class Trainee:
    """Everything that a checkpoint holds."""

    model: CausalDiT
    average: dict[str, Tensor]  # exponential moving average of the weights: what ships
    muon: Muon
    adam: torch.optim.AdamW
    budget: Budget

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device) -> Trainee:
        """Random weights."""
        r = recipe.dynamics
        torch.manual_seed(recipe.data.seed)
        model = CausalDiT(dit_config(recipe)).to(device)
        names = {
            n for n, p in model.named_parameters() if n.startswith("blocks.") and n.endswith("weight") and p.ndim == 2
        }
        rest = [p for n, p in model.named_parameters() if n not in names]
        return cls(
            model,
            {n: p.detach().clone() for n, p in model.named_parameters()},
            Muon([p for n, p in model.named_parameters() if n in names], r.lr_muon),
            torch.optim.AdamW(rest, r.lr_adam, betas=(0.9, 0.95), weight_decay=0.0),
            Budget(r.minutes, r.steps),
        )

    def step(self, loss: Tensor, recipe: Recipe) -> None:
        """Gradients, both optimisers, the average."""
        r, rate = recipe.dynamics, self.budget.rate
        for optimiser, peak in ((self.muon, r.lr_muon), (self.adam, r.lr_adam)):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.muon.step()
        self.adam.step()
        keep = min(r.ema, 1.0 - 10.0 / (self.budget.done + 11.0))
        with torch.no_grad():
            weights = [p.detach() for _, p in self.model.named_parameters()]
            torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - keep)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        partial = path.with_suffix(".partial")
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
            "spent_s": self.budget.spent_s,
            "done": self.budget.done,
        }
        torch.save(state, partial)
        partial.rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not path.exists():
            return
        device = next(self.model.parameters()).device
        state = torch.load(path, map_location=device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.budget.spent_s, self.budget.done = state["spent_s"], state["done"]


def fit_dynamics(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/dynamics.pt` is the checkpoint and holds the result."""
    r, config = recipe.dynamics, dit_config(recipe)
    source = ClipSource(recipe, folder, "train")
    trainee = Trainee.fresh(recipe, device)
    trainee.model.change.fill_(source.change())
    path = folder / "dynamics.pt"
    trainee.resume(path)
    model: Any = torch.compile(trainee.model) if r.compile else trainee.model
    saved, shown = time.monotonic(), 0.0
    budget = trainee.budget
    with Progress() as progress:
        task = progress.add_task(f"dynamics {recipe.spec.name}", total=1)
        progress.update(task, completed=budget.progress)
        while not budget.finished:
            frames, batch_size = clip_shape(recipe, budget.progress)
            budget.begin()
            batch = source.draw(budget.done, batch_size, frames)
            batch = Batch(batch.latents.to(device), batch.actions.to(device), batch.yaw)
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(model, config, batch)
            trainee.step(loss, recipe)
            budget.end()
            shown = 0.98 * shown + 0.02 * loss.item() if shown else loss.item()
            progress.update(task, completed=budget.progress, description=f"dynamics loss {shown:.4f}")
            if budget.done % 50 == 0:
                print(f"dynamics step {budget.done} {budget.spent_s:.0f}s loss {shown:.4f}", flush=True)
            if time.monotonic() - saved > SAVE_EVERY_S:
                trainee.save(path)
                saved = time.monotonic()
    trainee.save(path)


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
    model = CausalDiT(dit_config(recipe))
    state = torch.load(folder / "dynamics.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"] | state["average"])  # buffers are not averaged
    return model.eval()
