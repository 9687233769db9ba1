"""The counting stage: learn where a hand goes under actions, over rollouts of 8 to 64 frames. Knows no pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..reach import Reach
from .budget import Budget
from .hands import Hands, reach_config
from .loop import descend, resume, run_steps, save
from .recipe import Recipe

BATCH = 192  # rollouts a step
LENGTHS = (8, 16, 32, 64)  # frames that they last
RATE = 2e-3  # of Adam
GUESSED = 0.4  # of the rollouts, whose target is not told but guessed, as where a stream begins
OPENINGS = 0.1  # of a metre that fingers count as in the loss
LEAD = 2.0  # steps of a moving hand that its target is guessed to be ahead


def fit_reach(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's share of minutes is spent; `folder/reach.pt` is the checkpoint and holds the result."""
    r = recipe.hand
    assert r is not None, "the recipe has no [hand]"
    hands = Hands.of(recipe, folder, "train")
    torch.manual_seed(recipe.data.seed)
    model = Reach(reach_config())
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    budget = Budget(r.minutes * r.counting, r.steps)
    path = folder / "reach.pt"
    resume(path, model, optimiser, budget)

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        length = int(rng.choice([n for n in LENGTHS if len(hands.clips.windows(n + 2))]))
        starts = rng.choice(hands.clips.windows(length + 2), BATCH) + 1
        off = rolled_off(model, hands, starts, length, torch.from_numpy(rng.random(BATCH) < GUESSED))
        loss = 100.0 * (off[..., :3].norm(dim=-1) + OPENINGS * off[..., 3].abs()).mean()
        descend(loss, model, {optimiser: RATE * budget.rate})
        return {"mm": 1e3 * off[..., :3].norm(dim=-1).mean().item(), "opening": off[..., 3].abs().mean().item()}

    run_steps(f"reach {recipe.spec.name}", budget, step, lambda: save(path, model, optimiser, budget))


def rolled_off(model: Reach, hands: Hands, starts: np.ndarray, length: int, guessed: Tensor) -> Tensor:
    """(B, length, 4) how far counted hands are from the recorded ones behind frames `starts` (B,).

    Where `guessed` (B,), the target is not known but taken to be a few steps ahead of the hand.
    """
    arm = hands.arm(starts)
    ahead = (arm.hand + LEAD * (arm.hand - arm.before))[:, :3]
    arm = arm._replace(target=torch.where(guessed[:, None], ahead, arm.target))
    off = []
    for k in range(1, length + 1):
        arm = model(arm, hands.told(starts + k))
        off.append(arm.hand - hands.hands[starts + k])
    return torch.stack(off, 1)


def load_reach(folder: Path) -> Reach:
    """The trained network.

    Raises:
        FileNotFoundError: the counting stage has not run.
    """
    model = Reach(reach_config())
    model.load_state_dict(torch.load(folder / "reach.pt", map_location="cpu", weights_only=True)["model"])
    return model.eval()
