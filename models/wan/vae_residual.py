"""What Wan 2.2's autoencoder has beside Wan 2.1's: ways around each resolution that learn nothing, and pixels in fours.

Around a resolution that shrinks, neighbours and features are averaged; around one that grows, they are repeated. Knows
tensors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vae_layers import Grow, History, Layer, Residual, Shrink, run


class Down(Layer):
    """Residual blocks of a resolution, what shrinks it, and the way around both."""

    def __init__(self, channels: int, out: int, blocks: int, time: bool | None) -> None:
        """A level of the encoder; `time`: whether frames are halved as well, None: nothing is."""
        super().__init__()
        self._out, self._space, self._time = out, 1 if time is None else 2, 2 if time else 1
        steps: list[nn.Module] = [Residual(channels if k == 0 else out, out) for k in range(blocks)]
        self.downsamples = nn.Sequential(*steps, *([] if time is None else [Shrink(out, time)]))

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C', F', h', w')."""
        return run(self.downsamples, x, history) + averaged(x, self._out, self._time, self._space)


class Up(Layer):
    """Residual blocks of a resolution, what grows it, and the way around both."""

    def __init__(self, channels: int, out: int, blocks: int, time: bool | None) -> None:
        """A level of the decoder; `time`: whether frames are doubled as well, None: nothing is, and no way around."""
        super().__init__()
        self._out, self._time = out, None if time is None else 1 + time
        steps: list[nn.Module] = [Residual(channels if k == 0 else out, out) for k in range(blocks)]
        self.upsamples = nn.Sequential(*steps, *([] if time is None else [Grow(out, out, time)]))

    def forward(self, x: Tensor, history: History) -> Tensor:
        """(B, C, F, h, w) -> (B, C', F', h', w')."""
        y = run(self.upsamples, x, history)
        return y if self._time is None else y + repeated(x, self._out, self._time, first=history.first)


def averaged(x: Tensor, out: int, time: int, space: int) -> Tensor:
    """(B, C, F, h, w) -> (B, out, F / time, h / space, w / space): means over neighbours and features.

    Where frames do not come out even, as the first one of a stream, zeros stand before them.
    """
    x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % time, 0))
    frames, rows, columns = x.shape[2] // time, x.shape[3] // space, x.shape[4] // space
    near = x.reshape(len(x), -1, frames, time, rows, space, columns, space).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return near.reshape(len(x), out, -1, frames, rows, columns).mean(2)


def repeated(x: Tensor, out: int, time: int, *, first: bool) -> Tensor:
    """(B, C, F, h, w) -> (B, out, F * time, 2 h, 2 w): each number where several are wanted.

    A stream's first frame stays one: of its copies the last is taken.
    """
    frames, rows, columns = x.shape[2:]
    copies = x.repeat_interleave(out * time * 4 // x.shape[1], 1)
    far = copies.view(len(x), out, time, 2, 2, frames, rows, columns).permute(0, 1, 5, 2, 6, 3, 7, 4)
    made = far.reshape(len(x), out, frames * time, 2 * rows, 2 * columns)
    return made[:, :, time - 1 :] if first else made


def split(pictures: Tensor, patch: int) -> Tensor:
    """(F, 3, H, W) -> (F, 3 * patch * patch, H / patch, W / patch): of each colour column by column."""
    parts = torch.unflatten(F.pixel_unshuffle(pictures, patch), 1, (3, patch, patch))
    return parts.transpose(2, 3).flatten(1, 3)


def joined(x: Tensor, patch: int) -> Tensor:
    """The inverse of `split`."""
    return F.pixel_shuffle(torch.unflatten(x, 1, (3, patch, patch)).transpose(2, 3).flatten(1, 3), patch)
