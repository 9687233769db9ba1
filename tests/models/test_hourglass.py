"""The hourglass: what it is told reaches every cell, and what one corner shows reaches the opposite one."""

from __future__ import annotations

import pytest
import torch

from worldloom.models.hourglass import CELL, TOLD, Hourglass

SIZE, WIDTHS, NUMBERS, ENTERING, LEAVING = (48, 64), (8, 12, 16), 5, 6, 3


def hourglass(*, at_once: bool) -> Hourglass:
    torch.manual_seed(1)
    net = Hourglass(
        SIZE, WIDTHS, numbers=NUMBERS, entering=ENTERING, leaving=LEAVING, told_at_once=at_once
    ).requires_grad_(False)
    for p in net.parameters():  # what begins with zeros says nothing yet
        p.copy_(0.2 * torch.randn_like(p))
    return net


def cells() -> torch.Tensor:
    return torch.randn(2, ENTERING, SIZE[0] // CELL, SIZE[1] // CELL, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("at_once", [False, True])
def test_shapes_are_as_told(at_once: bool) -> None:
    net = hourglass(at_once=at_once)
    told = net.told(torch.randn(2, NUMBERS))
    assert told.shape == (2, TOLD)
    y, coarse = net.down_and_up(cells(), told)
    assert y.shape == (2, LEAVING, SIZE[0] // CELL, SIZE[1] // CELL)
    assert coarse.shape == (2, WIDTHS[2], SIZE[0] // 16, SIZE[1] // 16)


@pytest.mark.parametrize("at_once", [False, True])
def test_what_it_is_told_reaches_every_cell_of_its_own_picture(at_once: bool) -> None:
    net, told = hourglass(at_once=at_once), torch.zeros(2, TOLD)
    before, _ = net.down_and_up(cells(), told)
    told[1] = 3.0
    after, _ = net.down_and_up(cells(), told)
    assert torch.equal(before[0], after[0])
    assert (before[1] != after[1]).any(0).all()


def test_one_corner_reaches_the_opposite_one() -> None:
    net, told, x = hourglass(at_once=False), torch.zeros(2, TOLD), cells()
    before, _ = net.down_and_up(x, told)
    x[:, :, 0, 0] += 3.0
    after, _ = net.down_and_up(x, told)
    assert (before[:, :, -1, -1] != after[:, :, -1, -1]).any()


@pytest.mark.parametrize("at_once", [False, True])
def test_it_begins_by_saying_nothing(at_once: bool) -> None:
    torch.manual_seed(1)
    net = Hourglass(SIZE, WIDTHS, numbers=NUMBERS, entering=ENTERING, leaving=LEAVING, told_at_once=at_once)
    assert (net.inform_fine is not None) is at_once
    y, _ = net.down_and_up(cells(), torch.ones(2, TOLD))
    assert not y.any()
