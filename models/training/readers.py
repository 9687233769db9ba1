"""Small networks that read recordings: how they are trained, and kept so that they are trained once.

They are instruments of the evaluation, never part of a world. Knows how to descend and where files lie; what a network
reads is the business of probe.py, inverse.py and success.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def train_reader(name: str, network: NetworkT, loss: Callable[[], Tensor], steps: int, lr: float) -> NetworkT:
    """Train a network in place with a rate that warms up and falls; draw batches from torch's global generator.

    Args:
        name: for people.
        network: what is trained.
        loss: draws a batch and returns its loss.
        steps: batches.
        lr: peak learning rate.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.05)
    for step in track(range(steps), f"train the {name}", console=Console(stderr=True)):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 50) * max(0.01, 1.0 - step / steps)
        value = loss()
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def open_kept(path: Path, made: Mapping[str, object], network: NetworkT, fit: Callable[[], NetworkT]) -> NetworkT:
    """The network in `path` if it was trained that way, else a new one, saved there.

    Args:
        path: of the file.
        made: everything that its weights follow from.
        network: takes the saved weights.
        fit: trains one.
    """
    if path.exists():
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["config"] == made:
            network.load_state_dict(saved["weights"])
            return network.eval()
    network = fit()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"config": dict(made), "weights": network.state_dict()}, partial)
    partial.rename(path)
    return network


def disturb(x: Tensor) -> Tensor:
    """A batch (B, C, h, w) with other contrast, brightness and noise; half of the batches blurred.

    So a network learns to read dreamed pictures, which are softer than real ones, from real ones alone.
    """
    each = (len(x), 1, 1, 1)
    x = x * (1.0 + 0.1 * torch.randn(each)) + 0.05 * torch.randn(each) + 0.03 * torch.randn_like(x)
    if torch.rand(()) < 0.5:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return x
