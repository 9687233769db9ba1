"""View: what a stream showed last and how it came there; Outlook: what is known of the next picture before a dream.

Latent cells are sixteen pixels wide, and most steps are less: what a cell holds does not simply move to its neighbour.
So where a world knows what moves, the move is made with pixels: the last picture is moved, and the whole is encoded for
the transformer to go on from. What is shown in the end is put together of what was moved and what was dreamed
(detail.py). Whether a camera walks (camera_view.py) or a hand reaches (hand_view.py), an outlook knows. Knows nothing
about diffusion or memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .detail import DetailNet


@dataclass(frozen=True)
class Way:
    """How a stream came to a picture, and what is needed to go on from there: tensors by name, none of them a batch."""

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


@dataclass(frozen=True)
class View:
    """Where a stream is on its way; a value, never changed."""

    picture: Tensor  # (3, H, W) the last picture, in [-1, 1]
    way: Way
    clock: int  # frames since it set out, the last picture included


@dataclass(frozen=True)
class Glimpse:
    """What is known of the next pictures of B streams before they are dreamed."""

    moved: Tensor  # (B, 3, H, W) float32, the last pictures, moved
    seen: Tensor  # (B, 1, H, W) True where these can be trusted: where what they show was in sight
    recalled: Tensor  # (B, 3, H, W) float32, recorded pictures as seen from there
    known: Tensor  # (B, 1, H, W) True where these were in sight
    doubt: Tensor  # (B, 1, H, W) how far they are from there, over the depth
    still: Tensor  # (B,) True where nothing moves
    ways: Sequence[Way]

    @property
    def filled(self) -> Tensor:
        """(B, 3, H, W) the last pictures, and recalled ones where these end."""
        own = (self.seen | ~self.known).float()
        return self.recalled.lerp(self.moved, own)  # `where` takes three times as long


class Outlook(ABC):
    """What moves pictures, and puts them together with what is dreamed."""

    way: ClassVar[type[Way]]

    def __init__(self, detail: DetailNet) -> None:
        self.detail = detail

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks by the names that files give them; each has a `config`."""

    @abstractmethod
    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """The same, ready to be used there."""

    def _ready(self, moves: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        """Bring there what moves pictures and what puts them together; a `place` is laid out as what it is added to."""
        for part in (moves, self.detail):
            part.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            part.eval().requires_grad_(False)
        place = moves.get_parameter("place")
        place.data = place[None].contiguous(memory_format=torch.channels_last)[0]

    @abstractmethod
    def arrived(self, picture: Tensor, way: Way | None) -> Way:
        """Of a stream that is shown (3, H, W) from outside: its way there, `way` as far as that is known."""

    @abstractmethod
    def ahead(self, views: Sequence[View], actions: Tensor) -> Glimpse:
        """What the next frames have in common with what was seen.

        Args:
            views: of B streams.
            actions: (B, history, A) the row that leads to each next frame and those before it, about [-1, 1].
        """

    def picture(self, dreamed: Tensor, glimpse: Glimpse) -> Tensor:
        """(B, 3, H, W) dreamed pictures as they are shown: in [-1, 1].

        Where nothing moves what was seen goes on being seen: whatever else were mixed in would add up, frame by frame.
        """
        g = glimpse
        shown: Tensor = self.detail(dreamed, g.moved, g.seen, g.recalled, g.known, g.doubt)
        shown = shown.clamp(-1.0, 1.0).to(dreamed.dtype)
        if g.still.any():
            shown[g.still] = g.moved[g.still].to(dreamed.dtype)
        return shown
