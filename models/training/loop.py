"""The loop that every training stage runs: a budget, a progress bar, a line now and then, checkpoints.

Knows no model and no data: a stage gives it a step and a way to save.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, signal
from threading import Event, current_thread, main_thread
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from .budget import Budget

AnyModule = TypeVar("AnyModule", bound=nn.Module)

SAVE_EVERY_S = 180.0  # seconds between checkpoints
SAY_EVERY = 50  # steps between lines


def run_steps(
    name: str, budget: Budget, step: Callable[[], Mapping[str, float]], save: Callable[[], None]
) -> dict[str, float]:
    """Take steps until the budget is spent; returns the running means of what they reported.

    SIGINT and SIGTERM let the step end and the checkpoint be written; then KeyboardInterrupt is raised.

    Args:
        name: stage and world, for people.
        budget: counts the steps and their time.
        step: one training step; returns numbers to show.
        save: writes the checkpoint, whole or not at all.
    """
    shown: dict[str, float] = {}
    saved = time.monotonic()
    # Progress goes to stderr: stdout belongs to the caller's JSON.
    with Progress(console=Console(stderr=True)) as progress, stop_signals() as stopped:
        task = progress.add_task(name, total=1)
        progress.update(task, completed=budget.progress)
        while not (budget.finished or stopped.is_set()):
            budget.begin()
            seen = step()
            budget.end()
            shown = {key: 0.98 * shown.get(key, value) + 0.02 * value for key, value in seen.items()}
            words = " ".join(f"{key} {value:.4f}" for key, value in shown.items())
            progress.update(task, completed=budget.progress, description=f"{name} {words}")
            if budget.done % SAY_EVERY == 0:
                print(f"{name} step {budget.done} {budget.spent_s:.0f}s {words}", flush=True)
            if time.monotonic() - saved > SAVE_EVERY_S:
                save()
                saved = time.monotonic()
    save()
    if stopped.is_set():
        raise KeyboardInterrupt
    return shown


@contextmanager
def stop_signals() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set instead of ending the process; outside the main thread, never."""
    stopped = Event()
    if current_thread() is not main_thread():
        yield stopped
        return
    before = {number: signal(number, lambda *_: stopped.set()) for number in (SIGINT, SIGTERM)}
    try:
        yield stopped
    finally:
        for number, previous in before.items():
            signal(number, previous)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters of an optimiser one learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def descend(loss: Tensor, model: nn.Module, rates: Mapping[torch.optim.Optimizer, float]) -> None:
    """One step down the gradient of a loss.

    Args:
        loss: a scalar.
        model: whose gradients are clipped together.
        rates: the optimisers of its parameters, each with its learning rate for this step.
    """
    for optimiser, rate in rates.items():
        set_rate(optimiser, rate)
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in rates:
        optimiser.step()


def write_checkpoint(path: Path, state: Mapping[str, object], budget: Budget) -> None:
    """Write a checkpoint, whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save({**state, "spent_s": budget.spent_s, "done": budget.done}, partial)
    partial.rename(path)


def read_checkpoint(path: Path, budget: Budget, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """What `write_checkpoint` wrote, if anything, and what it says of the budget."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    budget.spent_s, budget.done = state["spent_s"], state["done"]
    return state


def resume(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, budget: Budget) -> None:
    """Go on from a checkpoint, if there is one. One that was made of a world (warm.py) has no optimiser."""
    state = read_checkpoint(path, budget)
    if state is not None:
        model.load_state_dict(state["model"])
        if "optimiser" in state:
            optimiser.load_state_dict(state["optimiser"])


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, budget: Budget) -> None:
    """Write what `resume` reads."""
    write_checkpoint(path, {"model": model.state_dict(), "optimiser": optimiser.state_dict()}, budget)


def loaded(model: AnyModule, path: Path) -> AnyModule:
    """The model with what a stage left: averaged weights where it averages.

    Raises:
        FileNotFoundError: the stage has not run.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"] | state.get("average", {}))  # buffers are not averaged
    return model
