"""Reach: counts where a robot's hand goes, from actions alone.

Meta-World's action moves a target, at most a centimetre a frame, and keeps it in a box; a spring pulls the hand after
it, 25 to 35 mm behind, and an arm is not as free as a spring. So the next place is linear in target and hand, and a
small network says what that leaves. How far the fingers are open is counted too, and where the thing is that the hand
can move (thing.py): it slides along its axes or is carried, where the hand takes it along, and nobody else moves it.
Numbers stay in single precision: what is counted for minutes may not be rounded to a hundredth. Knows metres and
actions; nothing about pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .thing import Thing, any_loose, free_axes, kinds_told, loose, one_of, space, spaces

OPEN = 1.0
"""How far fingers are open that nobody knows of."""

ROOM = 0.04
"""Metres that a hand is ever beyond the box of its target. Counted farther out it has run away, and would go on."""

WIDEST = 1.1
"""Of fingers, the same."""

LEAST = 0.0003
"""Metres a frame: a thing that goes less stays, or a drawer would open by itself in an hour."""

NEAR = 0.03
"""Metres between hand and thing within which fingers can hold it."""


@dataclass(frozen=True)
class ReachConfig:
    """The box of the target, what can be moved, and the size of the network."""

    low: tuple[float, float, float]  # metres: the corner of the target's box with the smallest numbers
    high: tuple[float, float, float]  # metres: the opposite corner
    things: tuple[Thing, ...] = ()  # what a hand can move; a stream has one of them before it
    step: float = 0.01  # metres that the target goes in a frame at full stick
    width: int = 96  # features


class Arm(NamedTuple):
    """Where a hand is on its way."""

    hand: Tensor  # (B, 4) metres, and how far it is open, 0 to 1
    before: Tensor  # (B, 4) the same a frame before
    target: Tensor  # (B, 3) metres
    thing: Tensor  # (B, 3) metres: of what it can move; zeros where there is nothing
    left: Tensor  # (B, 3) metres: where that was a frame before
    kind: Tensor  # (B,) int64: which of the world's things it is

    @property
    def places(self) -> Tensor:
        """(B, 7) what a picture shows of it: hand, how far it is open, thing."""
        return torch.cat([self.hand, self.thing], 1)


class Reach(nn.Module):
    """The hand a frame later."""

    def __init__(self, config: ReachConfig) -> None:
        super().__init__()
        self.config = config
        w, things = config.width, config.things
        axes, kinds, held = len(free_axes(things)), kinds_told(things), any_loose(things)
        self.pull = nn.Parameter(
            torch.tensor([0.2, -0.1, 0.6]).repeat(3, 1)
        )  # of target, the one before, the last step
        self.net = nn.Sequential(
            Row(13 + (3 + axes if things else 0) + kinds, w), nn.SiLU(), Row(w, w), nn.SiLU(), Row(w, 3)
        )
        self.fingers = nn.Sequential(Row(5 + 4 * held + kinds * held, 32), nn.SiLU(), Row(32, 1))
        entering, leaving = 10 + 2 * axes + 6 * held + kinds, axes + held
        self.slide = (
            nn.Sequential(Row(entering, w), nn.SiLU(), Row(w, w), nn.SiLU(), Row(w, leaving)) if things else None
        )
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
        action, grip = actions[:, 0, :3].clamp(-1, 1), actions[:, 0, 3:]
        p, q = arm.hand[:, :3], arm.before[:, :3]
        target = torch.minimum(torch.maximum(arm.target + self.config.step * action, low), high)
        pulled = (torch.stack([target - p, arm.target - q, p - q], -1) * self.pull).sum(-1)
        apart = [(target - p) * 20, (p - q) * 100, (p - (low + high) / 2) * 4, (target - arm.target) * 100, grip]
        if self.config.things:  # which a hand may push against
            apart += [(p - arm.thing) * 20, self._along(arm) * 10, one_of(self.config.things, arm.kind)]
        place = p + pulled + self.net(torch.cat(apart, 1)) / 100
        place = torch.minimum(torch.maximum(place, low - ROOM), high + ROOM)
        hand = torch.cat([place, self._opened(arm, actions)], 1)
        return Arm(hand, arm.hand, target, self._moved(arm, hand, target, grip), arm.thing, arm.kind)

    def _opened(self, arm: Arm, actions: Tensor) -> Tensor:
        """(B, 1) how far fingers are open a frame later: less far closed around something."""
        opening, before, grip = arm.hand[:, 3:], arm.before[:, 3:], actions[:, 0, 3:]
        earlier = actions[:, min(1, actions.shape[1] - 1), 3:]
        told = [opening, 10 * (opening - before), grip, earlier, opening * grip]
        if any_loose(self.config.things):
            told += [(arm.hand[:, :3] - arm.thing) * 20, _nearness(arm.hand, arm.thing)]
            told += [one_of(self.config.things, arm.kind)]
        return (opening + 0.1 * self.fingers(torch.cat(told, 1))).clamp(0.0, WIDEST)

    def _moved(self, arm: Arm, hand: Tensor, target: Tensor, grip: Tensor) -> Tensor:
        """(B, 3) the thing when the hand (B, 4) has gone on."""
        things = self.config.things
        if self.slide is None:
            return arm.thing
        axes, gone = free_axes(things), (hand - arm.hand)[:, :3]
        told = [(hand[:, :3] - arm.thing) * 20, gone * 100, (target - hand[:, :3]) * 20]
        told += [(arm.hand - arm.before)[:, axes] * 100, hand[:, 3:], self._along(arm) * 10]
        if any_loose(things):  # what fingers close around, and what falls
            told += [(arm.thing - arm.left) * 100, (hand - arm.hand)[:, 3:] * 10, grip, _nearness(hand, arm.thing)]
        by = self.slide(torch.cat([*told, one_of(things, arm.kind)], 1))
        none = torch.zeros_like(by[:, 0])
        step = torch.stack([by[:, axes.index(k)] if k in axes else none for k in range(3)], 1) / 100
        if any_loose(things):
            step = step + torch.sigmoid(4 * by[:, -1:] - 2) * gone * loose(things, arm.kind)
        if not torch.is_grad_enabled():
            step = step * (step.abs() >= LEAST)
        low, high, free = spaces(things, arm.kind)
        return torch.where(free, torch.minimum(torch.maximum(arm.thing + step, low), high), arm.thing)

    def _along(self, arm: Arm) -> Tensor:
        """(B, axes) metres that things have gone along the axes on which any does."""
        things = self.config.things
        return (arm.thing - space(things, arm.thing.device)[0])[:, free_axes(things)]


def _nearness(hand: Tensor, thing: Tensor) -> Tensor:
    """(B, 1) about one where fingers are around a thing, zero from `NEAR` on."""
    apart = (hand[:, :3] - thing).square().sum(1, keepdim=True)
    return F.relu(NEAR - (apart + 1e-8).sqrt()) * 50


def standing(place: Tensor, thing: Tensor | None = None, kind: Tensor | None = None) -> Arm:
    """Hands (B, 3) that stand, open, where their targets are, before things (B, 3) of kinds (B,) that stand too."""
    hand = torch.cat([place, torch.full_like(place[:, :1], OPEN)], 1)
    thing = torch.zeros_like(place) if thing is None else thing
    kind = torch.zeros(len(place), dtype=torch.int64, device=place.device) if kind is None else kind
    return Arm(hand, hand, place, thing, thing, kind)


class Row(nn.Linear):
    """A linear layer that rounds a row in a batch as it does alone: sums, where products of matrices would not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, n) -> (B, m)."""
        if torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        return (x[:, None] * self.weight).sum(-1) + self.bias
