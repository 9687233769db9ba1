"""What an engine in a process of its own and its parent say to each other, through a pipe. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from .capacity import Entry
from .errors import WorldloomError
from .fields import Mode
from .frames import Frame
from .origin import Origin, Restart, Snapshot, Start
from .phase import Phase
from .protocol import Control
from .server_messages import Receipt

# From the parent ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ring:
    """Where pictures go."""

    name: str
    shape: tuple[int, int, int]
    places: int


@dataclass(frozen=True)
class Open:
    """A session is wanted; its number is that of the call."""

    call: int
    start: Start
    mode: Mode
    entry: Entry
    others: float  # load of other engines on this machine


@dataclass(frozen=True)
class Measure:
    """It is to be known how many sessions fit."""

    call: int


@dataclass(frozen=True)
class Save:
    """A snapshot is wanted."""

    call: int
    session: int
    end: bool


@dataclass(frozen=True)
class Post:
    """A control for a session."""

    session: int
    event: Control | Restart


@dataclass(frozen=True)
class Ask:
    """Something that a session is asked without arguments."""

    session: int
    what: str  # "let_go" or "close"


# From the child -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A session as it is at this moment."""

    ident: str
    phase: Phase
    index: int
    origin: Origin | None  # where it began, or began anew, since the last view


@dataclass(frozen=True)
class Answer:
    """To a call."""

    call: int
    result: View | Snapshot | Exception | None


@dataclass(frozen=True)
class Told:
    """Something for a session's sink; None: it has ended, and nothing is held for it any more."""

    session: int
    news: Receipt | Frame | WorldloomError | None
    view: View | None = None
    picture: int | None = None  # number in the ring; None: the pixels came along
