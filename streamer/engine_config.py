"""How much an engine and each of its sessions may take. Values only; no engine, no session."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from .past import PastConfig


@dataclass(frozen=True)
class SessionConfig:
    """Limits of one session."""

    inbox: int = 256  # controls that may wait for the engine; further ones are refused as `rate_limited`
    past: PastConfig = PastConfig()
    park_after: float = 0.0  # seconds that a session is paused before its memory is parked; 0: never
    grace: Fraction = Fraction(1, 4)  # of a chunk's duration: lateness that is made up instead of moving the schedule


@dataclass(frozen=True)
class EngineConfig:
    """Limits of one engine."""

    max_sessions: int = 64  # at most; fewer where fewer were measured to fit. Further ones are refused as `busy`
    max_batch: int = 64  # streams in one step
    most_bytes: int = 0  # that all sessions may hold together, as far as the device has as much; 0: what it has
    share: float = 0.85  # of a chunk's duration that one step of all realtime sessions may take, to admit another
    gather: Fraction = Fraction(1, 4)  # of a chunk's duration: sessions due this soon join a step that is made anyway
    history: int = 512  # steps that the percentiles of `stats` look back on
    session: SessionConfig = field(default_factory=SessionConfig)
