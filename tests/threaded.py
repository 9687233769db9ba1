"""Servers on a thread of this process, for clients that block: a tenth of a second instead of the seconds of a process.

Knows nothing of engines in processes of their own; `tests/serving.py` starts those.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from worldloom.models.toy import ToyWorld
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.listen import address, make_server, open_socket
from worldloom.streamer.server import create_app


@contextmanager
def threaded(make: Callable[[], ToyWorld] = ToyWorld, **settings: Any) -> Iterator[str]:
    """The address (http) of a server of the toy world that answers.

    Args:
        make: the world.
        settings: those of `ServerSettings`.
    """
    chosen = ServerSettings(**{"worlds": ("toy",), "port": 0, "warm_up": False, "engine": "thread", **settings})
    door = open_socket(chosen)
    app = create_app(chosen, load=lambda _: make())
    server = make_server(app, chosen, app.state.server.drain)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[door])))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield address(door)
    finally:
        server.should_exit = True
        thread.join()
