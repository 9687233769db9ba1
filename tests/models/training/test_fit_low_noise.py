"""The low-noise stage: what is trained is what streams, and what it mends gets better."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from worldloom.models.autoencoder import unit_cells
from worldloom.models.dit import CausalDiT
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.low_noise import LowNoise
from worldloom.models.memory import CachedMemory
from worldloom.models.sampler import sigmas
from worldloom.models.training.fit_dynamics import past_of
from worldloom.models.training.fit_low_noise import finish, low_noise_config, trainee_of
from worldloom.models.training.latents import Batch
from worldloom.models.training.recipe import LowNoiseRecipe, Recipe, load_recipe

from ..test_low_noise import tiny_low_noise
from ..tiny import tiny_dit
from .test_fit_dynamics import some_batch

WINDOW = 3


@pytest.fixture
def recipe() -> Recipe:
    low_noise = LowNoiseRecipe(minutes=0, steps=60, batch=2, rank=4, takes=(2, 4), lr=3e-3, ema=0.9)
    return replace(load_recipe("toy"), low_noise=low_noise)


def streamed(dit: CausalDiT, low_noise: LowNoise, batch: Batch, noise: torch.Tensor, steps: int) -> torch.Tensor:
    """(B, C, h, w) the frame after each clip's context, through the cache."""
    c, expert, past, last = dit.config, low_noise.merged(dit), past_of(batch), batch.context.shape[1]
    config = CacheConfig(c.layers, c.heads, c.width // c.heads, c.tokens, 1, WINDOW)
    caches = [KVCache.allocate(config, torch.device("cpu"), torch.float32) for _ in batch.context]
    count = len(caches)
    for k in range(last):
        here = slice(k, k + 1)
        memory = CachedMemory.of(caches, c.rope, batch.yaw[:, here])
        dit.commit(batch.context[:, here], past[:, here], torch.zeros(count, 1), batch.actions[:, here], memory)
        for b, cache in enumerate(caches):
            cache.advance(batch.yaw[b, here].tolist())
    memory, x, levels = CachedMemory.of(caches, c.rope, batch.yaw[:, last:]), noise[:, -1:], sigmas(steps)
    for level, lower in zip(levels[:-1], levels[1:], strict=True):
        at, network = torch.full((count, 1), level), dit if level == 1.0 else expert
        x = x + (lower - level) * network(x, past[:, last:], at, batch.actions[:, last:], memory)
    return unit_cells(x)[:, 0]


@pytest.mark.parametrize("steps", [2, 4])
@torch.no_grad()
def test_the_frame_that_is_trained_is_the_one_that_streams(steps: int) -> None:
    dit, low_noise = tiny_dit(90.0), tiny_low_noise()
    batch, noise = some_batch(dit.config, WINDOW + 1, turning=True), torch.randn(2, WINDOW, 4, 2, 3)
    made = finish(dit, low_noise.beside(dit), batch, noise, steps)
    want = streamed(dit, low_noise, batch, noise, steps)
    torch.testing.assert_close(made.latents, want, atol=1e-4, rtol=1e-4)


def test_gradients_are_those_of_frames_a_frame_at_a_time() -> None:
    """On a CPU attention has gradients of its own where somebody wants them; without, it is done in another way."""
    dit, low_noise = tiny_dit(90.0).requires_grad_(False), tiny_low_noise()
    batch, noise = some_batch(dit.config, WINDOW + 1, turning=True), torch.randn(2, WINDOW, 4, 2, 3)
    made = finish(dit, low_noise.beside(dit), batch, noise, 2)
    made.loss.backward()  # type: ignore[no-untyped-call]
    slope = sum((p.grad.square().sum() for p in low_noise.parameters() if p.grad is not None), torch.tensor(0.0)).sqrt()
    for p in low_noise.parameters():
        assert p.grad is not None
    step = 1e-3
    with torch.no_grad():
        for p in low_noise.parameters():
            assert p.grad is not None
            p.sub_(p.grad * (step / slope))
        lower = finish(dit, low_noise.beside(dit), batch, noise, 2).loss
    assert (made.loss.detach() - lower).item() == pytest.approx(step * slope.item(), rel=0.05)


def test_later_steps_learn_what_the_first_does_not_know(recipe: Recipe) -> None:
    """The transformer is random; what it left wrong is mended, and it stays as it was."""
    dit = tiny_dit().requires_grad_(False)
    before = {name: weight.clone() for name, weight in dit.state_dict().items()}
    trainee = trainee_of(recipe, dit, torch.device("cpu"))
    batch = some_batch(dit.config, WINDOW + 1)
    seen = []
    for k in range(60):
        torch.manual_seed(k)
        trainee.budget.begin()
        noise = torch.randn(2, WINDOW, 4, 2, 3)
        made = finish(dit, trainee.model.beside(dit), batch, noise, 2 + 2 * (k % 2))
        trainee.step(made.loss)
        trainee.budget.end()
        seen.append(made)
    assert sum(made.last for made in seen[-10:]) < 0.7 * sum(made.last for made in seen[:10])
    assert sum(made.last for made in seen[-10:]) < sum(made.first for made in seen[-10:])
    assert all(torch.equal(before[name], weight) for name, weight in dit.state_dict().items())


def test_a_recipe_says_its_shape(recipe: Recipe) -> None:
    assert low_noise_config(recipe).rank == 4
    assert low_noise_config(recipe).steps == (2, 4)
