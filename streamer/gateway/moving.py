"""A session from one server to another: packed where it is or was, unpacked where it goes on.

It keeps its name and its tokens. The world is where the snapshot left it; frame numbers only grow, so they jump over
all that can have been shown since. Its walk and its replay begin anew. Knows rooms; no gateway and no Ray.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from fractions import Fraction

from worldloom.models.spec import WorldSpec

from ..clock import NS, ClockState
from ..errors import Busy, Draining, SessionClosed
from ..hosting import HostedWorld
from ..keys import Keys
from ..origin import Snapshot
from ..phase import Phase
from ..room import Room
from ..rooms import Rooms
from .report import Parcel

LOCKSTEP_RATE = 1000  # frames a second that a lockstep session makes at the most


def pack(room: Room, *, age_s: float, stamp: int, epoch: int) -> Parcel | None:
    """What there is of a session to go on from; None where there is nothing."""
    snapshot = room.kept or room.snapshot
    if snapshot is None or room.closed:
        return None
    if room.waits:  # it stands still for a driver who has not come, not because one wished it
        snapshot = replace(snapshot, paused=False)
    keys = room.keys
    return Parcel(room.spec.name, snapshot, keys.resume, keys.watch, room.last_seq, age_s, stamp, epoch)


async def unpack(parcel: Parcel, rooms: Rooms, world: HostedWorld, keep_s: float) -> Room:
    """Take a session in, as one whose driver was lost and is to come within `keep_s`.

    Raises:
        Busy: there is no place for it.
        Draining: this server is stopping.
        SessionClosed: it is here already.
        ModelFault: the world is closed.
    """
    engine = await world.entrance()
    if rooms.draining.is_set():
        raise Draining("the server is stopping")
    if any(room.ident == parcel.snapshot.ident and not room.closed for room in rooms):
        raise SessionClosed("expected a session that is not here yet")
    if taken(rooms, world) >= engine.capacity().places.count:
        raise Busy("all places are taken")
    room = rooms.room(engine, parcel.snapshot.mode)
    room.snapshot = moved(parcel.snapshot, engine.spec, parcel.age_s, time.monotonic_ns())
    room.keys = Keys(parcel.resume, parcel.watch)
    room.last_seq = parcel.last_seq
    room.log.lost(room.snapshot)
    if not rooms.take_in(room, keep_s):
        raise Busy("there is no room for its snapshot; see the settings `max_orphans` and `orphan_bytes`")
    return room


def taken(rooms: Rooms, world: HostedWorld) -> int:
    """Places of a world that are somebody's: open sessions, promised ones, and those whose driver may come back."""
    stats = world.stats()
    away = sum(room.phase is Phase.ORPHANED and room.spec.name == world.name for room in rooms)
    return (stats.sessions if stats else 0) + away


def moved(past: Snapshot, spec: WorldSpec, age_s: float, now_ns: int) -> Snapshot:
    """A snapshot of so many seconds ago, by the clock of this machine: the next frame is due now.

    Its number is higher than any that was shown since, and its presentation time later.
    """
    rate = spec.fps if past.mode == "realtime" else Fraction(LOCKSTEP_RATE)
    index = past.index + spec.chunk * (1 + math.ceil(age_s * rate / spec.chunk))
    nominal_ns = int(index * NS / spec.fps)
    start_ns = now_ns - nominal_ns - past.clock.forgiven_ns
    return replace(past, index=index, clock=ClockState(start_ns, past.clock.forgiven_ns))
