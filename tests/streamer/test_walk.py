"""The walk of a session: what it keeps, what it forgets, and that it shows the same again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from worldloom.streamer.frames import Frame
from worldloom.streamer.origin import Origin
from worldloom.streamer.walk import Walk
from worldloom.streamer.wire import unpack_frame

from .conftest import Client, Serve

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame(index: int, origin: Origin | None = None, steps: int = 0) -> Frame:
    row = np.array([index, 0.1], np.float32)
    return Frame(index, 0, PIXELS, 0, 0, 0, 0, actions=row, origin=origin, steps=steps)


def walked(walk: Walk, first: int, last: int, seed: int = 7) -> None:
    for index in range(first, last):
        walk.frame(frame(index, Origin(seed) if index == first else None))


def rows(walk: Walk) -> list[float]:
    taken = walk.taken()
    assert taken is not None
    assert np.all(taken.rows[:, 1] == np.float32(0.1))
    return [float(row[0]) for row in taken.rows]


def test_it_begins_anew_with_the_world() -> None:
    walk = Walk()
    assert walk.taken() is None
    walked(walk, 0, 3)
    walked(walk, 3, 5, seed=8)
    taken = walk.taken()
    assert taken is not None
    assert (taken.origin.seed, rows(walk)) == (8, [3, 4])


def test_it_follows_a_world_that_goes_back() -> None:
    walk = Walk()
    walked(walk, 10, 16)
    walk.frame(frame(16, steps=1))
    walk.rewound(13, 17)
    for index in (17, 18):  # numbers are not used again
        walk.frame(frame(index))
    assert rows(walk) == [10, 11, 12, 17, 18]
    taken = walk.taken()
    assert taken is not None
    assert not taken.reduced, "the frame of fewer steps is not part of it any more"
    walk.rewound(10, 19)
    assert walk.taken() is None


def test_it_goes_back_with_the_frame_that_says_so() -> None:
    walk = Walk()
    walked(walk, 0, 6)
    walk.frame(replace(frame(6), back_to=4))
    walk.frame(replace(frame(7), back_to=2))
    walk.frame(frame(8))
    assert rows(walk) == [0, 1, 7, 8]


@pytest.mark.parametrize(("to", "left"), [(5, None), (6, None), (4, [0, 1, 2, 3, 8]), (7, [0, 1, 2, 3, 6, 8])])
def test_into_what_was_taken_out_no_walk_leads(to: int, left: list[int] | None) -> None:
    walk = Walk()
    walked(walk, 0, 6)  # frames 4 and 5 are taken out; a moment among them was kept
    walk.frame(replace(frame(6), back_to=4))
    walk.frame(frame(7))
    walk.frame(replace(frame(8), back_to=to))
    assert (None if walk.taken() is None else rows(walk)) == left


def test_one_that_is_too_long_is_given_up_until_the_world_begins_anew() -> None:
    walk = Walk(most=3 * 8)
    walked(walk, 0, 4)
    walk.frame(frame(4))
    assert walk.taken() is None
    walked(walk, 5, 7)
    assert rows(walk) == [5, 6]


def test_what_overload_took_is_told() -> None:
    walk = Walk()
    walked(walk, 0, 2)
    walk.frame(frame(2, steps=1))
    taken = walk.taken()
    assert taken is not None
    assert taken.reduced


async def shown(client: Client, count: int) -> dict[int, bytes]:
    """The next raw pictures, by number."""
    pictures: dict[int, bytes] = {}
    while len(pictures) < count:
        header, payload = unpack_frame(await client.picture())
        pictures[header.index] = bytes(payload)
    return pictures


async def test_a_walk_shows_the_same_again(serve: Serve) -> None:
    async with serve() as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket", format="raw", seed=3)
            await client.send("key", seq=1, code="KeyW", down=True)
            await client.send("look", seq=2, yaw=40.0)  # more than fits one frame
            first = await shown(client, 8)
            await client.send("reset", seq=3, seed=9)
            applied = await client.expect("receipt", seq=3)
            later = await shown(client, 8)
            answer = await server.get("/v1/walk", authorization=f"Bearer {welcome['resume']}")
            await client.send("bye")
        told: dict[str, Any] = answer.json()
        assert (told["world"], told["seed"], told["image"], told["reduced"]) == ("toy", 9, False, False)
        async with server.client() as client:
            await client.hello(video="websocket", format="raw", seed=told["seed"], mode="lockstep")
            for seq, row in enumerate(told["rows"], 1):
                await client.send("step", seq=seq, actions=[row])
            again = await shown(client, len(told["rows"]))
        same = {index: later[index] == again[index - applied["frame"]] for index in later if index >= applied["frame"]}
        assert len(same) >= 6
        assert all(same.values())
        assert len(set(later.values())) > 1, "pictures that never change prove nothing"
        assert first.keys().isdisjoint(same)


async def test_a_walk_is_told_to_its_driver_alone(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello()
        for authorization in ("", "Bearer", f"Bearer {welcome['watch']}", f"Basic {welcome['resume']}"):
            assert (await server.get("/v1/walk", authorization=authorization)).status_code == 401
        (room,) = server.state.rooms
        room.walk.forget()
        assert (await server.get("/v1/walk", authorization=f"Bearer {welcome['resume']}")).status_code == 409
        await client.send("bye")
        await server.freed()
        assert (await server.get("/v1/walk", authorization=f"Bearer {welcome['resume']}")).status_code == 401


def test_its_rows_are_its_own() -> None:
    walk = Walk()
    row = np.array([1.0, 2.0], np.float32)
    walk.frame(replace(frame(0, Origin(1)), actions=row))
    row[:] = 5.0
    taken = walk.taken()
    assert taken is not None
    assert taken.rows.tolist() == [[1.0, 2.0]]
