"""Reads from a picture of the `arm` what its engine would have said: where the hand and the drawer are, and success.

A small convolutional network trained on recorded frames and poses (training/fit_reader.py). `DrawerOpened` is the hook
that ends or rewards an episode by it. Knows pictures; nothing about dreams, environments or engines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from .autoencoder import to_signed
from .spec import Image

FILE = Path(__file__).parent / "data" / "arm.reader.safetensors"
COLUMNS = ("hand_x", "hand_y", "hand_z", "handle_x", "handle_y")
"""Metres, in the engine's axes; the handle slides along y only, and stands at 0.74 when the drawer is shut."""

OPENED = 0.57
"""Metres along y at which the handle counts as opened: Meta-World's own success, 3 cm before the goal at 0.54."""


class Reader(nn.Module):
    """Pictures to poses, and how sure it is that the drawer is open."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.network = reading_network(height, width, len(COLUMNS) + 1)
        self.mean = nn.Buffer(torch.zeros(len(COLUMNS)))
        self.scale = nn.Buffer(torch.ones(len(COLUMNS)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H/2, W/2) in [-1, 1] -> (B, 6): the columns, standardised, then the logit of success."""
        y: Tensor = self.network(x)
        return y

    @torch.inference_mode()
    def read(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, H, W, 3) -> (n, 5) metres by `COLUMNS`, and (n,) probabilities that the drawer is open."""
        y = torch.cat([self(half_size(pictures[k : k + 100])) for k in range(0, len(pictures), 100)])
        return (y[:, :-1] * self.scale + self.mean).numpy(), y[:, -1].sigmoid().numpy()


class DrawerOpened:
    """A hook for environments: 1.0 where the drawer is open in the picture that follows, else 0.0.

    It is asked as `reward_fn(obs, action, next_obs, goal)` and serves as `terminated_fn` as well.
    """

    def __init__(self, reader: Reader | None = None, *, sure: float = 0.5) -> None:
        self._reader = reader or load_reader()
        self._sure = sure  # probability from which it counts

    def __call__(self, obs: Image, action: Any, next_obs: Image, goal: Any) -> float:
        """One picture."""
        return float(self.batch(obs[None], None, next_obs[None], None)[0])

    def batch(self, obs: Any, actions: Any, next_obs: NDArray[np.uint8], goals: Any) -> NDArray[np.float64]:
        """(n, H, W, 3) -> (n,)."""
        return (self._reader.read(next_obs)[1] >= self._sure).astype(np.float64)


def load_reader(path: Path = FILE) -> Reader:
    """The reader in a file; by default the one that ships.

    Raises:
        ValueError: the file is missing, or of another shape.
    """
    from .weights import fill

    if not path.exists():
        raise ValueError(f"expected a reader at {path}; train one: python -m worldloom.models.training.fit_reader")
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        reader = Reader(about["height"], about["width"])
        fill(reader, {name: file.get_tensor(name).float() for name in file.keys()}, str(path))  # noqa: SIM118
    return reader.eval()


def half_size(pictures: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) -> (n, 3, H/2, W/2) in [-1, 1], area-averaged."""
    return F.avg_pool2d(to_signed(torch.from_numpy(np.ascontiguousarray(pictures))), 2)


def reading_network(height: int, width: int, outputs: int) -> nn.Sequential:
    """(B, 3, H/2, W/2) pictures of `half_size` -> (B, outputs)."""
    cells = -(-height // 32) * -(-width // 32)
    return nn.Sequential(
        *halve(3, 32), *halve(32, 64), *halve(64, 96), *halve(96, 96),
        nn.Flatten(), nn.Linear(96 * cells, 128), nn.SiLU(), nn.Linear(128, outputs),
    )  # fmt: skip


def halve(channels: int, features: int) -> tuple[nn.Module, ...]:
    """Layers that see half as many pixels each way."""
    return nn.Conv2d(channels, features, 3, stride=2, padding=1), nn.GroupNorm(8, features), nn.SiLU()
