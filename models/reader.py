"""Reads from a picture of the `arm` what its engine would have said: where hand and thing are, which, and success.

A small convolutional network trained on recorded frames and poses (training/fit_reader.py), in a file of its own
beside the world whose pictures it reads. `TaskDone` is the hook that ends or rewards an episode by it. Knows pictures;
nothing about dreams, environments or engines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .autoencoder import to_signed
from .spec import Image

FILE = Path(__file__).parent / "data" / "arm.reader.safetensors"
"""Of the `arm` that ships."""

COLUMNS = ("hand_x", "hand_y", "hand_z", "thing_x", "thing_y", "thing_z")
"""Metres, in the engine's axes; a drawer's handle slides along y only, and stands at 0.74 when the drawer is shut."""

OPENED = 0.57
"""Metres along y at which the handle counts as opened: Meta-World's own success, 3 cm before the goal at 0.54."""


class Read(NamedTuple):
    """What pictures show."""

    hand: NDArray[np.float32]  # (n, 3) metres
    thing: NDArray[np.float32]  # (n, 3) metres: of what the hand can move (thing.py)
    success: NDArray[np.float32]  # (n,) probabilities that the task is done
    kind: NDArray[np.int64]  # (n,) which of the world's tasks it is


class Reader(nn.Module):
    """Pictures to poses, and how sure it is that the task is done."""

    def __init__(self, height: int, width: int, kinds: int = 1) -> None:
        super().__init__()
        self.height, self.width, self.kinds = height, width, kinds
        self.holdout: Mapping[str, Any] = {}  # what was measured of it on held-out frames
        told = kinds if kinds > 1 else 0
        self.network = reading_network(height, width, len(COLUMNS) + 1 + told)
        self.mean = nn.Buffer(torch.zeros(len(COLUMNS)))
        self.scale = nn.Buffer(torch.ones(len(COLUMNS)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H/2, W/2) in [-1, 1] -> columns (B, 6), standardised, and logits: success (B,), kind (B, kinds).

        Who knows one kind has no logits of it.
        """
        y: Tensor = self.network(x)
        columns, success, kinds = y.tensor_split((len(COLUMNS), len(COLUMNS) + 1), 1)
        return columns, success[:, 0], kinds

    @torch.inference_mode()
    def read(self, pictures: NDArray[np.uint8]) -> Read:
        """What (n, H, W, 3) pictures show."""
        parts = [self(half_size(pictures[k : k + 100])) for k in range(0, len(pictures), 100)]
        columns, success, kinds = (torch.cat(part) for part in zip(*parts, strict=True))
        metres = (columns * self.scale + self.mean).numpy()
        kind = kinds.argmax(1) if self.kinds > 1 else torch.zeros(len(columns), dtype=torch.int64)
        return Read(metres[:, :3], metres[:, 3:], success.sigmoid().numpy(), kind.numpy())


class TaskDone:
    """A hook for environments: 1.0 where the task is done (the drawer is open) in the picture that follows, else 0.0.

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
        return (self._reader.read(next_obs).success >= self._sure).astype(np.float64)


def reader_file(world: Path) -> Path:
    """Where the reader of the world in that `.safetensors` file is: beside it."""
    return world.with_name(f"{world.stem}.reader.safetensors")


def save_reader(reader: Reader, path: Path) -> None:
    """Write it, in half precision, with what was measured of it."""
    about = {"height": reader.height, "width": reader.width, "kinds": reader.kinds, "holdout": dict(reader.holdout)}
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in reader.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"about": json.dumps(about)})
    path.chmod(0o644)  # safetensors writes files that only their owner may read


def load_reader(path: Path = FILE) -> Reader:
    """The reader in a file; by default the one that ships.

    Raises:
        ValueError: the file is missing, or of another shape.
    """
    from .weights import fill

    if not path.exists():
        raise ValueError(f"expected a reader at {path}: copy it with its world, or train one: worldloom train")
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        reader = Reader(about["height"], about["width"], about.get("kinds", 1))
        reader.holdout = about.get("holdout", {})
        fill(reader, {name: file.get_tensor(name).float() for name in file.keys()}, str(path))  # noqa: SIM118
    return reader.eval()


def half_size(pictures: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) -> (n, 3, H/2, W/2) in [-1, 1], area-averaged."""
    return F.avg_pool2d(to_signed(torch.from_numpy(np.ascontiguousarray(pictures))), 2)


def reading_network(height: int, width: int, outputs: int, channels: int = 3) -> nn.Sequential:
    """(B, channels, H/2, W/2), as pictures of `half_size` -> (B, outputs)."""
    cells = -(-height // 32) * -(-width // 32)
    return nn.Sequential(
        *halve(channels, 32), *halve(32, 64), *halve(64, 96), *halve(96, 96),
        nn.Flatten(), nn.Linear(96 * cells, 128), nn.SiLU(), nn.Linear(128, outputs),
    )  # fmt: skip


def halve(channels: int, features: int) -> tuple[nn.Module, ...]:
    """Layers that see half as many pixels each way."""
    return nn.Conv2d(channels, features, 3, stride=2, padding=1), nn.GroupNorm(8, features), nn.SiLU()
