"""Which worker owns which session: one or none, never two.

A session belongs to a worker's process (`incarnation`), and each move raises its `epoch`: whatever an earlier owner
still says of it counts no more. It has no home from when its worker is known to be dead until another is asked to take
it in. Knows names and numbers; no worker, no clock of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import UnknownSession
from .report import Held


@dataclass
class Entry:
    """One session."""

    session: str
    resume: str
    watch: str
    worker: str | None  # the owner; None: it has no home
    incarnation: str
    since: float  # seconds: when it came to this owner, or lost its home
    epoch: int = 0
    settled: bool = True  # the owner has said so; else it was asked to take the session in, and did not answer yet

    def opened_by(self, token: str, *, drive: bool) -> bool:
        """Whether that token opens it."""
        keys = [self.resume] if drive else [self.resume, self.watch]
        return any(key and secrets.compare_digest(key.encode(), token.encode()) for key in keys)


class Registry:
    """See the module."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, session: str) -> Entry | None:
        """The session of that name."""
        return self._entries.get(session)

    def find(self, session: str, token: str, *, drive: bool) -> Entry:
        """The session of that name, for whoever has a token that opens it. Raises `UnknownSession`."""
        entry = self._entries.get(session)
        if entry is None or not entry.opened_by(token, drive=drive):
            raise UnknownSession("expected the name of an open session and its token; it may have ended")
        return entry

    def driven(self, token: str) -> Entry | None:
        """The session that a resume token opens."""
        return next((entry for entry in self if entry.opened_by(token, drive=True)), None)

    def began(self, held: Held, worker: str, incarnation: str, now: float) -> None:
        """A session began at a worker. Saying it twice is allowed."""
        if held.session not in self._entries:
            owner = (worker, incarnation, now, held.epoch)
            self._entries[held.session] = Entry(held.session, held.resume, held.watch, *owner)

    def of(self, worker: str) -> list[Entry]:
        """What a worker owns."""
        return [entry for entry in self if entry.worker == worker]

    def homeless(self) -> list[Entry]:
        """Sessions without an owner."""
        return [entry for entry in self if entry.worker is None]

    def evict(self, entry: Entry, now: float) -> None:
        """Its owner is dead, or has given it away: nobody owns it."""
        entry.worker, entry.incarnation, entry.since, entry.settled = None, "", now, True

    def assign(self, entry: Entry, worker: str, incarnation: str, now: float) -> int:
        """A worker is about to be asked to take it in; returns the new epoch.

        Raises:
            ValueError: somebody owns it.
        """
        if entry.worker is not None:
            raise ValueError(f"expected a session without an owner; {entry.session} is {entry.worker}'s")
        entry.worker, entry.incarnation, entry.since = worker, incarnation, now
        entry.settled = False
        entry.epoch += 1
        return entry.epoch

    def settle(self, entry: Entry, now: float) -> None:
        """Its new owner has it."""
        entry.settled, entry.since = True, now

    def forget(self, entry: Entry) -> None:
        """It has ended."""
        self._entries.pop(entry.session, None)
