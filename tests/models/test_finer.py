"""A world in more denoising steps than it has live."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldloom.models.check import random_actions
from worldloom.models.finer import in_steps, named_steps, steps_of
from worldloom.models.toy import ToyWorld

from .tiny import tiny_world


def test_it_takes_so_many_steps_and_leaves_the_world_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = tiny_world(steps=(1, 2))
    finer, rows = in_steps(world, 4), random_actions(world.spec, 1)
    want = world.step([world.start(seed=1)], rows)
    levels: list[float] = []
    forward = world.dit.forward

    def watched(x: torch.Tensor, past: torch.Tensor, sigma: torch.Tensor, *rest: object, **more: object) -> object:
        levels.append(float(sigma[0, -1]))
        return forward(x, past, sigma, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.dit, "forward", watched)
    made = finer.step([world.start(seed=1)], rows)  # a state of the other is one of its own
    assert levels == [1.0, 0.75, 0.5, 0.25]
    assert not np.array_equal(made, want)
    assert np.array_equal(world.step([world.start(seed=1)], rows), want)


def test_a_world_without_denoising_is_as_it_is() -> None:
    toy, tiny = ToyWorld(), tiny_world()
    assert in_steps(toy, 4) is toy
    assert in_steps(tiny, None) is tiny
    assert (steps_of(toy), steps_of(in_steps(tiny, 3))) == (None, 3)


def test_steps_may_stand_behind_a_name() -> None:
    assert named_steps("doom") == ("doom", None)
    assert named_steps("doom@2") == ("doom", 2)
    for wrong in ("doom@", "doom@few", "doom@0", "doom@-1"):
        with pytest.raises(ValueError, match="number from 1 after '@'"):
            named_steps(wrong)
