"""The client for programs without an event loop, against a real server on another thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from tests.threaded import threaded
from worldloom.client.blocking import SyncWorld, connect_sync
from worldloom.client.connection import connect
from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors

pytestmark = pytest.mark.timeout(60)

PNG = b"\x89PNG\r\n\x1a\n"  # as much of a picture as an upload looks at


@pytest.fixture
def url() -> Iterator[str]:
    with threaded() as address:
        yield address.replace("http", "ws")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "worldloom"]


def test_a_world_is_driven_and_seen_without_a_loop(url: str) -> None:
    with connect_sync(url, world="toy", seed=5) as world:
        assert (world.info.name, world.seed, world.mode) == ("toy", 5, "realtime")
        assert world.press("KeyW").result(5).status == "applied"
        world.look(yaw=2.0)
        assert world.release("KeyW").result(5).seq == 3, "in the order in which they were said"
        with world.hold("ArrowRight") as pressed:
            assert pressed.result(5).status == "applied"
        indices = [picture.index for picture in islice(world.pictures(), 5)]
        assert indices == sorted(set(indices))
        assert world.newest is not None
        assert world.ended is None
    assert threads() == []


def test_every_control_is_there(url: str) -> None:
    with connect_sync(url) as world:
        said = [
            world.tap("KeyW"),
            world.axes({"lever": 0.5}),
            world.action([0, 0, 0, 0, 1.0, 0]),
            world.reset(seed=8),
            world.pause(),
            world.resume(),
        ]
        assert {one.result(5).status for one in said} <= {"applied", "superseded", "expired"}
        assert world.seed == 8
        for refused, kind in [
            (world.press("KeyZ"), errors.UnknownKey),
            (world.prompt("a beach"), errors.Unsupported),
            (world.say("a beach", "flush"), errors.Unsupported),
            (world.record(), errors.RecordingOff),
        ]:
            with pytest.raises(kind):
                refused.result(5)
        with pytest.raises(errors.BadImage):
            world.start_from(b"<svg/>")


def test_lockstep_gives_the_worlds_own_pictures(url: str) -> None:
    rows = [[0.0, 0.0, 0.0, 0.0, float(turn), 0.0] for turn in range(4)]
    with connect_sync(url, seed=5, mode="lockstep", format="raw") as world:
        pictures = [world.step([row])[0].pixels for row in rows]
    toy = ToyWorld()
    state = toy.start(seed=5)
    for row, picture in zip(rows, pictures, strict=True):
        assert (picture == toy.step([state], np.array([[row]], np.float32))[0, 0]).all()


def test_a_refusal_is_raised_where_the_world_is_opened(url: str) -> None:
    with pytest.raises(errors.UnknownWorld), connect_sync(url, world="atlantis"):
        pass
    with pytest.raises(OSError, match="Connect call failed|Multiple exceptions"), connect_sync("ws://127.0.0.1:9"):
        pass
    assert threads() == []


def test_nobody_waits_for_ever_for_a_world_that_is_closed(url: str) -> None:
    with connect_sync(url, mode="lockstep") as world:
        unanswered = world.look(yaw=1.0)
        stuck: list[BaseException] = []

        def watch() -> None:
            try:
                list(world.pictures())
            except errors.WorldloomError as error:
                stuck.append(error)

        thread = threading.Thread(target=watch)
        thread.start()
        time.sleep(0.2)
    thread.join(5)
    assert not thread.is_alive()
    with pytest.raises(errors.SessionClosed):
        unanswered.result(5)
    for use in (lambda: world.press("KeyW"), world.step, lambda: next(world.pictures())):
        with pytest.raises(errors.SessionClosed):
            use()
    world.close()


def test_what_was_said_is_not_taken_back(url: str) -> None:
    with connect_sync(url, mode="lockstep") as world:
        answered = world.look(yaw=1.0)
        assert not answered.cancel()
        world.step()
        assert answered.result(5).status == "applied"
        unanswered = world.look(yaw=1.0)
        assert not unanswered.cancel()
        later = world.look(yaw=1.0)
    for one in (unanswered, later):
        with pytest.raises(errors.SessionClosed):
            one.result(5)


def test_a_lost_connection_is_found_again(url: str) -> None:
    with connect_sync(url) as world:
        before = next(world.pictures()).index
        remote = world._world
        assert world._loop is not None
        assert remote._line._socket is not None
        world._loop.call_soon_threadsafe(remote._line._socket.transport.abort)
        deadline = time.monotonic() + 8
        while world.reconnected == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert world.press("KeyW").result(5).status == "applied"
        assert next(islice(world.pictures(), 2, None)).index > before


def test_a_world_that_was_not_entered_says_so() -> None:
    world = SyncWorld(connect("ws://127.0.0.1:9"))
    with pytest.raises(errors.SessionClosed, match="not open"):
        world.press("KeyW")


@pytest.mark.parametrize("early", [False, True])
def test_a_world_is_closed_while_it_opens(early: bool) -> None:
    """`early`: before its thread has a loop."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        world = SyncWorld(connect(f"ws://127.0.0.1:{silent.getsockname()[1]}"))
        told: list[BaseException] = []

        def enter() -> None:
            try:
                world.__enter__()
            except errors.SessionClosed as error:
                told.append(error)

        entering = threading.Thread(target=enter)
        if early:
            closing = threading.Thread(target=world.close)
            closing.start()
            closing.join(5)
            assert not closing.is_alive()
            entering.start()
        else:
            entering.start()
            silent.settimeout(5)
            waiting, _ = silent.accept()  # for the handshake
            with waiting:
                begun = time.monotonic()
                world.close()
                assert time.monotonic() - begun < 3.0
        entering.join(5)
    assert [str(error) for error in told] == ["closed before it was open"]
    assert threads() == []


@pytest.mark.parametrize("opening", [False, True])
def test_closing_does_not_wait_for_an_upload(url: str, opening: bool) -> None:
    """`opening`: the picture is for the beginning, and there is no session yet."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the picture, and says nothing
        silent.settimeout(5)
        elsewhere = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        world = SyncWorld(connect(elsewhere, image=PNG) if opening else connect(url))
        told: list[BaseException] = []

        def ask() -> None:
            try:
                world.__enter__() if opening else world.start_from(PNG)
            except errors.SessionClosed as error:
                told.append(error)

        if not opening:
            world.__enter__()
            world._world._line._url = elsewhere
        asking = threading.Thread(target=ask)
        asking.start()
        uploading, _ = silent.accept()
        with uploading:
            assert uploading.recv(4).startswith(b"POST")
            begun = time.monotonic()
            world.close()
            assert time.monotonic() - begun < 3.0
            asking.join(5)
            assert not asking.is_alive()
            uploading.settimeout(5)
            while uploading.recv(65536):
                pass  # the connection has an end too
    assert [type(error) for error in told] == [errors.SessionClosed]
    assert threads() == []


def test_a_world_that_was_never_entered_is_closed() -> None:
    SyncWorld(connect("ws://127.0.0.1:9")).close()
