"""A policy on a server that speaks as openpi's do: an observation goes out, a chunk of actions comes back.

    with RemotePolicy("ws://127.0.0.1:8001") as policy:
        for row in policy.infer({"observation/image": picture, "prompt": "open the drawer"})["actions"]:
            env.step(row)

The server says first what it is (`metadata`); then there is one answer for each observation, MessagePack with arrays
both ways, and a text is the traceback of a failure. Knows that and the codec; no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from worldloom.streamer.codec import pack, unpack
from worldloom.streamer.errors import BadMessage, ModelFault, SessionClosed

from .env import WorldEnv

ANSWER_S = 300.0  # seconds that an answer may take: a first one may compile kernels


class RemotePolicy:
    """One connection to a policy server. From one thread."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """`key`: sent as `Authorization: Api-Key KEY`, where the server wants one.

        Raises:
            OSError: there is no server.
        """
        headers = {"Authorization": f"Api-Key {key}"} if key else None
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(url, max_size=None, compression=None, proxy=None, additional_headers=headers)
        )
        try:
            self.metadata: Mapping[str, Any] = self._hear()
        except BaseException:
            self.close()
            raise

    def infer(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """What the policy answers; `actions` of it is (steps, A).

        Raises:
            ModelFault: the policy failed; the message is what its server says.
            SessionClosed: the connection was lost.
        """
        try:
            self._socket.send(pack(dict(observation)))
        except ConnectionClosed as error:
            raise SessionClosed(f"the policy server has left: {error}") from error
        return self._hear()

    def close(self) -> None:
        """Leave. Closing twice is allowed."""
        self._open.close()

    def __enter__(self) -> RemotePolicy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self) -> dict[str, Any]:
        try:
            data = self._socket.recv(ANSWER_S)
        except ConnectionClosed as error:
            raise SessionClosed(f"the policy server has left: {error}") from error
        if isinstance(data, str):
            raise ModelFault(f"the policy failed: {data}")
        message = unpack(data)
        if not isinstance(message, dict):
            raise BadMessage("expected a map from the policy server")
        return message


def drive(
    env: WorldEnv,
    policy: RemotePolicy,
    told: Callable[[NDArray[np.uint8], dict[str, Any]], Mapping[str, Any]],
    *,
    seed: int,
    options: dict[str, Any] | None = None,
    carried_out: int | None = None,
) -> tuple[float, list[NDArray[np.uint8]]]:
    """One episode of a world under a policy; returns the sum of rewards and all observations.

    Args:
        env: the world.
        policy: asked whenever the actions that it gave have been carried out.
        told: turns an observation and its info into what this policy wants to see.
        seed: of the episode.
        options: of `env.reset`.
        carried_out: actions of each answer that are carried out before it is asked again; all when absent.
    """
    picture, info = env.reset(seed=seed, options=options)
    pictures, total = [picture], 0.0
    while True:
        for row in policy.infer(told(picture, info))["actions"][:carried_out]:
            picture, reward, terminated, truncated, info = env.step(row)
            pictures.append(picture)
            total += reward
            if terminated or truncated:
                return total, pictures
