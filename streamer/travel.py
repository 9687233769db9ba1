"""Takes sessions back in time: restore points after their steps, `rewind`, `snapshot` and `restore`, and forks of them.

All of it is forking: worlds whose forks share memory (`SharingWorld`) have restore points, others only snapshots that
somebody asked for. Belongs to the engine's thread; knows the world's interface and sessions, no scheduler.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worldloom.models.spec import WorldModel

from .client_messages import Restore, Rewind, TakeSnapshot
from .errors import ModelFault, OutOfReach, SessionClosed, UnknownSnapshot, WorldloomError
from .origin import Branch, Snapshot
from .past import PastConfig, Point, SavedPast
from .session import Session
from .since import MADE

log = logging.getLogger(__name__)


class Travel:
    """See the module."""

    def __init__(self, model: WorldModel[Any], config: PastConfig) -> None:
        self.points = 0  # restore points and snapshots of all sessions
        self._model = model
        self._config = config
        self._shares = hasattr(model, "footprint")
        self._second = max(1, round(model.spec.fps / model.spec.chunk))  # in chunks

    def note(self, session: Session) -> None:
        """A chunk was made, or the session begins: here it can come back to."""
        if not (self._shares and self._config.seconds and session.mode == "realtime"):
            return
        try:
            session.past.add(self._point(session))
            self.points += 1
        except ModelFault as error:
            log.warning("session %s: %s; it cannot be rewound", session.ident, error, exc_info=True)
            self._shares = False
        if session.index // self._model.spec.chunk % self._second == 0:  # which takes a millisecond
            self._fit(session)
        self._drop(session)

    def grant(self, session: Session, now_ns: int) -> None:
        """Do what a session wishes."""
        wish = session.wish
        assert wish is not None
        try:
            if isinstance(wish, TakeSnapshot):
                session.granted(snapshot=self._keep(session))
                return
            point = self._found(session, wish)
            old = session.went_back(point, self._fork(point.state), now_ns)
            session.past.cut(point)
            self._release(old)
            self._drop(session)
        except WorldloomError as error:
            session.granted(code=error.code)

    def branch(self, branch: Branch) -> tuple[Snapshot, Any]:
        """What a session beside another one goes on from, and its state, which is the caller's. Realtime ones wait.

        Raises:
            SessionClosed: the other one has ended.
            UnknownSnapshot: it has none of that name.
            ModelFault: the world cannot fork.
        """
        session = branch.of
        if not isinstance(session, Session) or session.closing:
            raise SessionClosed("the session has ended")
        if branch.snapshot is None:
            kept = point = self._point(session)
        else:
            kept = self._named(session, branch.snapshot)
            point = replace(kept, state=self._fork(kept.state))
        now = session.snapshot(b"")
        ident, paused = secrets.token_urlsafe(12), session.mode == "realtime"
        since = MADE  # whoever logs it begins with this very state
        if point.since.fresh:  # or with the origin
            since = point.since.left(point.index, parked=isinstance(kept.state, bytes))
        past = replace(now, ident=ident, origin=point.origin, applied=0, paused=paused, since=since)
        return past, point.state

    def saved(self, session: Session) -> SavedPast | None:
        """What the session can go back to, in bytes: few where the world can park; None where it cannot be saved.

        A session that is not to be parked has too many bytes for its restore points: it keeps its snapshots.
        """
        parked = hasattr(self._model, "park") and not session.origin.deterministic
        save = self._model.park if parked else self._model.save  # type: ignore[attr-defined]

        def in_bytes(point: Point) -> Point:
            return point if isinstance(point.state, bytes) else replace(point, state=save(point.state))

        try:
            return session.past.saved(in_bytes, points=parked, parked=parked)
        except Exception:
            log.exception("session %s: the world failed to save its past", session.ident)
            return None

    def take_up(self, session: Session, saved: SavedPast | None) -> None:
        """The session goes on with what it could go back to; without it, where the world cannot load that."""
        loaded: list[Any] = []

        def as_it_was(point: Point) -> Point:  # a parked state stays in bytes: most are never gone back to
            if saved and not saved.parked:
                loaded.append(self._model.load(point.state))
                return replace(point, state=loaded[-1])
            return point

        if saved is None:
            return
        try:
            session.past.take_up(saved, as_it_was)
            self.points += len(session.past)
        except Exception:
            log.exception("session %s: the world failed to load its past", session.ident)
            self._release(*loaded)

    def free(self, session: Session) -> None:
        """The session has ended."""
        session.past.clear()
        self._drop(session)

    # Inside -----------------------------------------------------------------------------------------------------------

    def _point(self, session: Session) -> Point:
        state = self._fork(session.state)
        back_to = session.since.back_to
        index = session.index if back_to is None else back_to  # nothing was made since it went back
        return Point(index, session.moment, session.origin, session.since, state, session.past.line)

    def _keep(self, session: Session) -> str:
        name = session.past.keep(self._point(session))
        self.points += 1
        self._fit(session)
        self._drop(session)
        return name

    def _found(self, session: Session, wish: Rewind | Restore) -> Point:
        """Where to go. Raises `OutOfReach` or `UnknownSnapshot`."""
        if isinstance(wish, Restore):
            return self._named(session, wish.snapshot)
        past = session.past
        if wish.frame is not None:
            point = past.at_frame(wish.frame) if wish.frame <= session.index else None
        else:
            point = past.at_moment(session.moment - round((wish.seconds or 0.0) * session.spec.fps))
        if point is None:
            raise OutOfReach("expected a moment that restore points reach")
        return point

    def _named(self, session: Session, name: str) -> Point:
        point = session.past.named(name)
        if point is None:
            raise UnknownSnapshot("expected a snapshot that this session still has")
        return point

    def _fork(self, state: Any) -> Any:
        try:
            return self._model.load(state) if isinstance(state, bytes) else self._model.fork(state)
        except Exception as error:
            raise ModelFault("the world cannot fork this session") from error

    def _fit(self, session: Session) -> None:
        """As much past as its bytes allow."""
        footprint = getattr(self._model, "footprint", None)
        while footprint and self._held(session, footprint) > self._config.octets:
            session.past.shed()

    @staticmethod
    def _held(session: Session, footprint: Callable[[list[Any]], int]) -> int:
        """Bytes of its past, parked or not."""
        states = [point.state for point in session.past]
        parked = [state for state in states if isinstance(state, bytes)]
        return sum(map(len, parked)) + footprint([state for state in states if not isinstance(state, bytes)])

    def _drop(self, session: Session) -> None:
        """Release what the session cannot go back to any more."""
        gone = session.past.taken()
        self.points -= len(gone)
        self._release(*gone)

    def _release(self, *states: Any) -> None:
        for state in states:
            if isinstance(state, bytes):
                continue
            try:
                self._model.release(state)
            except Exception:
                log.exception("the world failed to release a state")
