"""The dynamics stage: what is trained is what streams, and a checkpoint resumes where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldloom.models.dit import CausalDiT, DiTConfig
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.memory import CachedMemory, FullMemory, TwoStreamMemory
from worldloom.models.rope import RopeConfig, rotary
from worldloom.models.state import DiTState
from worldloom.models.training.budget import Budget
from worldloom.models.training.fit_dynamics import (
    attempt,
    dit_config,
    past_of,
    some_levels,
    trainee_of,
    two_streams,
)
from worldloom.models.training.latents import Batch
from worldloom.models.training.muon import Muon, orthogonal
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.trainee import Trainee

from ..tiny import randomise, tiny_dit


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("toy")


def some_batch(c: DiTConfig, frames: int, *, begins: bool = False, turning: bool = False) -> Batch:
    """Two random clips; the second has the network's own frames as context."""
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(2, frames + 2, c.channels, c.rows, c.columns, generator=g)
    turns = torch.rand(2, frames, generator=g, dtype=torch.float64) * (10.0 if turning else 0.0)
    return Batch(
        lead=latents[:, :2] * (not begins),
        context=latents[:, 2:-1],
        target=latents[:, 3:],
        actions=torch.randn(2, frames, c.history, c.actions, generator=g),
        yaw=turns.cumsum(1),
        counts=torch.ones(2, frames - 1),
        dreamed=torch.tensor([False, True]),
        faded=torch.tensor([False, False]),
        begins=torch.full((2,), begins),
        moved=torch.randn(2, frames, int(c.moves), c.channels, c.rows, c.columns, generator=g),
        recalled=torch.randn(2, frames, int(c.recalls), c.channels, c.rows, c.columns, generator=g),
    )


def test_every_weight_learns(recipe: Recipe) -> None:
    """From the beginning that training has: what is zero at first must not stay so."""
    trainee = trainee_of(recipe, torch.device("cpu"))
    config = dit_config(recipe)
    first = {name: p.detach().clone() for name, p in trainee.model.named_parameters()}
    for _ in range(4):
        trainee.step(attempt(trainee.model, config, some_batch(config, 4)).loss)
    for name, p in trainee.model.named_parameters():
        assert bool(p.grad is not None and p.grad.any()), f"{name} has no gradient"
        assert not torch.equal(p, first[name]), f"{name} stays as it was"


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


@pytest.mark.parametrize(
    ("begins", "recalls", "moves"),
    [(True, False, False), (False, False, False), (False, True, False), (False, True, True)],
)
def test_what_is_trained_is_what_streams(begins: bool, recalls: bool, moves: bool) -> None:
    """The velocity of a target in the two-stream layout equals the streaming one after committing the same context."""
    dit = tiny_dit(90.0, recalls=recalls, moves=moves)
    c, T = dit.config, 4
    batch = some_batch(c, T, begins=begins, turning=True)
    noisy = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(1))
    z, past, index = batch.context, past_of(batch), torch.from_numpy(two_streams(T))
    cos, sin = rotary(c.rope, index.double().expand(2, -1), batch.yaw[:, index])
    sigma = torch.cat([torch.zeros(2, T - 1), torch.full((2, T - 1), 0.7)], 1)
    kept = CacheConfig(c.layers, c.heads, c.width // c.heads, c.tokens, 1, T)
    cpu = torch.device("cpu")
    states = [
        DiTState(KVCache.allocate(kept, cpu, torch.float32), 0, lead.flip(0), torch.zeros(1), frame=0 if begins else 2)
        for lead in batch.lead
    ]
    with torch.inference_mode():
        trained = dit(
            torch.cat([z, noisy], 1),
            torch.cat([past[:, :-1], past[:, 1:]], 1),
            sigma,
            batch.actions[:, index],
            TwoStreamMemory((cos[:, None], sin[:, None]), c.tokens),
        )[:, T - 1 :]
        for k in range(T):
            actions, yaw = batch.actions[:, k : k + 1], batch.yaw[:, k : k + 1]
            finished = torch.stack([state.past for state in states])
            if moves:
                finished = torch.cat([batch.moved[:, k], finished[:, :1]], 1)
            streamed_past = torch.cat([finished, batch.recalled[:, k]], 1)[:, None]
            memory = CachedMemory.of([state.cache for state in states], c.rope, yaw)
            if k:
                streamed = dit(noisy[:, k - 1 : k], streamed_past, torch.full((2, 1), 0.7), actions, memory)
                torch.testing.assert_close(streamed, trained[:, k - 1 : k], atol=1e-5, rtol=1e-5)
            if k < T - 1:
                dit.commit(z[:, k : k + 1], streamed_past, torch.zeros(2, 1), actions, memory)
                for b, state in enumerate(states):
                    state.cache.advance(yaw[b].tolist())
                    state.past = state.followed(z[b, k : k + 1])
                    state.frame += 1


@pytest.mark.parametrize("patch", [1, 2])
def test_a_step_has_the_gradients_of_the_long_way(patch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long way: autograd through a frame at a time, and a velocity of contexts that nobody wants."""
    dit = CausalDiT(DiTConfig(4, 2, 4, actions=3, width=32, layers=2, heads=2, patch=patch, stem=8, fov=90.0))
    randomise(dit, 0, 0.15)
    batch = some_batch(dit.config, 4, turning=True)

    def step() -> dict[str, Tensor]:
        torch.manual_seed(0)
        dit.zero_grad()
        loss = attempt(dit, dit.config, batch, (0.5,)).loss
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {name: p.grad for name, p in dit.named_parameters() if p.grad is not None}
        assert len(gradients) == len(list(dit.parameters()))
        return gradients | {"loss": loss.detach()}

    got, forward = step(), dit.forward
    monkeypatch.setattr(TwoStreamMemory, "attend", lambda self, layer, qk, v: self.a_frame_at_a_time(qk, v))
    monkeypatch.setattr(dit, "forward", lambda *args, finished: forward(*args)[:, finished:])
    want = step()
    for name, gradient in want.items():
        assert gradient.norm() > 0.0, name
        scale = float(gradient.abs().max())
        torch.testing.assert_close(got[name], gradient, atol=1e-5 * scale, rtol=1e-4)


def test_noise_levels_are_those_of_the_sampler() -> None:
    torch.manual_seed(0)
    device = torch.device("cpu")
    assert (some_levels((50, 4), (), device) == 1).all()
    sigma = some_levels((500, 4), (0.6,), device)
    assert 0.6 < (sigma == 1).float().mean() < 0.8
    assert 0.55 < sigma[sigma < 1].median() < 0.65


@pytest.mark.slow
def test_loss_falls_on_one_clip(recipe: Recipe) -> None:
    recipe = replace(recipe, dynamics=replace(recipe.dynamics, steps=1000))
    trainee = trainee_of(recipe, torch.device("cpu"))
    config, batch = dit_config(recipe), some_batch(dit_config(recipe), 3)
    torch.manual_seed(0)
    losses = []
    for _ in range(40):
        loss = attempt(trainee.model, config, batch).loss
        trainee.step(loss)
        trainee.budget.done = 100  # past the warm-up, before the fall
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])


def test_a_checkpoint_resumes_where_it_was(recipe: Recipe, tmp_path: Path) -> None:
    config, batch = dit_config(recipe), some_batch(dit_config(recipe), 3)

    def steps(trainee: Trainee[CausalDiT], count: int) -> float:
        value = 0.0
        for _ in range(count):
            torch.manual_seed(trainee.budget.done)
            loss = attempt(trainee.model, config, batch).loss
            trainee.step(loss)
            trainee.budget.done += 1
            value = loss.item()
        return value

    whole = trainee_of(recipe, torch.device("cpu"))
    want = steps(whole, 6)
    first = trainee_of(recipe, torch.device("cpu"))
    steps(first, 3)
    first.save(tmp_path / "dynamics.pt")
    second = trainee_of(recipe, torch.device("cpu"))
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


def test_muon_turns_tall_matrices_into_wide_ones_and_back() -> None:
    tall = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(orthogonal(tall), orthogonal(tall.T.contiguous()).T)


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
