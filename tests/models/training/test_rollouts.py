"""Rollouts: the context of a drawn clip is what the network was seen to make, beside the true frames and actions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.autoencoder import unit_cells
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.memory import CachedMemory
from worldloom.models.sampler import denoise
from worldloom.models.training.clips import Shard
from worldloom.models.training.fit_dynamics import attempt, dit_config, past_of, sample_last, trainee_of
from worldloom.models.training.latents import ClipSource
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.rollouts import POOL, Rollouts

WINDOW = 4
NEVER = np.zeros(8, bool)


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("toy")


@pytest.fixture
def moving(recipe: Recipe) -> Recipe:
    """Without clips in which nothing moves."""
    return replace(recipe, dynamics=replace(recipe.dynamics, still_share=0.0))


@pytest.fixture
def source(moving: Recipe, tmp_path: Path) -> ClipSource:
    return recorded(moving, tmp_path)


def recorded(recipe: Recipe, tmp_path: Path) -> ClipSource:
    """Three episodes of 40 frames, latents random."""
    n, c = 120, dit_config(recipe)
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(n, len(recipe.spec.actions.columns))).astype(np.float32)
    empty = np.zeros((n, 1, 1, 3), np.uint8), np.zeros((n, 1), np.float32)
    Shard(empty[0], actions, empty[1], np.repeat(np.arange(3), 40)).save(tmp_path / "data" / "train" / "0000")
    np.save(tmp_path / "latents-train.npy", rng.normal(1.0, 1.0, (n, c.channels, c.rows, c.columns)).astype(np.float16))
    return ClipSource(recipe, tmp_path, "train")


def rollouts(source: ClipSource, horizon: int = 10_000) -> Rollouts:
    return Rollouts(source, WINDOW, horizon, np.random.default_rng(0))


def marked(pool: Rollouts, number: float) -> torch.Tensor:
    return torch.full((len(pool.drawn), *pool.latents.shape[2:]), number)


def test_a_fresh_pool_holds_true_frames(source: ClipSource) -> None:
    pool = rollouts(source)
    batch = pool.draw(8, 4)
    truth = source.at(pool.end[pool.drawn, None] + np.arange(-3, 1), begins=NEVER, still=NEVER)
    torch.testing.assert_close(batch.lead, truth.lead)
    torch.testing.assert_close(batch.context, truth.context)
    torch.testing.assert_close(batch.target, truth.target)
    assert batch.dreamed.all()


def test_what_was_made_is_the_context_of_the_next_clip_and_targets_stay_true(source: ClipSource) -> None:
    pool = rollouts(source)
    for made in (1.0, 2.0, 3.0):
        pool.draw(POOL, WINDOW + 1)
        pool.extend(marked(pool, made))
    batch = pool.draw(POOL, WINDOW + 1)
    whole = (batch.context[:, -3:].flatten(2)[..., 0] == torch.tensor([1.0, 2.0, 3.0])).all(1)
    assert whole.float().mean() > 0.7  # the others reached the end of their episode on the way
    truth = source.at(
        pool.end[pool.drawn, None] + np.arange(-WINDOW, 1), begins=np.zeros(POOL, bool), still=np.zeros(POOL, bool)
    )
    torch.testing.assert_close(batch.target, truth.target)
    torch.testing.assert_close(batch.actions, truth.actions)


def test_a_rollout_stays_inside_one_episode_and_within_its_horizon(source: ClipSource) -> None:
    pool, episodes = rollouts(source, horizon=3), source.clips.episodes
    longest = 0
    for _ in range(200):
        batch = pool.draw(16, WINDOW + 1)
        assert (episodes[pool.end] == episodes[pool.end - WINDOW]).all()
        longest = max(longest, int((batch.context.flatten(2)[..., 0] == 9.0).sum(1).max()))
        pool.extend(marked(pool, 9.0))
    assert longest == 2  # the third would be the last target, and then the slot begins anew


@pytest.mark.parametrize("sigmas", [(1.0, 0.0), (1.0, 0.6, 0.0), (1.0, 0.8, 0.3, 0.0)])
def test_the_frame_that_extends_a_rollout_is_the_one_that_streaming_would_make(
    recipe: Recipe, source: ClipSource, monkeypatch: pytest.MonkeyPatch, sigmas: tuple[float, ...]
) -> None:
    """`sample_last`, from the same noise, equals the sampler through the cache."""
    model = trainee_of(recipe, torch.device("cpu")).model
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))  # a fresh network changes nothing
    batch, c = rollouts(source).draw(2, WINDOW + 1), dit_config(recipe)
    noises: list[torch.Tensor] = []

    def recorded(like: torch.Tensor) -> torch.Tensor:
        noises.append(torch.randn(like.shape))
        return noises[-1]

    monkeypatch.setattr("worldloom.models.training.fit_dynamics.torch.randn_like", recorded)
    with torch.no_grad():
        following = sample_last(model, c, batch, attempt(model, c, batch, sigmas[1:-1]), sigmas)
    noise = noises[-1][:, -1:]

    caches = [
        KVCache.allocate(
            CacheConfig(c.layers, c.heads, c.width // c.heads, c.tokens, 1, WINDOW), torch.device("cpu"), torch.float32
        )
        for _ in range(2)
    ]
    past = past_of(batch)
    with torch.inference_mode():
        for k in range(WINDOW):
            span = slice(k, k + 1)
            memory = CachedMemory.of(caches, c.rope, batch.yaw[:, span])
            model.commit(batch.context[:, span], past[:, span], torch.zeros(2, 1), batch.actions[:, span], memory)
            for b, cache in enumerate(caches):
                cache.advance(batch.yaw[b, span].tolist())
        memory = CachedMemory.of(caches, c.rope, batch.yaw[:, WINDOW:])

        def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
            level = torch.full((2, 1), sigma)
            result: torch.Tensor = model(x, past[:, WINDOW:], level, batch.actions[:, WINDOW:], memory)
            return result

        want = denoise(velocity, noise, sigmas)[:, 0]
    torch.testing.assert_close(following, unit_cells(want), atol=1e-4, rtol=1e-4)


class TestStill:
    @pytest.fixture
    def source(self, recipe: Recipe, tmp_path: Path) -> ClipSource:
        return recorded(
            replace(recipe, dynamics=replace(recipe.dynamics, still_share=1.0, rest=("forward",))), tmp_path
        )

    def test_a_still_clip_is_one_frame_at_rest(self, source: ClipSource) -> None:
        batch = source.draw(0, 16, 5)
        frame = batch.target[:, :1]
        assert (batch.context == frame).all()
        assert (batch.target == frame).all()
        assert (batch.lead[~batch.begins] == frame[~batch.begins]).all()
        assert (batch.lead[batch.begins] == 0).all()
        assert (batch.yaw == 0).all()
        assert (batch.actions[..., source.rest] == 0).all()
        told = batch.actions[~batch.begins]
        assert (told[..., ~source.rest] != 0).all()  # what is not motion stays as it was
        assert (told == told[:, :1, :1]).all()

    def test_a_still_rollout_has_one_frame_as_target_however_long_it_goes(self, source: ClipSource) -> None:
        pool = rollouts(source, horizon=50)
        pool.draw(POOL, 3)
        order = pool.drawn.copy()
        first = source.at(pool.end[order, None] + np.zeros((1, 3), int), begins=~pool.still, still=pool.still).target
        for _ in range(5):
            pool.extend(marked(pool, 7.0))
            batch = pool.draw(POOL, 3)
        kept = (batch.context[:, -1].flatten(1)[:, 0] == 7.0).numpy()
        assert kept.sum() > POOL // 2
        where = np.argsort(order)[pool.drawn]
        torch.testing.assert_close(batch.target[kept], first[where][kept])


def test_fading_washes_out_the_context_and_not_the_targets(moving: Recipe, tmp_path: Path) -> None:
    source = recorded(replace(moving, dynamics=replace(moving.dynamics, fade_share=0.5)), tmp_path)
    plain = recorded(moving, tmp_path).draw(0, 64, 5)
    batch = source.draw(0, 64, 5)
    assert 16 < batch.faded.sum() < 48
    torch.testing.assert_close(batch.target, plain.target)
    torch.testing.assert_close(batch.context[~batch.faded], plain.context[~batch.faded])
    assert ((batch.context - plain.context).abs().amax((1, 2, 3, 4)) > 1e-3).equal(batch.faded)
    assert (batch.lead[batch.begins] == 0).all()
    torch.testing.assert_close(unit_cells(batch.context[batch.faded]), batch.context[batch.faded], atol=0.05, rtol=0.05)
    true, near = (source.mean - x[batch.faded] for x in (plain.context, batch.context))
    assert near.square().mean() < 0.9 * true.square().mean()


def test_beyond_the_horizon_the_target_is_the_recorded_frame_nearest_to_the_dream(source: ClipSource) -> None:
    pool = Rollouts(source, WINDOW, 2, np.random.default_rng(0), beyond=30)
    recorded_frames = torch.from_numpy(source.latents.astype(np.float32))
    dreamt: dict[int, int] = {}  # slot -> the frame of the recordings that it last dreamed of, slightly wrong
    seen = 0
    for _ in range(60):
        batch = pool.draw(POOL, 3)
        for row, slot in enumerate(pool.drawn):
            if batch.counts[row, -1] == 0 and pool.age[slot] > 2:
                torch.testing.assert_close(batch.target[row, 0], recorded_frames[dreamt[slot]])
                seen += 1
            elif batch.counts[row, -1] == 1:
                torch.testing.assert_close(batch.target[row, 1], recorded_frames[pool.end[slot]])
        chosen = pool.rng.integers(0, len(recorded_frames), POOL)
        dreamt = dict(zip(pool.drawn.tolist(), chosen.tolist(), strict=True))
        pool.extend(recorded_frames[chosen] + 0.01)
    assert seen > 100
    assert all(pool.left[slot] <= 2 for slot in range(0, POOL, 2))
