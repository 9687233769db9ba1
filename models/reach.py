"""Reach: counts where a robot's hand goes, from actions alone.

Meta-World's action moves a target, at most a centimetre a frame, and keeps it in a box; a spring pulls the hand after
it, 25 to 35 mm behind, and an arm is not as free as a spring. So the next place is linear in target and hand, and a
small network says what that leaves. How far the fingers are open is counted too, and where a drawer's handle is: it
slides along one axis, where the hand takes it along, and nobody else does. Numbers stay in single precision: what is
counted for minutes may not be rounded to a hundredth. Knows metres and actions; nothing about pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPEN = 1.0
"""How far fingers are open that nobody knows of."""

ROOM = 0.04
"""Metres that a hand is ever beyond the box of its target. Counted farther out it has run away, and would go on."""

WIDEST = 1.1
"""Of fingers, the same."""

LEAST = 0.0003
"""Metres a frame: a handle that goes less stays, or a drawer would open by itself in an hour."""


@dataclass(frozen=True)
class ReachConfig:
    """The box of the target, and the size of the network."""

    low: tuple[float, float, float]  # metres: the corner of the target's box with the smallest numbers
    high: tuple[float, float, float]  # metres: the opposite corner
    track: tuple[float, float, float] | None = None  # metres: how near and how far a handle slides, and its height
    step: float = 0.01  # metres that the target goes in a frame at full stick
    width: int = 96  # features


class Arm(NamedTuple):
    """Where a hand is on its way."""

    hand: Tensor  # (B, 4) metres, and how far it is open, 0 to 1
    before: Tensor  # (B, 4) the same a frame before
    target: Tensor  # (B, 3) metres
    handle: Tensor  # (B, 2) metres: of what slides, across and along the way that it slides; zeros where nothing does

    @property
    def places(self) -> Tensor:
        """(B, 6) what a picture shows of it: hand, how far it is open, handle."""
        return torch.cat([self.hand, self.handle], 1)


class Reach(nn.Module):
    """The hand a frame later."""

    def __init__(self, config: ReachConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.pull = nn.Parameter(
            torch.tensor([0.2, -0.1, 0.6]).repeat(3, 1)
        )  # of target, the one before, the last step
        self.net = nn.Sequential(Row(17 if config.track else 13, w), nn.SiLU(), Row(w, w), nn.SiLU(), Row(w, 3))
        self.fingers = nn.Sequential(Row(5, 32), nn.SiLU(), Row(32, 1))
        self.slide = nn.Sequential(Row(12, w), nn.SiLU(), Row(w, w), nn.SiLU(), Row(w, 1)) if config.track else None
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
        if self.config.track:  # which a hand may push against
            apart += [(p - self._handle(arm)) * 20, (arm.handle[:, 1:] - self.config.track[0]) * 10]
        place = p + pulled + self.net(torch.cat(apart, 1)) / 100
        place = torch.minimum(torch.maximum(place, low - ROOM), high + ROOM)
        fingers = torch.cat([opening, 10 * (opening - before), grip, earlier, opening * grip], 1)
        hand = torch.cat([place, (opening + 0.1 * self.fingers(fingers)).clamp(0.0, WIDEST)], 1)
        return Arm(hand, arm.hand, target, self._slid(arm, hand, target))

    def _slid(self, arm: Arm, hand: Tensor, target: Tensor) -> Tensor:
        """(B, 2) the handle when the hand (B, 4) has gone on."""
        if not (self.slide and self.config.track):
            return arm.handle
        near, far, _ = self.config.track
        handle, along = self._handle(arm), arm.handle[:, 1:]
        apart = [(hand[:, :3] - handle) * 20, (hand - arm.hand)[:, :3] * 100, (target - hand[:, :3]) * 20]
        rest = [(arm.hand - arm.before)[:, 1:2] * 100, hand[:, 3:], (along - near) * 10]
        by = self.slide(torch.cat(apart + rest, 1)) / 100
        if not torch.is_grad_enabled():
            by = by * (by.abs() >= LEAST)
        return torch.cat([arm.handle[:, :1], (along + by).clamp(near, far)], 1)

    def _handle(self, arm: Arm) -> Tensor:
        """(B, 3) metres."""
        assert self.config.track is not None, "nothing slides"
        return F.pad(arm.handle, (0, 1), value=self.config.track[2])


def standing(place: Tensor, handle: Tensor | None = None) -> Arm:
    """Hands (B, 3) that stand, open, where their targets are, before handles (B, 2)."""
    hand = torch.cat([place, torch.full_like(place[:, :1], OPEN)], 1)
    return Arm(hand, hand, place, torch.zeros_like(place[:, :2]) if handle is None else handle)


class Row(nn.Linear):
    """A linear layer that rounds a row in a batch as it does alone: sums, where products of matrices would not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, m)."""
        if torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        return (x[:, None] * self.weight).sum(-1) + self.bias
