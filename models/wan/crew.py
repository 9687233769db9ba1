"""The processes that share a world: the first has the engine and says what is done, the others do the same.

Each follower is a child of the first process, with a pipe: calls go out, and for each an answer comes back, so all are
in step before the next. A pipe that closes is a process that has gone. Whatever leaves them out of step ends all of
them, within `CrewConfig`'s times: there is no way to call back an exchange that others wait in. Knows processes, pipes
and the exchange; no networks.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import torch

from ..exchange import Exchange, join, leave, refuse_second
from ..spec import WorldLost

log = logging.getLogger(__name__)
T = TypeVar("T")
End: TypeAlias = tuple["subprocess.Popen[bytes]", Connection]
"""A follower, and the pipe to it."""

FOLLOWER = "worldloom.models.wan.follower"


@dataclass(frozen=True)
class CrewConfig:
    """How long processes wait for one another."""

    ready_s: float = 120.0  # until a follower has started its interpreter
    open_s: float = 1800.0  # until it has loaded the world, after the first process has
    exchange_s: float = 120.0  # in an exchange, and for an answer after the first process is done
    grace_s: float = 5.0  # for the others' answers when one failed, before all are given up


@dataclass(frozen=True)
class Call:
    """What all are to do. States go by numbers that the first process gives."""

    what: Literal["open", "start", "step", "fork", "save", "load", "say", "drop", "on"]
    states: tuple[int, ...] = ()  # that it is about
    new: int = 0  # number of the state that comes of it; 0: none does
    rest: Mapping[str, Any] = field(default_factory=dict)  # arguments
    given: bytes = b""  # what encoders said of the prompt or picture, as safetensors
    gone: tuple[int, ...] = ()  # states that nobody has any more


@dataclass(frozen=True)
class Answer:
    """What became of a call."""

    made: int  # exchanges that this rank has made so far
    error: str = ""


@dataclass(frozen=True)
class Post:
    """What a follower is told when it starts."""

    rank: int
    ranks: int
    place: str  # where all meet: a file
    device: str
    config: CrewConfig


class Crew:
    """The followers, as the first process sees them; from one thread."""

    def __init__(self, ranks: int, device: Literal["cpu", "cuda"], config: CrewConfig | None = None) -> None:
        """Start them and meet.

        Args:
            ranks: processes, this one included.
            device: cuda: rank r is on the r-th device.
            config: how long one waits.

        Raises:
            ValueError: this system or process cannot, or a follower did not start.
        """
        if sys.platform == "win32":
            raise ValueError("expected split = 1 on this system: processes are given pipes as POSIX does")
        refuse_second()
        self.lost = ""  # why they are gone; empty while they are there
        self.device, self.config = device, (config := config or CrewConfig())
        self._folder = tempfile.TemporaryDirectory(prefix="worldloom-")
        place = str(Path(self._folder.name) / "meeting")
        self._ends = [_started() for _ in range(1, ranks)]
        joined: list[Exchange] = []
        self._finalizer = weakref.finalize(self, _end, self._ends, self._folder, joined)
        try:
            for rank, (_, pipe) in enumerate(self._ends, 1):
                pipe.send(Post(rank, ranks, place, device_of(device, rank), config))
            if not all(pipe.poll(config.ready_s) and pipe.recv() for _, pipe in self._ends):
                raise RuntimeError(f"no sign of life in {config.ready_s:g} s")
            first = torch.device(device_of(device, 0))
            joined.append(join(0, ranks, Path(place), first, config.exchange_s))
        except BaseException as error:
            self._finalizer()
            if isinstance(error, EOFError | OSError | RuntimeError):
                raise ValueError(f"the other processes of a split world did not start: {error}") from error
            raise
        self.exchange = joined[0]

    def together(self, call: Call, do: Callable[[], T], wait_s: float | None = None) -> T:
        """Have all make a call, this process by `do`; the others have so long behind it, or as an exchange may take.

        Raises:
            WorldLost: somebody is gone, or failed alone.
            Exception: what `do` raised, and all are in step.
        """
        self._say(call)
        try:
            made = do()
        except Exception as error:
            self._forgive(error)
            raise
        except BaseException:
            self.end("interrupted in the midst of a call")
            raise
        for rank, answer in enumerate(self._answers(wait_s or self.config.exchange_s), 1):
            if answer.error:
                raise self._gone(f"rank {rank} failed: {answer.error}")
        return made

    def tell(self, call: Call) -> None:
        """Have the others do something that nobody waits for. Raises nothing: the next call notices who has gone."""
        if not self.lost:
            with suppress(OSError):
                self._send(call)

    def end(self, why: str = "ended") -> None:
        """Let the others go. Twice is allowed."""
        self.lost = self.lost or why
        self._finalizer()

    def _say(self, call: Call) -> None:
        if self.lost:
            raise WorldLost(f"the processes of this world are gone: {self.lost}")
        try:
            self._send(call)
        except OSError as error:
            raise self._gone("a process ended") from error

    def _send(self, call: Call) -> None:
        for _, pipe in self._ends:
            pipe.send(call)

    def _forgive(self, error: Exception) -> None:
        """This process failed: if the others are where it is, all go on."""
        try:
            answers = self._answers(self.config.grace_s)
        except WorldLost as lost:
            raise lost from error
        if any(answer.made != self.exchange.made for answer in answers):
            others = [f"rank {rank} failed: {answer.error}" for rank, answer in enumerate(answers, 1) if answer.error]
            raise self._gone("; ".join(others) or f"rank 0 failed alone: {error!r}") from error
        self._say(Call("on"))

    def _answers(self, wait_s: float) -> list[Answer]:
        found: list[Answer] = []
        for rank, (_, pipe) in enumerate(self._ends, 1):
            try:
                if not pipe.poll(wait_s):
                    raise self._gone(f"rank {rank} did not answer within {wait_s:g} s")
                found.append(pipe.recv())
            except (EOFError, OSError) as error:
                raise self._gone(f"the process of rank {rank} ended") from error
        return found

    def _gone(self, why: str) -> WorldLost:
        log.critical("a split world is lost: %s", why)
        self.end(why)
        return WorldLost(f"a split world is lost: {why}; open it anew")


def device_of(kind: str, rank: int) -> str:
    """Where a rank has its part."""
    return f"cuda:{rank}" if kind == "cuda" else "cpu"


def _started() -> End:
    """A follower, and the pipe to it."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", FOLLOWER, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
    return process, Connection(ours.detach())


def _end(ends: list[End], folder: tempfile.TemporaryDirectory[str], joined: list[Exchange]) -> None:
    """A follower may wait in an exchange, and holds nothing that is worth waiting for."""
    for process, pipe in ends:
        process.kill()
        pipe.close()
        process.wait()
    if joined:
        leave()
    folder.cleanup()
