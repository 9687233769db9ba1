"""A line to a server that can be cut, for tests that look how clients come back. Knows TCP; nothing of what passes."""

from __future__ import annotations

import selectors
import socket
import threading


class Wire:
    """A TCP relay to the server whose connections can be cut, as a network does it: without a word."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Nothing passes and nobody gets through until `mend`. Returns how many connections that ended."""
        self._up = False
        pairs, self._pairs = self._pairs, []
        alive = sum(near.fileno() >= 0 for near, _ in pairs)
        for pair in pairs:
            for end in pair:
                end.close()
        return alive

    def mend(self) -> None:
        self._up = True

    def close(self) -> None:
        self._door.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            if not self._up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            for end in (near, far):  # or a picture behind a receipt waits 40 ms for an acknowledgement
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    @staticmethod
    def _relay(near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            try:
                while True:
                    for key, _ in selector.select(0.2):
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            raise OSError
                        key.data.sendall(data)
            except (OSError, ValueError):
                near.close()
                far.close()
