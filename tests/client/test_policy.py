"""A policy server as openpi's are, and a world that it drives."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import pytest
from websockets.sync.server import ServerConnection, serve

from worldloom.client.env import WorldEnv
from worldloom.client.policy import RemotePolicy, drive
from worldloom.streamer.errors import ModelFault, SessionClosed

# What follows is openpi's side of the wire, written with msgpack alone.


def to_map(value: Any) -> Any:
    assert isinstance(value, np.ndarray)
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}


def from_map(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" in found:
        return np.ndarray(buffer=found[b"data"], dtype=np.dtype(found[b"dtype"]), shape=found[b"shape"])
    return found


packed = functools.partial(msgpack.packb, default=to_map)
unpacked = functools.partial(msgpack.unpackb, object_hook=from_map)


@pytest.fixture
def policy_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []

    def handle(socket: ServerConnection) -> None:
        socket.send(packed({"name": "turner"}))
        for data in socket:
            observation = unpacked(data)
            if observation["prompt"] == "fail":
                socket.send("Traceback: out of ideas")
                continue
            seen.append(observation)
            turn = np.zeros((4, 6))
            turn[:, 4] = 3.0
            socket.send(packed({"actions": turn}))

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", seen
        server.shutdown()
        thread.join()


def test_a_policy_server_drives_a_world(policy_server: tuple[str, list[dict[str, Any]]]) -> None:
    url, seen = policy_server
    env = WorldEnv("toy", max_frames=5, reward_fn=lambda *_: 1.0)
    with RemotePolicy(url) as policy:
        assert policy.metadata == {"name": "turner"}
        total, pictures = drive(
            env, policy, lambda picture, _: {"observation/image": picture, "prompt": "turn"}, seed=1, carried_out=3
        )
    assert (total, len(pictures), len(seen)) == (5.0, 6, 2)
    np.testing.assert_array_equal(seen[1]["observation/image"], pictures[3])
    alone = [env.reset(seed=1)[0]] + [env.step(np.array([0, 0, 0, 0, 3, 0]))[0] for _ in range(5)]
    np.testing.assert_array_equal(pictures, alone)
    env.close()


def test_failures_of_the_policy_are_told(policy_server: tuple[str, list[dict[str, Any]]]) -> None:
    policy = RemotePolicy(policy_server[0], key="secret")
    with pytest.raises(ModelFault, match="out of ideas"):
        policy.infer({"prompt": "fail"})
    policy.close()
    policy.close()
    with pytest.raises(SessionClosed):
        policy.infer({"prompt": "turn"})
