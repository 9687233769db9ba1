"""The dynamics stage: what is trained is what streams, and a checkpoint resumes where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.memory import CachedMemory, FullMemory, TwoStreamMemory
from worldloom.models.rope import RopeConfig, rotary
from worldloom.models.training.budget import Budget
from worldloom.models.training.fit_dynamics import Batch, Trainee, dit_config, loss_of, two_streams
from worldloom.models.training.muon import Muon, orthogonal
from worldloom.models.training.recipe import Recipe, load_recipe

from ..tiny import tiny_dit


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("toy")


def random_batch(recipe: Recipe, frames: int, seed: int = 0) -> Batch:
    c = dit_config(recipe)
    g = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, frames, c.channels, c.rows, c.columns, generator=g)
    return Batch(latents, torch.randn(2, frames, c.actions, generator=g), torch.zeros(2, frames).double())


def test_two_streams_equal_the_mask_that_they_stand_for() -> None:
    T, n = 4, 2
    index = two_streams(T)
    assert index.tolist() == [0, 1, 2, 1, 2, 3]
    is_target = np.arange(2 * T - 2) >= T - 1
    sees = ~is_target[None] & (index[None] <= index[:, None] - is_target[:, None])
    sees |= np.eye(2 * T - 2, dtype=bool)
    mask = torch.from_numpy(sees.repeat(n, 0).repeat(n, 1))
    g = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 2 * (T - 1) * n, 16, generator=g)
    phases = rotary(RopeConfig(16, 1, n), torch.from_numpy(index).double(), torch.zeros(2 * T - 2).double())
    want = FullMemory(phases, mask).attend(0, torch.stack([q, k]), v)
    torch.testing.assert_close(TwoStreamMemory(phases, n).attend(0, torch.stack([q, k]), v), want, atol=1e-6, rtol=1e-5)


def test_what_is_trained_is_what_streams() -> None:
    """The velocity of a target in the two-stream layout equals the streaming one after committing the same context."""
    dit = tiny_dit(90.0)
    c, T = dit.config, 4
    g = torch.Generator().manual_seed(0)
    z = torch.randn(1, T, c.channels, c.rows, c.columns, generator=g)
    noisy = torch.randn(1, T - 1, c.channels, c.rows, c.columns, generator=g)
    actions = torch.randn(1, T, c.actions, generator=g)
    yaw = torch.tensor([0.0, 4.0, 9.0, 11.0], dtype=torch.float64)
    at = torch.from_numpy(two_streams(T))
    cos, sin = rotary(c.rope, at.double()[None], yaw[at][None])
    before = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)
    sigma = torch.cat([torch.zeros(1, T - 1), torch.full((1, T - 1), 0.7)], 1)
    cache = KVCache.allocate(
        CacheConfig(c.layers, c.heads, c.width // c.heads, c.tokens, 1, T), torch.device("cpu"), torch.float32
    )
    with torch.inference_mode():
        trained = dit(
            torch.cat([z[:, :-1], noisy], 1),
            torch.cat([before[:, :-1], z[:, :-1]], 1),
            sigma,
            actions[:, at],
            TwoStreamMemory((cos[:, None], sin[:, None]), c.tokens),
        )[:, T - 1 :]
        for k in range(T):
            span = slice(k, k + 1)
            if k:
                memory = CachedMemory.of([cache], c.rope, yaw[None, span])
                level = torch.full((1, 1), 0.7)
                streamed = dit(noisy[:, k - 1 : k], z[:, k - 1 : k], level, actions[:, span], memory)
                torch.testing.assert_close(streamed, trained[:, k - 1 : k], atol=1e-5, rtol=1e-5)
            memory = CachedMemory.of([cache], c.rope, yaw[None, span])
            dit.commit(z[:, span], before[:, span], torch.zeros(1, 1), actions[:, span], memory)
            cache.advance(yaw[span].tolist())


def test_loss_falls_on_one_clip(recipe: Recipe) -> None:
    recipe = replace(recipe, dynamics=replace(recipe.dynamics, steps=1000))
    trainee = Trainee.fresh(recipe, torch.device("cpu"))
    config, batch = dit_config(recipe), random_batch(recipe, 3)
    torch.manual_seed(0)
    losses = []
    for _ in range(120):
        loss = loss_of(trainee.model, config, batch)
        trainee.step(loss, recipe)
        trainee.budget.done = 100  # past the warm-up, before the fall
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_a_checkpoint_resumes_where_it_was(recipe: Recipe, tmp_path: Path) -> None:
    config, batch = dit_config(recipe), random_batch(recipe, 3)

    def steps(trainee: Trainee, count: int) -> float:
        value = 0.0
        for _ in range(count):
            torch.manual_seed(trainee.budget.done)
            loss = loss_of(trainee.model, config, batch)
            trainee.step(loss, recipe)
            trainee.budget.done += 1
            value = loss.item()
        return value

    whole = Trainee.fresh(recipe, torch.device("cpu"))
    want = steps(whole, 6)
    first = Trainee.fresh(recipe, torch.device("cpu"))
    steps(first, 3)
    first.save(tmp_path / "dynamics.pt")
    second = Trainee.fresh(recipe, torch.device("cpu"))
    second.resume(tmp_path / "dynamics.pt")
    assert second.budget.done == 3
    assert steps(second, 3) == want
    for name, tensor in whole.average.items():
        torch.testing.assert_close(tensor, second.average[name])


def test_muon_makes_orthogonal_steps() -> None:
    g = torch.Generator().manual_seed(0)
    for shape in ((64, 32), (32, 64), (48, 48)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=g)).float())
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_muon_fits_a_matrix() -> None:
    g = torch.Generator().manual_seed(0)
    target = torch.randn(16, 16, generator=g)
    weight = nn.Parameter(torch.zeros(16, 16))
    optimiser = Muon([weight], lr=0.05, weight_decay=0.0)
    for k in range(300):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - k / 300)
        optimiser.zero_grad()
        (weight - target).square().sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert (weight - target).abs().max() < 0.15


class TestBudget:
    def test_rate_warms_up_stays_and_falls(self) -> None:
        rates = [Budget(0.0, steps=1000, done=done).rate for done in (0, 99, 500, 800, 999)]
        assert rates[0] == pytest.approx(0.01)
        assert rates[1] == rates[2] == 1.0
        assert 0.0 < rates[4] < rates[3] < 1.0

    def test_a_pause_is_not_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("worldloom.models.training.budget.time.monotonic", lambda: now[0])
        budget = Budget(minutes=1.0)
        for k in range(30):
            budget.begin()
            now[0] += 3600.0 if k == 25 else 1.0
            budget.end()
        assert budget.done == 30
        assert budget.spent_s == pytest.approx(29.0 + 10.0)
        assert not budget.finished
