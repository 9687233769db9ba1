"""What each pixel of a cell is off by: found where it was put, and taken off where it comes from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from worldloom.models.pixels import to_pixels
from worldloom.models.training.phases import level, mesh_loss, phase_errors


def test_errors_are_found_at_their_place_in_the_order_of_biases() -> None:
    torch.manual_seed(0)
    off, true = torch.randn(3 * 16), torch.randn(5, 3, 24, 32)
    off -= off.view(3, 16).mean(1).repeat_interleave(16)
    made = true + to_pixels(off[None, :, None, None].expand(5, -1, 6, 8), 4)
    assert torch.allclose(phase_errors(made, true, 4), off, atol=1e-5)
    assert phase_errors(made + 0.5, true, 4).allclose(off, atol=1e-5), "brightness is no matter of places"


def test_a_levelled_bias_leaves_no_grid_and_the_rest_as_it_was() -> None:
    torch.manual_seed(0)
    x, true = torch.randn(4, 8, 6, 8), torch.randn(4, 3, 12, 16)
    leave = nn.Conv2d(8, 3 * 4 + 5, 3, padding=1)
    before = leave(x).detach()
    assert leave.bias is not None
    level(leave.bias, phase_errors(to_pixels(before[:, :12], 2), true, 2))
    after = leave(x).detach()
    assert phase_errors(to_pixels(after[:, :12], 2), true, 2).abs().max() < 1e-5
    assert torch.equal(before[:, 12:], after[:, 12:])
    moved = (after - before)[:, :12].unflatten(1, (3, 4)).mean((0, 2, 3, 4))
    assert moved.abs().max() < 1e-5, "channels keep their means"


def test_a_mesh_is_an_error_that_repeats_and_nothing_else_is() -> None:
    torch.manual_seed(0)
    true = torch.randn(2, 3, 64, 96)
    cell = torch.randn(3, 4, 4)
    cell -= cell.mean((1, 2), keepdim=True)
    mesh, sizes = cell.repeat(1, 16, 24), cell.square().mean((1, 2)).sqrt().mean().item()
    assert mesh_loss(true + mesh, true, 4).item() == pytest.approx(sizes, rel=1e-3)
    here = mesh.clone()
    here[:, :, 32:] = 0.0  # a third of the picture: a mesh need not be everywhere
    assert mesh_loss(true + here, true, 4).item() == pytest.approx(sizes / 3, rel=1e-3)
    assert mesh_loss(true + 0.3, true, 4).item() < 2e-4, "brightness is no mesh"
    noise = torch.randn_like(true) * cell.std()
    assert mesh_loss(true + noise, true, 4) < 0.15 * sizes


def test_small_pictures_have_one_square() -> None:
    assert mesh_loss(torch.ones(1, 3, 8, 12), torch.zeros(1, 3, 8, 12), 4).item() < 2e-4
