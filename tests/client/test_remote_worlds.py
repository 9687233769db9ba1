"""Worlds on a server by the batch: the same bytes as here, and the same batch after a lost connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from socket import SHUT_RDWR
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from tests.threaded import threaded
from worldloom.client.env import WorldEnv
from worldloom.client.lockstep import reach
from worldloom.client.remote_worlds import RemoteWorlds
from worldloom.client.vector_env import WorldVectorEnv
from worldloom.streamer.codec import pack, unpack
from worldloom.streamer.errors import BadAction, Busy, MessageTooLarge, SessionClosed, UnknownWorld, Unsupported
from worldloom.streamer.worlds import Start

ROWS = np.array([[[1, 0, 0, 0, 3, 0.5]], [[0, 0, 1, 0, -3, 0]]], np.float32)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with threaded(max_sessions=6, orphan_timeout=2.0) as url:
        yield url.replace("http", "ws")


@pytest.fixture
def worlds(server: str) -> Iterator[RemoteWorlds]:
    made = RemoteWorlds(server, 2)
    yield made
    made.close()
    wait_for(lambda: sessions(server) == 0)


def test_environments_give_the_same_bytes_here_and_there(server: str) -> None:
    here, there = WorldVectorEnv("toy", 2, max_frames=3), WorldVectorEnv(server, 2, max_frames=3)
    here.action_space.seed(0)
    try:
        assert (here.reset(seed=4)[0] == there.reset(seed=4)[0]).all()
        for _ in range(5):  # an end and a new beginning among them
            actions = here.action_space.sample()
            a, b = here.step(actions), there.step(actions)
            assert (a[0] == b[0]).all()
            assert (a[3] == b[3]).all()
    finally:
        here.close()
        there.close()


def test_a_snapshot_and_a_fork_on_the_server(server: str) -> None:
    env = WorldEnv(server, name="toy")
    env.reset(seed=1)
    env.step(ROWS[0, 0])
    past = env.snapshot()
    ahead = env.step(ROWS[1, 0])[0]
    env.restore(past)
    forks = env.fork(2)
    assert (forks.step(ROWS[::-1, 0])[0][0] == ahead).all()
    forks.close()
    assert (env.step(ROWS[1, 0])[0] == ahead).all()
    env.close()
    wait_for(lambda: sessions(server) == 0)


def test_what_is_given_belongs_to_the_caller(worlds: RemoteWorlds) -> None:
    worlds.start({0: Start(1), 1: Start(2)})
    chunk = worlds.step(ROWS)
    chunk.frames[:] = 0
    assert chunk.drift is None
    assert worlds.step(ROWS[:1], [1]).frames.any()


def test_a_lost_connection_is_found_and_nothing_is_done_twice(worlds: RemoteWorlds) -> None:
    twin = reach("toy", None, 2)
    for one in (worlds, twin):
        one.start({0: Start(1), 1: Start(2)})
    for k in range(4):
        if k in (1, 3):
            worlds._socket.socket.shutdown(SHUT_RDWR)  # nobody says goodbye
        np.testing.assert_array_equal(worlds.step(ROWS).frames, twin.step(ROWS).frames)
    assert worlds.reconnected == 2
    twin.close()


def test_an_answer_that_got_lost_is_given_again(server: str) -> None:
    hello = {"type": "hello", "protocol": 1, "world": "toy", "size": 1}
    with dial(server) as socket:
        resume = ask(socket, hello)["resume"]
        ask(socket, {"id": 1, "verb": "start", "starts": [{"seed": 1}]})
        step = {"id": 2, "verb": "step", "rows": ROWS[:1]}
        first = ask(socket, step)["frames"]
    with dial(server) as socket:
        ask(socket, {**hello, "resume": resume})
        np.testing.assert_array_equal(ask(socket, step)["frames"], first)
        assert not np.array_equal(ask(socket, {**step, "id": 3})["frames"], first)
        socket.send(pack({"verb": "bye"}))
    wait_for(lambda: sessions(server) == 0)


def test_a_program_that_stays_away_is_forgotten(server: str) -> None:
    with dial(server) as socket:
        resume = ask(socket, {"type": "hello", "protocol": 1, "size": 2})["resume"]
        ask(socket, {"id": 1, "verb": "start", "starts": [{"seed": 1}, {"seed": 2}]})
        assert sessions(server) == 2
    wait_for(lambda: sessions(server) == 0, within=6.0)
    with dial(server) as socket:
        refused = ask(socket, {"type": "hello", "protocol": 1, "resume": resume})
    assert refused["error"]["code"] == "unknown_session"


@pytest.mark.parametrize(
    "request_",
    [
        {"verb": "dance"},
        {"verb": "step", "rows": ROWS.astype(np.float64)},
        {"verb": "step", "rows": [[[0.0]]]},
        {"verb": "step", "rows": ROWS, "which": [0, 0]},
        {"verb": "step", "rows": ROWS, "which": [0, 7]},
        {"verb": "start", "starts": [{"seed": -1}, {"seed": 1}]},
        {"verb": "start", "starts": [{"seed": 1, "state": "text"}, {"seed": 1}]},
        {"verb": "start", "starts": [{"seed": 1, "image": np.zeros((2, 2), np.uint8)}, {"seed": 1}]},
        {"verb": "start", "starts": []},
    ],
)
def test_a_wrong_request_is_refused_and_the_batch_lives_on(server: str, request_: dict[str, Any]) -> None:
    with dial(server) as socket:
        ask(socket, {"type": "hello", "protocol": 1, "size": 2})
        assert ask(socket, {"id": 1, **request_})["error"]["code"] == "bad_message"
        assert ask(socket, {"id": 2, "verb": "start", "starts": [{"seed": 1}, {"seed": 2}]}) == {"id": 2}
        socket.send(pack({"verb": "bye"}))


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"type": "good day"}, "hello_expected"),
        ({"type": "hello", "protocol": 99}, "version_mismatch"),
        ({"type": "hello", "protocol": 1, "size": 0}, "bad_message"),
        ({"type": "hello", "protocol": 1, "size": 100_000}, "bad_message"),
        ({"type": "hello", "protocol": 1, "world": "nowhere"}, "unknown_world"),
        ({"type": "hello", "protocol": 1, "resume": "nothing of the kind"}, "unknown_session"),
        ("a text", "bad_message"),
    ],
)
def test_a_wrong_hello_is_refused(server: str, hello: Any, code: str) -> None:
    with dial(server) as socket:
        assert ask(socket, hello)["error"]["code"] == code


def test_refusals_are_raised_as_what_they_are(server: str, worlds: RemoteWorlds) -> None:
    with pytest.raises(SessionClosed, match="started"):
        worlds.step(ROWS)
    worlds.start({0: Start(1), 1: Start(2)})
    with pytest.raises(BadAction):
        worlds.step(ROWS[:1])
    with pytest.raises(Unsupported):
        worlds.start({0: Start(1, prompt="a castle")})
    with pytest.raises(Unsupported, match="still has"):
        worlds.start({0: Start(1, state=b"of another server")})
    worlds.step(ROWS)  # the streams before live on
    with pytest.raises(MessageTooLarge):
        worlds.start({0: Start(1, frames=np.zeros((100, 96, 128, 3), np.uint8))})
    with pytest.raises(UnknownWorld):
        RemoteWorlds(server, 1, name="nowhere")
    with pytest.raises(Busy):
        worlds.fork(8)
    with pytest.raises(ValueError, match="deterministic"):
        WorldVectorEnv(server, 1, deterministic=True)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        RemoteWorlds("ws://127.0.0.1:9", 1)


def test_a_token_is_asked_for_where_strangers_come() -> None:
    from worldloom.streamer.tokens import Claims, Tokens

    secret = "s" * 40
    exp = int(time.time()) + 600
    with threaded(auth="on", secret=secret) as url:
        guarded = url.replace("http", "ws")
        for claims, code in (
            (None, "unauthorized"),
            (Claims(role="watch", exp=exp), "unauthorized"),
            (Claims(role="drive", exp=exp, world="another"), "unknown_world"),
        ):
            token = None if claims is None else Tokens(secret).sign(claims)
            with dial(guarded) as socket:
                assert ask(socket, {"type": "hello", "protocol": 1, "token": token})["error"]["code"] == code
        env = WorldEnv(guarded, token=Tokens(secret).sign(Claims(role="drive", exp=exp)))
        env.reset(seed=0)
        env.close()


def dial(server: str) -> Any:
    return connect(f"{server}/v1/batch", max_size=None, proxy=None)


def ask(socket: Any, message: Any) -> dict[str, Any]:
    socket.send(message if isinstance(message, str) else pack(message))
    answer: dict[str, Any] = unpack(socket.recv(10))
    return answer


def sessions(server: str) -> int:
    """Sessions that the engine holds."""
    import json
    from urllib.request import urlopen

    with urlopen(f"http{server.removeprefix('ws')}/v1/capacity", timeout=5) as found:
        return int(json.load(found)["worlds"]["toy"]["sessions"])


def wait_for(holds: Any, within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
