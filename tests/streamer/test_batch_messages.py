"""What is told of `/v1/batch` is what crosses the wire there, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgpack
import numpy as np
import pytest
from pydantic import ValidationError
from websockets.sync.client import ClientConnection

from tests.threaded import threaded
from worldloom.client.remote_worlds import RemoteWorlds
from worldloom.streamer import batch_messages as told
from worldloom.streamer.codec import pack
from worldloom.streamer.errors import BadAction
from worldloom.streamer.fields import Message
from worldloom.streamer.worlds import Start

Wire: TypeAlias = tuple[list[bytes], list[bytes]]
ROWS = np.zeros((2, 1, 6), np.float32)


@pytest.fixture
def server() -> Iterator[str]:
    with threaded(max_sessions=6) as url:
        yield url


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """What our client says and hears."""
    said: list[bytes] = []
    heard: list[bytes] = []
    send, recv = ClientConnection.send, ClientConnection.recv

    def sending(socket: ClientConnection, data: bytes) -> None:
        said.append(data)
        send(socket, data)

    def receiving(socket: ClientConnection, *arguments: Any) -> Any:
        data = recv(socket, *arguments)
        assert isinstance(data, bytes)
        heard.append(data)
        return data

    monkeypatch.setattr(ClientConnection, "send", sending)
    monkeypatch.setattr(ClientConnection, "recv", receiving)
    return said, heard


def plain(value: Any) -> Any:
    """A map in MessagePack as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def read(model: type[Message], data: bytes) -> Message:
    return model.model_validate_json(json.dumps(plain(msgpack.unpackb(data))))


def test_a_conversation_has_the_shapes_that_are_told(server: str, wire: Wire) -> None:
    worlds = RemoteWorlds(server.replace("http", "ws"), 2, name="toy")
    worlds.start({0: Start(2**62), 1: Start(2)})
    worlds.step(ROWS)
    (state,) = worlds.save([1])
    worlds.start({0: Start(0, state=state)})
    with pytest.raises(BadAction):
        worlds.step(ROWS[:, :, :3])
    worlds.close()
    said, heard = wire
    start, step, save = told.BatchStart, told.BatchStep, told.BatchSave
    asked: list[type[Message]] = [told.BatchHello, start, step, save, start, step, told.BatchBye]
    for model, data in zip(asked, said, strict=True):
        read(model, data)
    answers: list[type[Message]] = [told.BatchWelcome, told.BatchStarted, told.BatchStepped]
    answers += [told.BatchSaved, told.BatchStarted, told.BatchRefused]
    for model, data in zip(answers, heard, strict=True):
        read(model, data)


def test_a_beginning_may_have_pictures_and_what_led_to_them() -> None:
    shape = {"image": np.zeros((2, 2, 3), np.uint8), "actions": np.zeros((1, 6), np.float32)}
    begun = {"seed": 1, "prompt": None, "state": None, "frames": np.zeros((1, 2, 2, 3), np.uint8), **shape}
    read(told.BatchBeginning, pack(begun))
    with pytest.raises(ValidationError):
        read(told.BatchBeginning, pack(begun | {"seed": -1}))
    with pytest.raises(ValidationError):
        read(told.BatchBeginning, pack(begun | {"pictures": 1}))
