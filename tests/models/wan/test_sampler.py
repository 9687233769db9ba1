"""Noise levels are those that the checkpoints were distilled at; the sampler finds what the velocity points at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from worldloom.models.wan.config import FAMILIES, Rollout
from worldloom.models.wan.sampler import Level, denoise, levels, schedule, sigma_at

MATRIX_GAME = Rollout(steps=(1000, 666, 333), attention=6)


@pytest.mark.parametrize(
    ("roll", "timesteps"),
    [
        (FAMILIES["self-forcing"].rollout, [1000.0, 937.5, 833.3333, 625.0]),
        (MATRIX_GAME, [1000.0, 908.8428, 713.9794]),
        (FAMILIES["causvid"].rollout, [1000.0, 757.0, 522.0]),
    ],
)
def test_timesteps(roll: Rollout, timesteps: list[float]) -> None:
    assert [level.t for level in levels(roll)] == pytest.approx(timesteps, abs=1e-3)
    assert [level.sigma for level in levels(roll)] == pytest.approx([t / 1000 for t in timesteps], abs=1.2e-3)


def test_the_first_chunk_may_take_others() -> None:
    roll = Rollout(steps=(1000,), first=(1000, 750, 500, 250))
    assert [len(levels(roll, first=first)) for first in (True, False)] == [4, 1]
    assert levels(Rollout(steps=(1000,)), first=True) == levels(roll)


def test_clean_is_clean() -> None:
    assert sigma_at(0.0, 5.0) == 0.0
    assert sigma_at(100.0, 5.0) == pytest.approx(0.1, abs=3e-3)


def test_it_finds_the_picture_and_takes_fresh_noise_at_every_step() -> None:
    generator = torch.Generator().manual_seed(1)
    picture, drawn = torch.randn(2, 3, generator=generator), [torch.randn(2, 3, generator=generator) for _ in range(3)]
    seen: list[tuple[Tensor, float]] = []

    def velocity(x: Tensor, t: float) -> Tensor:
        seen.append((x, t))
        return (x - picture) / (t / 1000)

    got = denoise(velocity, drawn.__getitem__, [Level(1000.0, 1.0), Level(800.0, 0.8), Level(300.0, 0.3)])
    torch.testing.assert_close(got, picture)
    assert [t for _, t in seen] == [1000.0, 800.0, 300.0]
    torch.testing.assert_close(seen[1][0], 0.2 * picture + 0.8 * drawn[1])
    torch.testing.assert_close(seen[2][0], 0.7 * picture + 0.3 * drawn[2])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rollout(steps=()),
        lambda: Rollout(steps=(250, 500)),
        lambda: Rollout(steps=(1001,)),
        lambda: Rollout(steps=(1000,), attention=5),
        lambda: Rollout(steps=(1000,), sink=2),
        lambda: Rollout(steps=(1000,), attention=6, sink=3),
    ],
)
def test_what_no_checkpoint_can_be(wrong: Callable[[], Rollout]) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()


@pytest.mark.slow  # importing diffusers takes seconds
@pytest.mark.parametrize("shift", [1.0, 5.0, 8.0])
def test_the_schedule_is_diffusers(shift: float) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift).sigmas
    torch.testing.assert_close(torch.tensor(schedule(shift)), theirs.float(), rtol=0, atol=1e-6)
