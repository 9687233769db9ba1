"""Trainee: a network whose weights ship as their running average, and everything that its checkpoint holds.

Knows no data and no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

import torch
from torch import Tensor

from .budget import Budget
from .loop import AnyModule, descend, read_checkpoint, write_checkpoint


@dataclass
class Trainee(Generic[AnyModule]):
    """A network in training."""

    model: AnyModule
    optimisers: Mapping[str, tuple[torch.optim.Optimizer, float]]  # by their names in checkpoints, with peak rates
    budget: Budget
    decay: float  # of the average
    average: dict[str, Tensor] = field(init=False)  # of the weights: what ships

    def __post_init__(self) -> None:
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def step(self, loss: Tensor) -> None:
        """Down the gradient of a loss; the average follows, at once while there is little to average."""
        descend(loss, self.model, {one: peak * self.budget.rate for one, peak in self.optimisers.values()})
        keep = min(self.decay, 1.0 - 10.0 / (self.budget.done + 11.0))
        with torch.no_grad():
            weights = [p.detach() for p in self.model.parameters()]
            torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - keep)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        states = {name: optimiser.state_dict() for name, (optimiser, _) in self.optimisers.items()}
        write_checkpoint(path, {"model": self.model.state_dict(), "average": self.average} | states, self.budget)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        state = read_checkpoint(path, self.budget, next(self.model.parameters()).device)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for name, (optimiser, _) in self.optimisers.items():
            if name in state:  # not in a checkpoint that was made of a world (warm.py)
                optimiser.load_state_dict(state[name])
