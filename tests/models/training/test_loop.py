"""The loop of every stage: it counts, reports, saves, and a signal loses no step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from worldloom.models.training.budget import Budget
from worldloom.models.training.loop import descend, resume, run_steps, save, set_rate


def test_it_takes_the_steps_of_the_budget_and_saves_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    saved: list[int] = []
    budget = Budget(0.0, steps=120)
    shown = run_steps("name", budget, lambda: {"loss": 2.0}, lambda: saved.append(budget.done))
    assert saved == [120]
    assert shown == {"loss": pytest.approx(2.0)}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("name step")]
    assert [line.split()[2] for line in lines] == ["50", "100"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_step_with_a_checkpoint(number: signal.Signals) -> None:
    saved: list[int] = []
    budget = Budget(0.0, steps=100)
    before = signal.getsignal(number)

    def step() -> dict[str, float]:
        if budget.done == 6:
            os.kill(os.getpid(), number)
        return {}

    with pytest.raises(KeyboardInterrupt):
        run_steps("name", budget, step, lambda: saved.append(budget.done))
    assert saved == [7]
    assert signal.getsignal(number) is before


def test_what_was_saved_is_resumed(tmp_path: Path) -> None:
    def fresh() -> tuple[nn.Module, torch.optim.Optimizer, Budget]:
        model = nn.Linear(2, 2)
        return model, torch.optim.AdamW(model.parameters(), 0.1), Budget(1.0)

    model, optimiser, budget = fresh()
    budget.spent_s, budget.done = 12.0, 34
    save(tmp_path / "a.pt", model, optimiser, budget)
    other, other_optimiser, other_budget = fresh()
    resume(tmp_path / "missing.pt", other, other_optimiser, other_budget)
    assert other_budget.done == 0
    resume(tmp_path / "a.pt", other, other_optimiser, other_budget)
    assert (other_budget.spent_s, other_budget.done) == (12.0, 34)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt"]


def test_one_rate_for_all_parameters() -> None:
    optimiser = torch.optim.SGD(
        [{"params": [nn.Parameter(torch.zeros(1))]}, {"params": [nn.Parameter(torch.zeros(1))]}]
    )
    set_rate(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.25]


def test_each_optimiser_steps_at_its_rate_down_gradients_that_are_clipped_together() -> None:
    model = nn.ParameterList([torch.zeros(1), torch.zeros(1)])
    rates: dict[torch.optim.Optimizer, float] = {
        torch.optim.SGD([part], 1.0): rate for part, rate in zip(model, (0.5, 0.25), strict=True)
    }
    for _ in range(2):  # the second time there are gradients to forget
        before = [float(part.detach()) for part in model]
        descend(30.0 * model[0].sum() - 40.0 * model[1].sum(), model, rates)
        moved = [float(part.detach()) - was for part, was in zip(model, before, strict=True)]
        assert moved == pytest.approx([-0.5 * 0.6, 0.25 * 0.8])
