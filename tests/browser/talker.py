"""One visitor without a page: a WebSocket, message by message, heard on a thread of its own.

Whoever drives a page holds the test's thread; what this one hears meanwhile is kept, with the moment at which it came.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from worldloom.streamer.wire import unpack_frame

PATIENCE = 10.0  # seconds that a test waits for anything


@dataclass(frozen=True)
class Heard:
    """A message, and when it came: seconds, monotonic."""

    at: float
    message: dict[str, Any]


@contextmanager
def talker(url: str) -> Iterator[Talker]:
    """Somebody at a server, like http://127.0.0.1:8000."""
    address = url.replace("http", "ws") + "/v1/session"
    with connect(address, compression=None, max_size=None, proxy=None, close_timeout=0.5) as wire:
        yield Talker(wire)


class Talker:
    """See the module."""

    def __init__(self, wire: ClientConnection) -> None:
        self.session = ""  # once it is open
        self._wire = wire
        self._news = threading.Condition()  # guards what was heard
        self._heard: list[Heard] = []
        self._over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def send(self, type: str, **fields: Any) -> None:
        self._wire.send(json.dumps({"type": type, **fields}))

    def hello(self, **fields: Any) -> dict[str, Any]:
        """Open a session; the welcome."""
        self.send("hello", **{"protocol": 1, "world": "toy", **fields})
        welcome = self.expect("welcome").message
        self.session = welcome["session"]
        return welcome

    def expect(self, type: str, *, after: float = 0.0, within: float = PATIENCE, **fields: Any) -> Heard:
        """The first message of that type and with those fields that came after a moment. Pictures are `picture`."""
        deadline = time.monotonic() + within
        with self._news:
            while True:
                for heard in self._heard:
                    wanted = {"type": type, **fields}
                    if heard.at > after and wanted.items() <= heard.message.items():
                        return heard
                assert not self._over, f"closed without {type} {fields}: {self.texts()}"
                assert self._news.wait(deadline - time.monotonic()), f"no {type} {fields}: {self.texts()}"

    def texts(self) -> list[dict[str, Any]]:
        """What came, without what comes all the time."""
        often = ("picture", "stats", "frame", "welcome")
        return [heard.message for heard in self._heard if heard.message["type"] not in often]

    def last_picture(self) -> dict[str, Any]:
        """The newest one so far: its number and payload."""
        with self._news:
            return next(heard.message for heard in reversed(self._heard) if heard.message["type"] == "picture")

    def closed(self, within: float = PATIENCE) -> tuple[int, str]:
        """Code and reason, once the server has closed."""
        self._thread.join(within)
        assert not self._thread.is_alive(), "the server has not closed"
        return self._wire.close_code or 0, self._wire.close_reason or ""

    def cut(self) -> None:
        """Vanish: no close frame, no goodbye."""
        self._wire.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        try:
            while True:
                self._keep(self._wire.recv())
        except ConnectionClosed:
            pass
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _keep(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            header, payload = unpack_frame(data)
            message = {"type": "picture", "index": header.index, "payload": bytes(payload)}
        else:
            message = json.loads(data)
        with self._news:
            self._heard.append(Heard(time.monotonic(), message))
            self._news.notify_all()
