"""Worlds on a server, by the batch and in lockstep: every step of all streams is one message each way.

    worlds = RemoteWorlds("ws://127.0.0.1:8000", 8, name="arm")

The twin of `embed.WorldBatch`, for code that is not asynchronous. A connection that was lost is found again, and the
request that it interrupted is asked again; the server answers it and does it only once. Knows the verbs of the server's
`/v1/batch`; no environment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from worldloom.streamer.codec import pack, unpack
from worldloom.streamer.errors import BadMessage, MessageTooLarge, SessionClosed, WorldloomError
from worldloom.streamer.protocol import PROTOCOL
from worldloom.streamer.server_messages import Error
from worldloom.streamer.wire import NORMAL_CLOSE
from worldloom.streamer.world_info import WorldInfo
from worldloom.streamer.worlds import Chunk, Start

from .failures import raised
from .line import WAITS, endpoint

PATH = "v1/batch"
ANSWER_S = 300.0  # seconds that an answer may take: a first step may compile kernels
MOST_BYTES = 1024 * 1024  # of one request
LARGEST_ANSWER = 512 * 1024 * 1024  # bytes


class RemoteWorlds:
    """B streams of a world on a server; see `worlds.Worlds` for the calls. From one thread."""

    def __init__(
        self,
        url: str,
        size: int,
        *,
        name: str | None = None,
        token: str | None = None,
        deterministic: bool = False,
        patience: float = 30.0,
    ) -> None:
        """Open streams.

        Args:
            url: of the server, like "ws://127.0.0.1:8000".
            size: how many.
            name: of the world; the server's first one when absent.
            token: signed by the server, where it asks for one.
            deterministic: refused: what a server steps together is its own business.
            patience: seconds to seek a connection that was lost.

        Raises:
            WorldloomError: what the server answered.
            ConnectionError, OSError: there is no server.
        """
        if deterministic:
            raise ValueError("expected deterministic only with a world in this process")
        self._url = endpoint(f"{url.rstrip('/')}/{PATH}" if url.count("/") < 3 else url)
        self._hello: dict[str, Any] = {
            "type": "hello",
            "protocol": PROTOCOL,
            "world": name,
            "size": size,
            "token": token,
        }
        self._patience = patience
        self._id = 0
        self._closed = False
        self.reconnected = 0  # times that a lost connection was found again
        self._line = ExitStack()  # the connection that is open
        self._socket, welcome = self._open()
        self._resume = welcome["resume"]
        self._size = int(welcome["size"])
        self.info = WorldInfo.model_validate_json(json.dumps(welcome["world"]))

    def __len__(self) -> int:
        return self._size

    def start(self, starts: Mapping[int, Start]) -> None:
        """See `worlds.Worlds`. A state is one that this server saved."""
        told = [_told(start) for start in starts.values()]
        self._ask("start", which=list(starts), starts=told)

    def step(self, rows: NDArray[np.float32], which: Sequence[int] | None = None) -> Chunk:
        """See `worlds.Worlds`."""
        chosen = None if which is None else [int(k) for k in which]
        made = self._ask("step", rows=np.asarray(rows, np.float32), which=chosen)
        drift = made["drift"]
        return Chunk(made["frames"].copy(), None if drift is None else drift.copy(), float(made["compute_ms"]))

    def save(self, which: Sequence[int] | None = None) -> tuple[bytes, ...]:
        """Names of states that the server keeps: it has the latest, for as long as it runs."""
        return tuple(self._ask("save", which=None if which is None else [int(k) for k in which])["states"])

    def fork(self, copies: int) -> RemoteWorlds:
        """See `worlds.Worlds`; on a connection of its own."""
        states = self.save()
        hello = self._hello
        made = RemoteWorlds(
            self._url, self._size * copies, name=hello["world"], token=hello["token"], patience=self._patience
        )
        try:
            made.start({k: Start(0, state=states[k // copies]) for k in range(len(made))})
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Say goodbye; the server frees the states. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        try:
            self._socket.send(pack({"verb": "bye"}))
        except ConnectionClosed:
            return
        finally:
            self._line.close()

    def _ask(self, verb: str, **told: Any) -> dict[str, Any]:
        """The answer to a request; asked again on a new connection when the old one is lost meanwhile."""
        if self._closed:
            raise SessionClosed("expected worlds that are open")
        self._id += 1
        request = pack({"id": self._id, "verb": verb, **told})
        if len(request) > MOST_BYTES:
            raise MessageTooLarge(f"expected a request of at most {MOST_BYTES} bytes, got {len(request)}: ask for less")
        while True:
            try:
                self._socket.send(request)
                while (found := _checked(self._socket.recv(ANSWER_S))).get("id") != self._id:
                    pass  # the answer to a request that was given up
                return found
            except ConnectionClosed as error:
                if error.rcvd is not None and error.rcvd.code == NORMAL_CLOSE:
                    raise SessionClosed("the server has closed the connection") from error
                self._come_back(error)

    def _come_back(self, lost: ConnectionClosed) -> None:
        deadline, attempt = time.monotonic() + self._patience, 0
        while True:
            try:
                self._socket, _ = self._open(self._resume)
                self.reconnected += 1
                return
            except (OSError, InvalidHandshake, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise SessionClosed(f"the connection was lost: {lost}") from error
            time.sleep(WAITS[min(attempt, len(WAITS) - 1)])
            attempt += 1

    def _open(self, resume: str | None = None) -> tuple[ClientConnection, dict[str, Any]]:
        self._line.close()
        with ExitStack() as line:
            socket = line.enter_context(connect(self._url, max_size=LARGEST_ANSWER, compression=None, proxy=None))
            try:
                socket.send(pack(self._hello | ({} if resume is None else {"resume": resume})))
                welcome = _checked(socket.recv(ANSWER_S))
            except ConnectionClosed as error:
                raise ConnectionError(f"expected a welcome, the server closed the connection: {error}") from error
            self._line = line.pop_all()
        return socket, welcome


def _checked(data: str | bytes) -> dict[str, Any]:
    """A message of the server; its refusal is raised."""
    message = unpack(data) if isinstance(data, bytes) else None
    if not isinstance(message, dict):
        raise BadMessage("expected a map from the server")
    if (error := message.get("error")) is not None:
        raise refused(error)
    return message


def refused(told: Mapping[str, Any]) -> WorldloomError:
    """A refusal as the exception of its code."""
    return raised(Error(**{name: told[name] for name in ("code", "message", "retryable", "retry_after")}))


def _told(start: Start) -> dict[str, Any]:
    told = {"seed": start.seed, "prompt": start.prompt, "image": start.image, "state": start.state}
    actions = None if start.actions is None else np.asarray(start.actions, np.float32)
    return {**told, "frames": start.frames, "actions": actions}
