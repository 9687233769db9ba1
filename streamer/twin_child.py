"""The engine that a world learned from, stepped in a process of its own: action rows in, pictures out.

    parent: Begin        child: the first picture (H, W, 3), or a text that says why not
    parent: rows (n, A)  child: JPEG of the picture after the last of them, or None once the episode has ended

A process, because such engines crash, hold the interpreter, and draw one to a process. It ends with its pipe, and so
does what it has started: ViZDoom is a program of its own, which would outlive us. Knows the simulators that worlds are
trained with; no session and no clock.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jpeg import jpeg

ENGINES = {"toy": "numpy", "arm": "metaworld", "doom": "vizdoom"}
"""By world: the package that draws it. The toy is its own engine."""

QUALITY = 90  # Pillow's scale
SEEDS = 2**31  # engines take no larger seeds


@dataclass(frozen=True)
class Begin:
    """What an engine begins with."""

    world: str  # of `ENGINES`
    height: int  # pixels
    width: int  # pixels
    seed: int


def has_engine(world: str) -> bool:
    """Whether the engine of a world is installed here."""
    return world in ENGINES and find_spec(ENGINES[world]) is not None


def end_group(pid: int) -> None:
    """End a child and all that it has started."""
    if hasattr(os, "killpg"):  # not on Windows
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def main(pipe: Connection) -> None:
    """The child's whole life."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, for `end_group`
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever stops the server stops us by closing the pipe
        signal.signal(number, signal.SIG_IGN)
    try:
        begin: Begin = pipe.recv()
        try:
            simulator = _begun(begin)
            first, _ = simulator.observe()
        except Exception as error:  # an engine may fail in any way
            pipe.send(f"{type(error).__name__}: {error}"[:256])
            return
        pipe.send(np.array(first, np.uint8))
        while True:
            pipe.send(_followed(simulator, pipe.recv()))
    except (EOFError, OSError):
        pass  # nobody asks any more
    finally:
        end_group(os.getpid())


def _begun(begin: Begin) -> Any:
    from worldloom.models.training.simulators import open_simulator

    simulator = open_simulator(begin.world, begin.height, begin.width)
    simulator.reset(begin.seed % SEEDS)
    return simulator


def _followed(simulator: Any, rows: NDArray[np.float32]) -> bytes | None:
    """All rows are obeyed, the picture after the last is drawn."""
    if any(simulator.act(row) for row in rows):
        return None
    picture, _ = simulator.observe()
    return jpeg(np.ascontiguousarray(picture, np.uint8), QUALITY)
