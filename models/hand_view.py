"""HandOutlook: the last picture, moved as a robot's hand is counted to move before a camera that stands still.

Where the hand is cannot be seen exactly enough in a dream to go on from, and dreams lag behind: so it is counted from
the actions (reach.py), and read (reader.py) from pictures only where a stream begins. The last picture is warped to
where the hand is counted to be (warp.py). What an arm had hidden is recalled from one picture for all that have the
same thing before them: what the camera sees most of the time, without the arm. Knows nothing about diffusion or memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import to_pictures, to_signed
from .detail import MOST, DetailNet
from .reach import Arm, Reach, standing
from .reader import Reader
from .thing import spaces
from .view import Glimpse, Outlook, View, Way
from .warp import WarpNet, settled, warped

STILL = 0.0003
"""Metres a frame below which a hand stands."""

STILL_OPENING = 0.003
"""Of fingers, the same."""

GAIN, SPEED_GAIN, TARGET_GAIN, THING_GAIN = 0.4, 0.1, 0.7, 0.5
"""How far hand, speed, target and thing go from what is counted to what is read, a frame of context at a time."""


@dataclass(frozen=True)
class HandWay(Way):
    """Where a hand is, and where it is meant to be; see `Arm`."""

    hand: Tensor  # (4,) float32
    before: Tensor  # (4,) float32
    target: Tensor  # (3,) float32
    thing: Tensor  # (3,) float32
    left: Tensor  # (3,) float32
    kind: Tensor  # () int64


class HandOutlook(Outlook):
    """What counts hands and warps pictures."""

    way = HandWay

    def __init__(self, reach: Reach, warp: WarpNet, plates: Tensor, detail: DetailNet, reader: Reader) -> None:
        """Args:
        reach: counts the hand.
        warp: warps the picture.
        plates: (kinds, H, W, 3) uint8, what the camera sees most of the time, before each kind of thing.
        detail: puts pictures together.
        reader: reads the hand, and which thing is before it.

        Raises:
            ValueError: the reader knows other things.
        """
        super().__init__(detail)
        if reader.kinds != (kinds := max(1, len(reach.config.things))):
            raise ValueError(f"expected a reader of {kinds} kind of thing, got one of {reader.kinds}: train it anew")
        self.reach, self.warp, self.plates, self.reader = reach, warp, plates, reader

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks, but for the reader, which has a file of its own."""
        return {"reach": self.reach, "warp": self.warp, "detail": self.detail}

    def to(self, device: torch.device, dtype: torch.dtype) -> HandOutlook:
        """The same, ready to be used there. What is counted stays in single precision, and what reads on the CPU."""
        self.plates = self.plates.to(device)
        self.reach.to(device).eval().requires_grad_(False)
        self._ready(self.warp, device, dtype)
        return self

    def arrived(self, picture: Tensor, way: Way | None) -> HandWay:
        """The hand is about where the picture shows it: what is counted is put right by what is read (an observer)."""
        shown = to_pictures(picture.float()[None]).cpu().numpy()
        found = self.reader.read(shown)
        place, thing, kind = (
            torch.from_numpy(part).to(picture.device) for part in (found.hand, found.thing, found.kind)
        )
        if not isinstance(way, HandWay):
            return HandWay(*(part[0] for part in standing(place, self._there(thing, kind), kind)))
        off = place[0] - way.hand[:3]
        hand = F.pad(off, (0, 1))  # fingers are not read
        before = way.before + (GAIN - SPEED_GAIN) * hand
        aside = THING_GAIN * (self._there(thing, way.kind[None])[0] - way.thing)
        target = way.target + TARGET_GAIN * off
        return HandWay(way.hand + GAIN * hand, before, target, way.thing + aside, way.left + aside, way.kind)

    def _there(self, thing: Tensor, kind: Tensor) -> Tensor:
        """(B, 3) places of things of these kinds (B,), brought to where these can be; zeros where there are none."""
        if not self.reach.config.things:
            return torch.zeros_like(thing)
        low, high, _ = spaces(self.reach.config.things, kind)
        return torch.minimum(torch.maximum(thing, low), high)

    def ahead(self, views: Sequence[View], actions: Tensor) -> Glimpse:
        """What the next frames have in common with what was seen; see `Outlook`."""
        ways = [view.way for view in views]
        arm = Arm(*(torch.stack([getattr(way, name) for way in ways]) for name in Arm._fields))
        return self.glimpse(torch.stack([view.picture for view in views]), arm, self.reach(arm, actions.float()))

    def glimpse(self, pictures: Tensor, before: Arm, after: Arm) -> Glimpse:
        """What pictures (B, 3, H, W) say of the next ones, when hands go where it is known."""
        gone = (after.hand - before.hand).abs()
        still = (gone[:, :3].amax(1) < STILL) & (gone[:, 3] < STILL_OPENING) & (after.thing == before.thing).all(1)
        flow, trust = self.warp(pictures, before.places, after.places)
        moved = warped(pictures, settled(flow)).clamp(-1.0, 1.0)
        if still.any():
            moved[still] = pictures[still].float()
        plates = to_signed(self.plates[after.kind])
        # The plate is shown to the network that puts pictures together, and has no share of its own: half of a share
        # of a table, frame by frame, would make an arm fade away.
        nowhere = torch.zeros_like(trust, dtype=torch.bool)
        ways = [HandWay(*(part.clone() for part in parts)) for parts in zip(*after, strict=True)]
        return Glimpse(moved, trust > 0.0, plates, nowhere, MOST * torch.sigmoid(trust), still, ways)
