"""What a gateway and its workers say to one another: values only.

They travel between processes of one cluster, which trust one another, as Ray carries them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..errors import WorldloomError
from ..lease_messages import Lease, Wanted
from ..origin import Snapshot


@dataclass(frozen=True)
class Held:
    """A session that a worker holds."""

    session: str
    epoch: int  # how often it has moved, as this worker was told; 0: it began here
    resume: str  # its tokens
    watch: str


@dataclass(frozen=True, eq=False)
class Parcel:
    """A session on its way to another worker: all that going on there takes."""

    world: str
    snapshot: Snapshot
    resume: str  # its tokens, which stay what they are
    watch: str
    last_seq: int  # highest number of a control that its driver has used
    age_s: float  # seconds since the snapshot was taken, when this was said
    stamp: int  # of the snapshot, as the worker counts them
    epoch: int = 0  # how often the session has moved

    @property
    def octets(self) -> int:
        """Bytes that it holds."""
        return self.snapshot.octets


@dataclass(frozen=True, eq=False)
class Report:
    """How a worker is."""

    incarnation: str  # another one after each restart of its process
    url: str  # where clients find it; empty before it listens
    ready: bool  # sessions may enter
    places: int
    taken: int  # of them, orphans among them
    held: tuple[Held, ...] = ()
    parcels: tuple[Parcel, ...] = ()  # snapshots that the gateway does not have yet


class WorkerAway(Exception):
    """A worker did not answer: what it was asked for may have happened or not."""


class Worker(Protocol):
    """A worker as the gateway sees it. Every call may raise `WorkerAway`."""

    name: str

    async def report(self, number: int, acknowledged: int, known: dict[str, int]) -> Report:
        """How it is. `number`: of this call; `acknowledged`: of the latest one whose answer arrived; `known`: stamps of
        the snapshots that the gateway has, by session.
        """

    async def lease(self, wanted: Wanted, address: str) -> Lease:
        """A place. Raises `WorldloomError` where there is none."""

    async def adopt(self, parcel: Parcel) -> None:
        """Take a session in, for its driver to come. Raises `WorldloomError` where there is no place."""

    async def end(self, session: str, error: WorldloomError | None = None) -> None:
        """End a session, if it is there."""

    async def hand_over(self) -> tuple[Parcel, ...]:
        """Let nobody in any more, and give every session away as it is now."""

    async def close(self) -> None:
        """Tell everybody that the server stops, and wait until they have left."""

    async def stop(self, *, again: bool) -> None:
        """End the process, at once; with `again` another one takes its place."""
