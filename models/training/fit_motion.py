"""The motion stage: learn how near everything is, from pairs of neighbouring frames and the camera's recorded steps.

No depth is recorded. A frame is moved by the true step over the depth that the network says, and must look like the
next one: on three scales, for what shows texture of a pixel alone can only be matched from nearby. How a body goes on
that nothing holds up is measured on the recorded steps; where they differ from that, it is learned; how the camera bobs
is learned from the pictures, for no engine says it. A share of the frames is shown blurred, as dreams are. Knows
pictures and poses; nothing about latents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..motion import Motion, MotionNet, inside, moved_to, places_of
from ..precision import mixed
from .budget import Budget
from .loop import loaded, run_steps
from .recipe import Recipe
from .trainee import Trainee
from .walks import Walks, inertia, motion_config

MOVING_SHARE = 0.8  # share of the frames of a batch whose camera took a step
SOFT_SHARE = 0.35  # share of the batches that are shown blurred or noisy
EMA = 0.998  # decay of the averaged weights
STEP_WEIGHT, SMOOTH_WEIGHT = 4.0, 0.1
MOMENTUM_NOISE = 0.004  # units of depth: dreams do not keep their momentum as exactly as the engine


def fit_motion(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/motion.pt` is the checkpoint and holds the result."""
    r = recipe.motion
    assert r is not None, "the recipe has no [motion]"
    walks = Walks.of(recipe, folder, "train")
    torch.manual_seed(recipe.data.seed)
    model = MotionNet(walks.config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        model.inertia.copy_(inertia(walks))
    adam = torch.optim.AdamW(model.parameters(), r.lr, betas=(0.9, 0.98), weight_decay=0.01)
    trainee = Trainee(model, {"optimiser": (adam, r.lr)}, Budget(r.minutes, r.steps), EMA)
    path, budget = folder / "motion.pt", trainee.budget
    trainee.resume(path)

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        losses = _losses(model, walks, _draw(walks, rng, r.batch), rng, device)
        trainee.step(torch.stack(list(losses.values())).sum())
        return {name: float(loss.detach()) for name, loss in losses.items()}

    run_steps(f"motion {recipe.spec.name}", budget, step, lambda: trainee.save(path))


def _draw(walks: Walks, rng: np.random.Generator, batch: int) -> np.ndarray:
    """(batch,) frames that have a frame before them."""
    moving = round(batch * MOVING_SHARE)
    return np.concatenate([rng.choice(walks.moving, moving), rng.choice(walks.followers, batch - moving)])


def _losses(
    model: MotionNet, walks: Walks, at: np.ndarray, rng: np.random.Generator, device: torch.device
) -> dict[str, Tensor]:
    """What is minimised on the frames `at` (B,) and those before them."""
    truth, last = walks.pictures(at).to(device), walks.pictures(at - 1).to(device)
    shown = soften(last, rng) if rng.random() < SOFT_SHARE else last
    steps, momenta = walks.steps[at].to(device), walks.momenta[at - 1].to(device)
    momenta = momenta + MOMENTUM_NOISE * torch.randn_like(momenta)
    with mixed(device):
        motion: Motion = model(shown, momenta, walks.told(at).to(device), walks.clock(at).to(device))
    true_step = torch.stack([steps[:, 0], motion.step[:, 1], steps[:, 1]], 1)
    places = places_of(model.config, motion.turn, true_step, motion.near)
    moved, seen = moved_to(last, places), inside(places).float()
    return {
        "picture": likeness(moved, truth, seen),
        "step": STEP_WEIGHT * (motion.step[:, ::2] - steps).abs().mean(),
        "smooth": SMOOTH_WEIGHT * roughness(motion.near, truth),
    }


def soften(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures as a dream may show them: noisy, or at a half or a quarter of their resolution."""
    scale = int(rng.choice([1, 2, 2, 4]))
    if scale == 1:
        return pictures + 0.05 * torch.randn_like(pictures)
    return F.interpolate(F.avg_pool2d(pictures, scale), scale_factor=scale, mode="bilinear")


def likeness(moved: Tensor, truth: Tensor, seen: Tensor) -> Tensor:
    """Mean absolute difference of pictures where they were `seen` (B, 1, H, W), on three scales."""
    total = moved.new_zeros(())
    for scale in (1, 2, 4):
        if scale > 1:
            moved, truth, seen = (F.avg_pool2d(x, 2) for x in (moved, truth, seen))
        error = ((moved - truth).square() + 1e-4).sqrt().mean(1, keepdim=True)
        total = total + (error * seen).sum() / seen.sum().clamp(min=1.0)
    return total / 3.0


def roughness(near: Tensor, picture: Tensor) -> Tensor:
    """How far from flat things are where the picture is steady: the inverse depth of a plane is linear in a picture."""
    near, picture = F.avg_pool2d(near, 2), F.avg_pool2d(picture, 2)
    near = near / near.mean((1, 2, 3), keepdim=True).clamp(min=0.05)
    total = near.new_zeros(())
    for dim in (-1, -2):
        slope, edge = near.diff(dim=dim), picture.diff(dim=dim).abs().mean(1, keepdim=True)
        steady = torch.exp(
            -8.0 * torch.maximum(edge.narrow(dim, 0, edge.shape[dim] - 1), edge.narrow(dim, 1, edge.shape[dim] - 1))
        )
        total = total + (slope.diff(dim=dim).abs() * steady).mean()
    return total


def load_motion(recipe: Recipe, folder: Path) -> MotionNet:
    """The averaged weights.

    Raises:
        FileNotFoundError: the motion stage has not run.
    """
    return loaded(MotionNet(motion_config(recipe)), folder / "motion.pt").eval()
