"""Streams before a still camera: the hand is counted, the picture goes with it, and states keep both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.models.check import random_actions
from worldloom.models.hand_view import HandOutlook, HandWay
from worldloom.models.view import View
from worldloom.models.weights import load_world, save_world

from .tiny import DRAWER, PUCK, tiny_hand_outlook, tiny_world


@pytest.fixture
def outlook() -> Iterator[HandOutlook]:
    with torch.inference_mode():
        yield tiny_hand_outlook().to(torch.device("cpu"), torch.float32)


def picture(seed: int) -> Tensor:
    return torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def test_a_stream_begins_where_the_picture_shows_the_hand_and_at_rest(outlook: HandOutlook) -> None:
    way = outlook.arrived(picture(0), None)
    levels = ((picture(0) + 1.0) * 127.5).round().byte().movedim(0, -1)[None].numpy()
    read = outlook.reader.read(levels)
    torch.testing.assert_close(way.hand[:3], torch.from_numpy(read.hand[0]))
    torch.testing.assert_close(
        way.thing, torch.from_numpy(read.thing[0].clip(*np.array([DRAWER.low, DRAWER.high], np.float32)))
    )
    assert torch.equal(way.thing, way.left)
    assert torch.equal(way.hand, way.before)
    assert torch.equal(way.hand[:3], way.target)


def test_what_is_counted_is_put_right_by_what_is_read(outlook: HandOutlook) -> None:
    read = outlook.arrived(picture(0), None)
    wrong = HandWay(read.hand + 0.1, read.before + 0.1, read.target + 0.1, read.thing + 0.1, read.left, read.kind)
    better = outlook.arrived(picture(0), wrong)
    assert bool(((better.hand - read.hand)[:3] < 0.07).all())
    assert bool(((better.hand - read.hand)[:3] > 0.0).all())
    assert better.hand[3] == wrong.hand[3], "fingers are not read"
    torch.testing.assert_close(better.thing, read.thing + 0.05)


def test_which_thing_there_is_is_read_once() -> None:
    with torch.inference_mode():
        outlook = tiny_hand_outlook((DRAWER, PUCK)).to(torch.device("cpu"), torch.float32)
        way = outlook.arrived(picture(0), None)
        other = replace(way, kind=1 - way.kind)
        assert way.kind.shape == ()
        assert outlook.arrived(picture(0), other).kind == other.kind
        streams = [View(picture(0), way, 0), View(picture(0), other, 0)]
        together = outlook.ahead(streams, torch.ones(2, 2, 4)).ways
        for stream, gone in zip(streams, together, strict=True):
            (alone,) = outlook.ahead([stream], torch.ones(1, 2, 4)).ways
            assert all(
                torch.equal(a, b) for a, b in zip(alone.tensors().values(), gone.tensors().values(), strict=True)
            )


def test_a_hand_at_rest_leaves_the_picture_as_it_is(outlook: HandOutlook) -> None:
    view = View(picture(1), outlook.arrived(picture(1), None), 0)
    resting = outlook.ahead([view], torch.zeros(1, 2, 4))
    assert resting.still.tolist() == [True]
    assert torch.equal(outlook.picture(picture(2)[None], resting)[0], view.picture)
    moving = outlook.ahead([view], torch.ones(1, 2, 4))
    assert moving.still.tolist() == [False]
    assert not torch.equal(moving.moved[0], view.picture)
    assert torch.equal(moving.filled, moving.moved)


def test_the_way_goes_on(outlook: HandOutlook) -> None:
    view = View(picture(1), outlook.arrived(picture(1), None), 0)
    (way,) = outlook.ahead([view], torch.ones(1, 2, 4)).ways
    assert isinstance(way, HandWay)
    assert torch.equal(way.before, view.way.tensors()["hand"])
    assert not torch.equal(way.hand, way.before)


def test_saved_parked_and_shipped_streams_go_on_the_same(tmp_path: Path) -> None:
    world = tiny_world(hand=True)
    path, rows = tmp_path / "tiny.safetensors", random_actions(world.spec, 0)
    save_world(path, world, {}, torch.float32)
    again = load_world(path, device="cpu", dtype=torch.float32)
    state = world.start(seed=3)
    world.step([state], rows)
    copies = [world.load(world.save(state)), again.load(world.save(state)), world.load(world.park(state))]
    worlds = [world, again, world]
    want = world.step([state], rows).astype(np.int16)
    for copy, where in zip(copies, worlds, strict=True):
        assert np.abs(where.step([copy], rows).astype(np.int16) - want).max() <= 2
        assert copy.view is not None
        assert state.view is not None
        assert torch.equal(copy.view.way.tensors()["hand"], state.view.way.tensors()["hand"])
