"""Warping: where metres are in a picture, what a flow does to it, and that a still table is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldloom.models.thing import Thing
from worldloom.models.training.gripper import pixels
from worldloom.models.warp import LEAST, projected, settled, warped

from .tiny import DRAWER, PUCK, randomise, tiny_warp


def test_metres_are_where_the_evaluation_looks_for_them() -> None:
    net = tiny_warp()
    places = np.random.default_rng(0).uniform((-0.4, 0.5, 0.1), (0.4, 0.9, 0.4), (6, 3))
    found, _ = projected(net.config, torch.from_numpy(places).float())
    np.testing.assert_allclose(found.numpy(), pixels(places, 32, 48), atol=1e-3)


def test_before_anything_is_learned_a_little_of_the_shift_is_taken_everywhere() -> None:
    net, picture = tiny_warp(), torch.zeros(1, 3, 32, 48)
    before = torch.tensor([[0.0, 0.6, 0.2, 1.0, 0.0, 0.7, 0.09]])
    after = before + torch.tensor([[0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    with torch.inference_mode():
        flow, trust = net(picture, before, after)
        rest, _ = net(picture, before, before)
        slid, _ = net(picture, before, before - torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.0]]))
    shift = projected(net.config, after[:, :3])[0] - projected(net.config, before[:, :3])[0]
    torch.testing.assert_close(flow.mean((2, 3)), -shift * torch.sigmoid(torch.tensor(-2.0)))
    assert bool((trust > 0.0).all())
    assert bool((rest == 0.0).all()), "a hand that stays moves nothing"
    assert bool((slid != 0.0).all()), "a thing does"


def test_flow_says_where_a_pixel_was() -> None:
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(1, 2, 32, 48)
    torch.testing.assert_close(warped(picture, flow), picture, atol=1e-4, rtol=0.0)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    moved = warped(picture, flow)
    torch.testing.assert_close(moved[..., 2:, :-3], picture[..., :-2, 3:], atol=1e-4, rtol=0.0)


def test_what_is_too_little_to_be_meant_is_nothing() -> None:
    flow = torch.tensor([[[[0.5 * LEAST, 1.0]], [[0.0, 0.0]]]])
    assert settled(flow)[0, 0, 0].tolist() == [0.0, torch.tensor(1.0 - LEAST).item()]


@pytest.mark.parametrize("things", [(), (DRAWER,), (DRAWER, PUCK)])
def test_a_batch_rounds_as_each_alone_in_the_precision_of_streams(things: tuple[Thing, ...]) -> None:
    net = tiny_warp(things)
    randomise(net, 4, 0.1)
    net = net.bfloat16().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(2)
    pictures = torch.rand(3, 3, 32, 48, generator=generator) * 2.0 - 1.0
    before = torch.rand(3, 7, generator=generator) * 0.2 + torch.tensor([0.0, 0.6, 0.2, 0.5, 0.0, 0.6, 0.05])
    with torch.inference_mode():
        together, _ = net(pictures, before, before + 0.01)
        for k in range(3):
            alone, _ = net(pictures[k : k + 1], before[k : k + 1], before[k : k + 1] + 0.01)
            assert torch.equal(alone[0], together[k])
