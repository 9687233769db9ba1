"""What the client notes of its controls: what is held, and the seed; and holding it again on another connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from worldloom.client import receipts
from worldloom.client.connection import connect
from worldloom.client.failures import ConnectionLost
from worldloom.client.receipts import Sent
from worldloom.client.session import RemoteWorld
from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors
from worldloom.streamer.client_messages import Key

from .test_connection import first, serving
from .test_line import back, cut

pytestmark = pytest.mark.timeout(60)


async def test_what_is_held_is_held_again() -> None:
    async with serving() as url, connect(url, format="raw") as world:
        await world.press("ArrowRight")
        await world.axes({"lever": 0.5})
        cut(world)
        await back(world)
        await world.look()  # the latest row has what was said on the way back
        turning = await first(world.pictures(), 3)
        assert (turning[-1].pixels != turning[-2].pixels).any()
        await world.release("ArrowRight")
        still = await first(world.pictures(), 4)
        assert (still[-1].pixels == still[-2].pixels).all()


async def test_holding_again_needs_no_place_among_the_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as url, connect(url, format="raw") as world:
        await world.press("ArrowRight")
        await world.axes({"lever": 0.5})
        monkeypatch.setattr(receipts, "UNANSWERED", 0)
        cut(world)
        await back(world)
        monkeypatch.undo()
        await world.look()
        turning = await first(world.pictures(), 3)
        assert (turning[-1].pixels != turning[-2].pixels).any()
        assert world.ended is None


@pytest.mark.parametrize("axes_again", [False, True])
async def test_the_newest_of_action_and_axes_is_held_again(axes_again: bool) -> None:
    """The lever tints the floor, a button walks; the turn is an amount and spent once."""
    async with serving() as url, connect(url, mode="lockstep", format="raw", seed=5) as world:
        world.axes({"lever": 1.0})
        await world.step()
        world.action([1.0, 0, 0, 0, 5.0, -1.0])
        if axes_again:
            world.axes({"lever": 0.5})
        before = (await world.step())[0].pixels
        cut(world)
        await back(world)
        after = (await world.step())[0].pixels
    toy = ToyWorld()
    state = toy.start(seed=5)
    lever = 0.5 if axes_again else -1.0
    rows = [[0, 0, 0, 0, 0, 1.0], [1.0, 0, 0, 0, 5.0, lever], [1.0, 0, 0, 0, 0, lever]]
    want = [toy.step([state], np.array([[row]], np.float32))[0, 0] for row in rows]
    assert (before == want[1]).all()
    assert (after == want[2]).all()


async def test_what_is_refused_at_once_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as url, connect(url, seed=5) as world:
        await world.press("KeyW")
        monkeypatch.setattr(receipts, "UNANSWERED", 0)
        says: list[Callable[[], Sent]] = [
            lambda: world.press("KeyD"),
            lambda: world.release("KeyW"),
            lambda: world.axes({"lever": 0.5}),
            lambda: world.action([0, 0, 0, 0, 0, 0.5]),
            lambda: world.reset(seed=8),
        ]
        for say in says:
            with pytest.raises(errors.RateLimited):
                say()
        (key,) = world._held()
        assert isinstance(key, Key)
        assert (key.code, key.down, world.seed) == ("KeyW", True, 5)


async def test_what_was_not_sent_is_not_held_later() -> None:
    async with serving() as url, connect(url, format="raw") as world:
        await world.press("KeyE")
        cut(world)
        while not world._away:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for lost in (world.press("ArrowRight"), world.axes({"lever": 0.5}), world.release("KeyE")):
            with pytest.raises(ConnectionLost, match="was not sent"):
                await lost
        await back(world)
        assert world._held() == []
        await world.look()
        still = await first(world.pictures(), 4)
        assert (still[-1].pixels == still[-2].pixels).all()


LEVERS: list[Callable[[RemoteWorld], Sent]] = [
    lambda world: world.axes({"lever": 9.0}),
    lambda world: world.axes({"lever": -1.0, "nothing": 1.0}),
    lambda world: world.axes({"lever": -1.0, "turn": 999.0}),
    lambda world: world.action([0, 0, 0, 0, 0, 9.0]),
]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("say", LEVERS)
async def test_what_the_server_refuses_is_not_held_again(say: Callable[[RemoteWorld], Sent], early: bool) -> None:
    """Refused before the line is lost, or after it is found: what was held before is held again."""
    async with serving() as url, connect(url, mode="lockstep", format="raw", seed=5) as world:
        world.axes({"lever": 0.5})
        await world.step()
        if early:
            with pytest.raises(errors.BadAction):
                await say(world)
        cut(world)
        if not early:
            refused = say(world)
        await back(world)
        after = (await world.step())[0].pixels
        if not early:
            with pytest.raises(errors.BadAction):
                await refused
    toy = ToyWorld()
    state = toy.start(seed=5)
    want = [toy.step([state], np.array([[[0, 0, 0, 0, 0, 0.5]]], np.float32))[0, 0] for _ in range(2)]
    assert (after == want[1]).all()


async def test_what_was_too_much_for_the_server_is_not_held_again() -> None:
    def held(world: RemoteWorld) -> list[dict[str, object]]:
        return [one.model_dump(exclude={"seq"}) for one in world._held()]

    async with serving(message_rate=20.0, message_burst=6) as url, connect(url, mode="lockstep") as world:
        said = [world.axes({"lever": k / 100}) for k in range(1, 10)]
        pressed = world.press("KeyW")
        with pytest.raises(errors.RateLimited):
            await pressed
        taken = [one.message for one in said if not one.refused]
        assert 0 < len(taken) < len(said)
        assert held(world) == [taken[-1].model_dump(exclude={"seq"})]
        await asyncio.sleep(0.2)  # room again
        said.append(world.axes({"lever": -0.5}))
        await world.step()
        assert held(world) == [{"type": "axes", "values": {"lever": -0.5}}]


async def test_a_spectators_keys_are_not_said_again() -> None:
    async with serving() as url, connect(url) as world, connect(url, watch=world.watch_token) as spectator:
        with pytest.raises(errors.Forbidden):
            await spectator.press("KeyW")
        assert spectator._held() == []


async def test_what_is_held_takes_no_more_room_with_time() -> None:
    async with serving(message_rate=1e6, message_burst=10**6) as url, connect(url, mode="lockstep") as world:
        for _ in range(4):
            for k in range(200):
                world.axes({"lever": k / 200})
            await world.step()
        assert len(world._holding.asked) == 0
        assert len(world._held()) == 1


async def test_the_seed_is_that_of_a_beginning_that_was_made() -> None:
    async with serving() as url, connect(url, seed=5, mode="lockstep") as world:
        sent = world.reset(seed=8)
        assert world.seed == 5, "asked for"
        await world.step()
        assert (await sent).status == "applied"
        assert world.seed == 8


async def test_a_refused_beginning_leaves_the_seed() -> None:
    async with serving() as url, connect(url, seed=5) as world:
        with pytest.raises(errors.WorldloomError):
            await world.reset(seed=8, image="no such picture")
        assert world.seed == 5


async def test_another_connection_says_the_seed() -> None:
    async with serving() as url, connect(url, seed=5) as world:
        world.seed = 0  # as if the answer to a reset had been lost
        cut(world)
        await back(world)
        assert world.seed == 5
