"""Going back in time, and beside it: what a driver can say of a session's past, awaited or on a thread.

    receipt = await world.rewind(3.0)               # receipt.to: the frame before which the world is now
    kept = (await world.snapshot()).snapshot
    await world.restore(kept)                       # as often as you like
    async with connect(url, resume=(await world.fork()).fork) as other:
        await other.resume()                        # what if

Knows these messages; not how they are numbered and sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from worldloom.streamer.client_messages import Fork, Restore, Rewind, TakeSnapshot
from worldloom.streamer.server_messages import Receipt

from .receipts import Said, Sent


class Travel(ABC):
    """The past of one session."""

    def rewind(self, seconds: float | None = None, *, frame: int | None = None) -> Sent:
        """Go back, in place: by seconds of the world, or to what was before a frame was made."""
        back = None if seconds is None else float(seconds)
        return self._send(Rewind(seq=self._next(), seconds=back, frame=frame))

    def snapshot(self) -> Sent:
        """Keep the world as it is now on the server; `receipt.snapshot` is its name."""
        return self._send(TakeSnapshot(seq=self._next()))

    def restore(self, snapshot: str) -> Sent:
        """Go back to a snapshot of this session."""
        return self._send(Restore(seq=self._next(), snapshot=snapshot))

    def fork(self, snapshot: str | None = None) -> Sent:
        """Make a session of its own that goes on from here, or from a snapshot: `connect(resume=receipt.fork)`.

        A realtime one is paused until its driver says `resume`.
        """
        return self._send(Fork(seq=self._next(), snapshot=snapshot))

    @abstractmethod
    def _send(self, message: Said) -> Sent:
        """Bring a control to the server."""

    @abstractmethod
    def _next(self) -> int:
        """The next number."""


class SyncTravel(ABC):
    """The same, as futures."""

    def rewind(self, seconds: float | None = None, *, frame: int | None = None) -> Future[Receipt]:
        """Go back; see `Travel.rewind`."""
        return self._say(lambda world: world.rewind(seconds, frame=frame))

    def snapshot(self) -> Future[Receipt]:
        """Keep the world as it is now on the server."""
        return self._say(lambda world: world.snapshot())

    def restore(self, snapshot: str) -> Future[Receipt]:
        """Go back to a snapshot of this session."""
        return self._say(lambda world: world.restore(snapshot))

    def fork(self, snapshot: str | None = None) -> Future[Receipt]:
        """Make a session of its own; see `Travel.fork`."""
        return self._say(lambda world: world.fork(snapshot))

    @abstractmethod
    def _say(self, control: Callable[[Any], Sent]) -> Future[Receipt]:
        """Say something on the thread."""
