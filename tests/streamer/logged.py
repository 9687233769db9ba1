"""Sessions of a desk that keep a log, and whether a replay of it makes what they showed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worldloom.models.spec import WorldModel
from worldloom.streamer.bundle import Bundle
from worldloom.streamer.client_messages import Key
from worldloom.streamer.fields import Mode
from worldloom.streamer.frames import Frame
from worldloom.streamer.origin import Origin, Snapshot
from worldloom.streamer.provenance import machine, versions
from worldloom.streamer.replay import regenerated
from worldloom.streamer.replay_log import ReplayLog, Source
from worldloom.streamer.transports.inprocess import Collector

from .desk import PERIOD, Desk

HERE = Source("s", "now", None, versions(), machine())


class Logged(Collector):
    """A sink that keeps a log of so many frames."""

    def __init__(self, desk: Desk, most: int = 1000) -> None:
        super().__init__(depth=10_000)
        self.log = ReplayLog(desk.model.spec, most)

    def frame(self, frame: Any) -> None:
        super().frame(frame)
        self.log.frame(frame)

    @property
    def bundle(self) -> Bundle:
        bundle = self.log.bundle(HERE)
        assert bundle is not None
        return bundle


class Drive:
    """A session that is logged, what is said to it and what it showed."""

    def __init__(self, desk: Desk, mode: Mode = "realtime", most: int = 1000) -> None:
        self.desk = desk
        self.sink = Logged(desk, most)
        self.session = desk.enter(self.sink, Origin(3), mode)
        self.film = self.sink.take(1) if mode == "realtime" else []
        self.seq = 0

    def say(self, kind: Any, **fields: Any) -> int:
        self.seq += 1
        self.session.post(kind(seq=self.seq, **fields))
        return self.seq

    def go(self, frames: int) -> None:
        """So many frames, with a key pressed or let go at each."""
        for k in range(frames):
            self.say(Key, code=("KeyW", "ArrowRight", "KeyE")[k % 3], down=k % 2 == 0)
            self.desk.turn(self.desk.now + PERIOD)
            self.film += self.sink.take(1)

    def saved(self) -> Snapshot:
        """What the session is now, which goes on."""
        answer = self.desk.engine.snapshot(self.session)
        self.desk.engine._save_next()
        return answer.result(0)

    @property
    def bundle(self) -> Bundle:
        return self.sink.bundle


def check_replay(bundle: Bundle, world: WorldModel[Any], film: Iterable[Frame]) -> None:
    """A replay in `world` makes the very frames of `film`, under the same numbers."""
    again = [(number, picture.tobytes()) for number, picture in regenerated(bundle, world)]
    assert again == [(frame.index, frame.pixels.tobytes()) for frame in film]
