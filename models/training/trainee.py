"""Trainee: a network whose weights ship as their running average, and everything that its checkpoint holds.

Knows no data and no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    optimisers: Mapping[str, torch.optim.Optimizer]  # by the names that they have in checkpoints
    rates: Mapping[str, float]  # of each, the peak learning rate
    budget: Budget
    decay: float  # of the average
    average: dict[str, Tensor]  # of the weights: what ships

    @classmethod
    def of(
        cls,
        model: AnyModule,
        optimisers: Mapping[str, tuple[torch.optim.Optimizer, float]],
        budget: Budget,
        decay: float,
    ) -> Trainee[AnyModule]:
        """One that has not learnt yet; each optimiser with its peak learning rate."""
        alone = {name: optimiser for name, (optimiser, _) in optimisers.items()}
        rates = {name: rate for name, (_, rate) in optimisers.items()}
        return cls(model, alone, rates, budget, decay, {n: p.detach().clone() for n, p in model.named_parameters()})

    def step(self, loss: Tensor) -> None:
        """Down the gradient of a loss; the average follows, at once while there is little to average."""
        descend(loss, self.model, {self.optimisers[n]: rate * self.budget.rate for n, rate in self.rates.items()})
        keep = min(self.decay, 1.0 - 10.0 / (self.budget.done + 11.0))
        with torch.no_grad():
            weights = [p.detach() for p in self.model.parameters()]
            torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - keep)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        states = {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}
        write_checkpoint(path, {"model": self.model.state_dict(), "average": self.average} | states, self.budget)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        state = read_checkpoint(path, self.budget, next(self.model.parameters()).device)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for name, optimiser in self.optimisers.items():
            if name in state:  # not in a checkpoint that was made of a world (warm.py)
                optimiser.load_state_dict(state[name])
