"""Reach: counts where a robot's hand goes, from actions alone.

Meta-World's action moves a target, at most a centimetre a frame, and keeps it in a box; a spring pulls the hand after
it, 25 to 35 mm behind, and an arm is not as free as a spring. So the next place is linear in target and hand, and a
small network says what that leaves. How far the fingers are open is counted too. Numbers stay in single precision:
what is counted for minutes may not be rounded to a hundredth. Knows metres and actions; nothing about pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPEN = 1.0
"""How far fingers are open that nobody knows of."""


@dataclass(frozen=True)
class ReachConfig:
    """The box of the target, and the size of the network."""

    low: tuple[float, float, float]  # metres: the corner of the target's box with the smallest numbers
    high: tuple[float, float, float]  # metres: the opposite corner
    step: float = 0.01  # metres that the target goes in a frame at full stick
    width: int = 96  # features


class Arm(NamedTuple):
    """Where a hand is on its way."""

    hand: Tensor  # (B, 4) metres, and how far it is open, 0 to 1
    before: Tensor  # (B, 4) the same a frame before
    target: Tensor  # (B, 3) metres


class Reach(nn.Module):
    """The hand a frame later."""

    def __init__(self, config: ReachConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.pull = nn.Parameter(
            torch.tensor([0.2, -0.1, 0.6]).repeat(3, 1)
        )  # of target, the one before, the last step
        self.net = nn.Sequential(Row(13, w), nn.SiLU(), Row(w, w), nn.SiLU(), Row(w, 3))
        self.fingers = nn.Sequential(Row(5, 32), nn.SiLU(), Row(32, 1))
        for last in (self.net[-1], self.fingers[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, arm: Arm, actions: Tensor) -> Arm:
        """One frame on.

        Args:
            arm: of B hands.
            actions: (B, history, 4) the row that leads to the next frame and those before it, closing last.
        """
        low, high = (torch.tensor(side, device=actions.device) for side in (self.config.low, self.config.high))
        action, grip, earlier = (
            actions[:, 0, :3].clamp(-1, 1),
            actions[:, 0, 3:],
            actions[:, min(1, actions.shape[1] - 1), 3:],
        )
        p, opening, q, before = arm.hand[:, :3], arm.hand[:, 3:], arm.before[:, :3], arm.before[:, 3:]
        target = torch.minimum(torch.maximum(arm.target + self.config.step * action, low), high)
        pulled = (torch.stack([target - p, arm.target - q, p - q], -1) * self.pull).sum(-1)
        apart = [(target - p) * 20, (p - q) * 100, (p - (low + high) / 2) * 4, (target - arm.target) * 100, grip]
        place = p + pulled + self.net(torch.cat(apart, 1)) / 100
        fingers = torch.cat([opening, 10 * (opening - before), grip, earlier, opening * grip], 1)
        return Arm(torch.cat([place, opening + 0.1 * self.fingers(fingers)], 1), arm.hand, target)


def standing(place: Tensor) -> Arm:
    """Hands (B, 3) that stand, open, where their targets are."""
    hand = torch.cat([place, torch.full_like(place[:, :1], OPEN)], 1)
    return Arm(hand, hand, place)


class Row(nn.Linear):
    """A linear layer that rounds a row in a batch as it does alone: sums, where products of matrices would not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, m)."""
        if torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        return (x[:, None] * self.weight).sum(-1) + self.bias
