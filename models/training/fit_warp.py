"""The warping stage: learn what goes with a hand, from pairs of recorded frames and where the hand was in both.

The frame before is warped to where the hand is later, a frame or a few, and must look like the frame then: on three
scales, for what shows texture of a pixel alone can only be matched from nearby. What moves counts most. A third of
a batch are the network's own pictures, warped again and again as streams do it, towards the recorded frames: so it
learns to put right what lags, and not to blur. Places are told with noise, for those of streams are counted. Knows
pictures and poses; nothing about latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..precision import mixed
from ..warp import WarpNet, settled, warped
from .budget import Budget
from .fit_motion import soften
from .hands import MOVES, Hands, some_before, warp_config
from .loop import loaded, run_steps
from .recipe import Recipe
from .survey import Index
from .trainee import Trainee

GAPS = (*(1,) * 10, 2, 2, 3, 3, 4, 4, 6, 8, -1, -2, -4, 0, 0)  # frames from one picture of a pair to the other
STANDING_SHARE = 0.15  # of the pairs whose hand does not move that are taken all the same
MOVING_SHARE = 0.3  # of the pairs and of the own pictures, whose thing goes or is about to
OWN_SHARE = 1 / 3  # of a batch: pictures that the network warped itself
LONGEST = 24  # frames that these go on
SOFT_SHARE = 0.3  # of the batches whose recorded pictures are shown blurred or noisy
NOISY_SHARE, NOISE = 0.4, 0.006  # of the pairs whose first place is told with an error, up to so many metres
DISTRUST = 0.1  # error of a pixel from which it is better not trusted
STILL_WEIGHT, ROUGH_WEIGHT = 0.05, 0.05
EMA = 0.998  # decay of the averaged weights


def fit_warp(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/warp.pt` is the checkpoint and holds the result."""
    r = recipe.hand
    assert r is not None, "the recipe has no [hand]"
    hands = Hands.of(recipe, folder, "train")
    torch.manual_seed(recipe.data.seed)
    model = WarpNet(warp_config(recipe)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.AdamW(model.parameters(), r.lr, betas=(0.9, 0.98), weight_decay=0.01)
    trainee = Trainee(model, {"optimiser": (adam, r.lr)}, Budget(r.minutes * (1.0 - r.counting), r.steps), EMA)
    path, budget = folder / "warp.pt", trainee.budget
    trainee.resume(path)
    own = Own.of(hands, round(r.batch * OWN_SHARE), np.random.default_rng((recipe.data.seed, budget.done)))

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        first, then = _pairs(hands, rng, r.batch - len(own.at))
        pictures, last = hands.pictures(first), np.concatenate([first, own.at])
        shown = soften(pictures, rng) if rng.random() < SOFT_SHARE else pictures
        now = np.concatenate([then, own.at + 1])
        before, after = hands.arm(last).places, hands.arm(now).places
        told = before + _mistaken(before)
        with mixed(device):
            flow, trust = model(torch.cat([shown, own.pictures]).to(device), told.to(device), after.to(device))
        sources, truth = torch.cat([pictures, own.pictures]), hands.pictures(now)
        changed = (truth - torch.cat([pictures, hands.pictures(own.at)])).abs().amax(1, keepdim=True)
        losses = _losses(flow, trust, sources.to(device), truth.to(device), changed.to(device))
        trainee.step(torch.stack(list(losses.values())).sum())
        own.go_on(flow[len(first) :].detach().cpu(), rng)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    run_steps(f"warp {recipe.spec.name}", budget, step, lambda: trainee.save(path))


@dataclass
class Own:
    """Pictures that the network warped itself, towards one recorded frame after the other."""

    hands: Hands
    at: Index  # (n,) the recorded frames that they should be
    pictures: Tensor  # (n, 3, H, W)
    left: Index  # (n,) frames until they begin anew

    @classmethod
    def of(cls, hands: Hands, count: int, rng: np.random.Generator) -> Own:
        """So many, that begin with recorded frames."""
        at = _begun(hands, count, rng)
        return cls(hands, at, hands.pictures(at), rng.integers(1, LONGEST + 1, count))

    def go_on(self, flow: Tensor, rng: np.random.Generator) -> None:
        """Warp them by a flow (n, 2, H, W); those that are done begin anew."""
        self.pictures = warped(self.pictures, settled(flow)).clamp(-1.0, 1.0)
        self.at, self.left = self.at + 1, self.left - 1
        clocks = np.append(self.hands.clocks, 0)
        done = (self.left <= 0) | (clocks[self.at + 1] == 0)
        if done.any():
            self.at[done] = _begun(self.hands, int(done.sum()), rng)
            self.left[done] = rng.integers(1, LONGEST + 1, int(done.sum()))
            self.pictures[torch.from_numpy(done)] = self.hands.pictures(self.at[done])


def _begun(hands: Hands, count: int, rng: np.random.Generator) -> Index:
    """(count,) frames that another one follows, some of them before a thing goes."""
    at, frames = rng.choice(hands.followers, count) - 1, (1, LONGEST // 2)
    return some_before(hands.moving, at, hands.followers - 1, MOVING_SHARE, frames, rng)


def _pairs(hands: Hands, rng: np.random.Generator, count: int) -> tuple[Index, Index]:
    """(count,) frames, and others of the same episodes."""
    episodes, poses, moving = hands.clips.episodes, hands.hands.numpy(), hands.moving
    pairs: list[tuple[int, int]] = []
    while len(pairs) < count:
        first, gap = int(rng.integers(len(episodes))), int(rng.choice(GAPS))
        if len(moving) and rng.random() < MOVING_SHARE:
            first = int(rng.choice(moving)) - int(rng.integers(0, 3))
        then = first + gap
        if min(first, then) < 0 or then >= len(episodes) or episodes[first] != episodes[then]:
            continue
        gone = np.linalg.norm(poses[then, :3] - poses[first, :3])
        if not gap or gone > MOVES * abs(gap) or rng.random() < STANDING_SHARE:
            pairs.append((first, then))
    first_frames, then_frames = np.array(pairs).T
    return first_frames, then_frames


def _mistaken(places: Tensor) -> Tensor:
    """(B, 7) errors of places, in metres; none of the fingers."""
    error = 2.0 * NOISE * torch.randn_like(places) * torch.rand_like(places[:, :1])
    error[:, 3] = 0.0
    return error * (torch.rand_like(places[:, :1]) < NOISY_SHARE)


def _losses(flow: Tensor, trust: Tensor, sources: Tensor, truth: Tensor, changed: Tensor) -> dict[str, Tensor]:
    """What is minimised.

    Args:
        flow: (B, 2, H, W).
        trust: (B, 1, H, W) logits.
        sources: (B, 3, H, W) pictures that are warped.
        truth: (B, 3, H, W) what they should then be.
        changed: (B, 1, H, W) how far the recorded pictures of a pair differ.
    """
    moved, seen = warped(sources, flow), torch.sigmoid(trust)
    weight = 0.25 + 4.0 * F.max_pool2d((changed > 0.06).float(), 5, 1, 2)
    error = ((moved - truth).square() + 1e-4).sqrt().mean(1, keepdim=True).detach()
    distrust = ((seen * error + (1.0 - seen) * DISTRUST) * weight).mean()
    static = 1.0 - F.max_pool2d((changed > 0.02).float(), 7, 1, 3)
    rough = flow.diff(dim=-1).abs().mean() + flow.diff(dim=-2).abs().mean()
    return {
        "picture": _unlike(moved, truth, weight * (0.3 + 0.7 * seen.detach())),
        "trust": distrust,
        "flow": ROUGH_WEIGHT * rough + STILL_WEIGHT * (flow.abs() * static).mean(),
    }


def _unlike(moved: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference of pictures, on three scales."""
    total = moved.new_zeros(())
    for scale in (1, 2, 4):
        if scale > 1:
            moved, truth, weight = (F.avg_pool2d(x, 2) for x in (moved, truth, weight))
        total = total + (((moved - truth).square() + 1e-4).sqrt().mean(1, keepdim=True) * weight).mean()
    return total / 3.0


def load_warp(recipe: Recipe, folder: Path) -> WarpNet:
    """The averaged weights.

    Raises:
        FileNotFoundError: the warping stage has not run.
    """
    return loaded(WarpNet(warp_config(recipe)), folder / "warp.pt").eval()
