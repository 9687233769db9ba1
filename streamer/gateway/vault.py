"""The latest snapshot of every session of a fleet, in the gateway's memory, bounded.

Not in Ray's object store: an object lies on the node of the worker that made it, and would be lost with it. When a
newer snapshot finds no room, the older one of that session stays. Knows parcels; no worker.
"""

from __future__ import annotations

from dataclasses import replace

from .report import Parcel


class Vault:
    """See the module."""

    def __init__(self, octets: int) -> None:
        """At most so many bytes together."""
        self._most = octets
        self._kept: dict[str, tuple[Parcel, float]] = {}  # and when it was said, seconds
        self.octets = 0
        self.refused = 0  # parcels that found no room

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, parcel: Parcel, now: float) -> bool:
        """Keep it in place of the one before; whether there was room."""
        session = parcel.snapshot.ident
        before = self._kept[session][0].octets if session in self._kept else 0
        if self.octets - before + parcel.octets > self._most:
            self.refused += 1
            return False
        self.octets += parcel.octets - before
        self._kept[session] = (parcel, now)
        return True

    def take(self, session: str, now: float) -> Parcel | None:
        """What there is of a session, with its age by now; it stays here."""
        found = self._kept.get(session)
        return None if found is None else replace(found[0], age_s=found[0].age_s + max(0.0, now - found[1]))

    def stamps(self, sessions: set[str]) -> dict[str, int]:
        """What is known of these sessions."""
        return {name: parcel.stamp for name, (parcel, _) in self._kept.items() if name in sessions}

    def drop(self, session: str) -> None:
        """It has ended."""
        found = self._kept.pop(session, None)
        if found is not None:
            self.octets -= found[0].octets
