"""Which sessions are stepped next, and together with whom.

Realtime sessions share a beat, so that one step serves all of them. Lockstep sessions, which no clock paces, fill what
is left: they go into the gaps, and where their step would not be over in time they wait for the beat and join it, but
never for longer than a chunk lasts. Knows sessions and the time that it is told; neither world nor thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from .session import Session

Dues: TypeAlias = list[tuple[int, Session]]  # when each session is to be stepped, the longest due first


def dues_of(sessions: Iterable[Session], now: int, *, span_ns: int, step_ns: Callable[[int], float]) -> Dues:
    """Sessions that anything makes due.

    Args:
        sessions: all of them.
        now: the engine's nanoseconds.
        span_ns: a chunk's duration.
        step_ns: what a step of so many streams probably takes.
    """
    dues = [(at, session) for session in sessions if not session.closing and (at := session.due()) is not None]
    beat = min((at for at, session in dues if session.mode == "realtime"), default=None)
    free = sum(session.mode == "lockstep" for _, session in dues)
    if free and beat is not None and now < beat < now + step_ns(free):
        dues = [(at if one.mode == "realtime" else max(at, min(beat, at + span_ns)), one) for at, one in dues]
    return sorted(dues, key=lambda pair: pair[0])


def batch_of(dues: Dues, now: int, *, gather_ns: int, most: int, apart: bool) -> Sequence[Session]:
    """Sessions to step now, the longest due first; empty if none is due.

    Args:
        dues: as `dues_of` gave them.
        now: the engine's nanoseconds.
        gather_ns: sessions that are due this soon join a step that is made anyway.
        most: streams in one step.
        apart: realtime and lockstep sessions are not stepped alike just now.
    """
    if not dues or dues[0][0] > now:
        return []
    together = [one for at, one in dues if at <= now + gather_ns and not (apart and one.mode != dues[0][1].mode)]
    return together[:most]


def parts_of(batch: Sequence[Session], *, steady: bool) -> Sequence[Sequence[int]]:
    """Places in the batch that are stepped together: all but those of streams whose bytes must not depend on others.

    Args:
        batch: sessions to step now.
        steady: a batch changes no stream's bytes.
    """
    alone = [] if steady else [k for k, session in enumerate(batch) if session.origin.deterministic]
    together = [k for k in range(len(batch)) if k not in alone]
    return [part for part in (together, *([k] for k in alone)) if part]


def beat_of(sessions: Iterable[Session], now: int) -> int:
    """When a realtime session that begins now has its first frame due: with the others, if there are any."""
    dues = (session.due() for session in sessions if session.mode == "realtime" and not session.closing)
    return max(now, min((at for at in dues if at is not None), default=now))
