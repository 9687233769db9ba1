"""A process that has a part of a world and does as the first one says: `python -m worldloom.models.wan.follower FD`.

It ends with the pipe that it was given, whatever it is doing then: a thread of its own listens. Signals are for the
first process. Reads no prompt, shows no picture. Knows the world's calls; no engine.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import torch
from safetensors.torch import load as load_tensors

from ..exchange import Exchange, join
from .crew import Answer, Call, Post
from .open import open_wan
from .state import WanState
from .told import Told
from .world import WanWorld

log = logging.getLogger(__name__)

LEFT, FAILED = 0, 1  # exit codes: the first process has ended, or this one is out of step


class Follower:
    """What this process has of a world and its streams."""

    def __init__(self, exchange: Exchange, device: str) -> None:
        self._exchange, self._device = exchange, device
        self._told = Told()
        self._states: dict[int, WanState] = {}
        self._world: WanWorld | None = None

    def obey(self, call: Call) -> None:
        """Do it. Raises whatever the world raises."""
        for number in call.gone:
            if state := self._states.pop(number, None):
                state.release()
        if call.given:
            self._told.given = load_tensors(call.given)["given"]
        if call.what == "open":
            self._open(call)
        elif call.what != "drop":
            made = self._made(call)
            if made is not None:
                made.seen = ()  # by a decoder that is not here
                self._states[call.new] = made

    def _open(self, call: Call) -> None:
        rest = dict(call.rest)
        folder = Path(rest.pop("folder"))
        self._states, self._world = {}, None
        self._world = open_wan(folder, device=self._device, exchange=self._exchange, told=self._told, **rest)

    def _made(self, call: Call) -> WanState | None:
        """The state that comes of a call, if one does."""
        world, states = self._world, [self._states[number] for number in call.states]
        assert world is not None, "a world is opened before anything else"
        match call.what:
            case "start":
                return world.start(**call.rest)
            case "load":
                return world.load(**call.rest)
            case "fork":
                return world.fork(states[0])
            case "step":
                world.step_tensors(states, **call.rest)
            case "save":
                world.save(states[0])
            case "say":
                world.say(states[0], **call.rest)
        return None


def main(handle: int) -> None:
    """The whole life of a follower."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe = Connection(handle)
    post: Post = pipe.recv()
    pipe.send(True)
    device = torch.device(post.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    calls: SimpleQueue[Call] = SimpleQueue()  # bounded: the first process waits for an answer to each
    Thread(target=_listen, args=(pipe, calls), daemon=True).start()
    exchange = join(post.rank, post.ranks, Path(post.place), device, post.config.exchange_s)
    follower, wait_s = Follower(exchange, post.device), None
    while True:
        try:
            call = calls.get(timeout=wait_s)
        except Empty:  # the first process is where we are not, perhaps in an exchange that only our end ends
            log.critical("rank %d failed and the first one goes on: ending", post.rank)
            os._exit(FAILED)
        wait_s, error = None, ""
        if call.what == "on":
            continue
        try:
            follower.obey(call)
        except Exception as failed:
            error, wait_s = f"{type(failed).__name__}: {failed}", 2 * post.config.grace_s
            log.warning("rank %d: %s failed: %s", post.rank, call.what, error)
        if call.what != "drop":
            pipe.send(Answer(exchange.made, error))


def _listen(pipe: Connection, calls: SimpleQueue[Call]) -> None:
    """Whatever the first process says; when it says nothing more, all is over."""
    try:
        while True:
            calls.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(LEFT)


if __name__ == "__main__":
    main(int(sys.argv[1]))
