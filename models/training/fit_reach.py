"""The counting stage: learn where a hand goes under actions, over rollouts of 8 to 64 frames.

And a thing with it, where there is one: a part of the rollouts are those in which it goes, and where touches were
recorded (touches.py), half of all are of these. Knows no pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..reach import Reach
from ..thing import spaces
from .budget import Budget
from .hands import Hands, reach_config, some_before
from .loop import descend, loaded, resume, run_steps, save
from .recipe import Recipe
from .touches import open_touches

BATCH = 192  # rollouts a step
LENGTHS = (8, 16, 32, 64)  # frames that they last
RATE = 2e-3  # of Adam
GUESSED = 0.4  # of the rollouts, whose target is not told but guessed, as where a stream begins
OPENINGS = 0.1  # of a metre that fingers count as in the loss
MOVING_SHARE = 0.4  # of the rollouts, in which a thing goes
THINGS = 2.0  # of a hand's metres that the thing's count as
NOISE = 0.004  # metres by which half of the rollouts begin with a thing elsewhere, for it is read from a picture
LEAD = 2.0  # steps of a moving hand that its target is guessed to be ahead


def fit_reach(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's share of minutes is spent; `folder/reach.pt` is the checkpoint and holds the result."""
    r = recipe.hand
    assert r is not None, "the recipe has no [hand]"
    hands, touches = Hands.of(recipe, folder, "train"), open_touches(folder / "data")
    sets = [hands, Hands.in_clips(recipe, touches)] if touches else [hands]
    torch.manual_seed(recipe.data.seed)
    model = Reach(reach_config(recipe))
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    budget = Budget(r.minutes * r.counting, r.steps)
    path = folder / "reach.pt"
    resume(path, model, optimiser, budget)

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        length = int(rng.choice([n for n in LENGTHS if len(hands.clips.windows(n + 2))]))
        count = BATCH // len(sets)
        off = torch.cat([_rolled_off(model, one, length, count, rng) for one in sets])
        apart = off[..., :3].norm(dim=-1), OPENINGS * off[..., 3].abs(), THINGS * _length(off[..., 4:])
        descend(100.0 * torch.stack(apart).sum(0).mean(), model, {optimiser: RATE * budget.rate})
        hand, opening, thing = (part.mean().item() for part in apart)
        return {"mm": 1e3 * hand, "opening": opening / OPENINGS, "thing_mm": 1e3 * thing / THINGS}

    run_steps(f"reach {recipe.spec.name}", budget, step, lambda: save(path, model, optimiser, budget))


def _starts(hands: Hands, length: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) frames from which `length` more go on in the same episode."""
    windows = hands.clips.windows(length + 2) + 1
    # From before a thing goes to after it, as often as from anywhere in between.
    return some_before(hands.moving, rng.choice(windows, count), windows, MOVING_SHARE, (1, length + 1), rng)


def _length(off: Tensor) -> Tensor:
    """(..., 3) -> (...), and a gradient also where nothing is off."""
    return (off.square().sum(-1) + 1e-12).sqrt()


def _rolled_off(model: Reach, hands: Hands, length: int, count: int, rng: np.random.Generator) -> Tensor:
    """`rolled_off` of so many rollouts, some of which know less than others."""
    guessed = torch.from_numpy(rng.random(count) < GUESSED)
    return rolled_off(model, hands, _starts(hands, length, count, rng), length, guessed, NOISE)


def rolled_off(
    model: Reach, hands: Hands, starts: np.ndarray, length: int, guessed: Tensor, noise: float = 0.0
) -> Tensor:
    """(B, length, 7) how far counted hands and things are from the recorded ones behind frames `starts` (B,).

    Of things along the axes on which they go.

    Args:
        model: counts.
        hands: the recordings.
        starts: (B,) frames.
        length: of the rollouts.
        guessed: (B,) whose target is not known but taken to be a few steps ahead of the hand.
        noise: metres by which half of the things are elsewhere.
    """
    arm = hands.arm(starts)
    ahead = (arm.hand + LEAD * (arm.hand - arm.before))[:, :3]
    arm = arm._replace(target=torch.where(guessed[:, None], ahead, arm.target))
    things = model.config.things
    if noise and things:
        elsewhere = noise * torch.randn_like(arm.thing) * (torch.rand(len(starts), 1) < 0.5)
        arm = arm._replace(thing=arm.thing + elsewhere, left=arm.left + elsewhere)
    goes = spaces(things, arm.kind)[2].float() if things else torch.zeros_like(arm.thing)
    counts, off = torch.cat([torch.ones_like(arm.hand), goes], 1), []
    for k in range(1, length + 1):
        arm = model(arm, hands.told(starts + k))
        off.append((arm.places - hands.arm(starts + k).places) * counts)
    return torch.stack(off, 1)


def load_reach(recipe: Recipe, folder: Path) -> Reach:
    """The trained network.

    Raises:
        FileNotFoundError: the counting stage has not run.
    """
    return loaded(Reach(reach_config(recipe)), folder / "reach.pt").eval()
