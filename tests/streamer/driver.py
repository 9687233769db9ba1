"""Stands in for the engine: drives one session at times that a test chooses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import WorldSpec
from worldloom.models.toy import ToyWorld
from worldloom.streamer.client_messages import Key
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.fields import Mode
from worldloom.streamer.frames import Frame
from worldloom.streamer.origin import Origin
from worldloom.streamer.protocol import Control
from worldloom.streamer.server_messages import Receipt
from worldloom.streamer.session import Session

MS = 1_000_000
PERIOD = 50 * MS  # the toy world runs at 20 frames a second
FORWARD, TURN = 0, 4


class Driver:
    """Stands in for the engine: reads, restarts, samples and delivers at the times it is given."""

    def __init__(self, mode: Mode = "realtime", *, spec: WorldSpec | None = None, inbox: int = 256) -> None:
        self.spec = spec or ToyWorld(height=4, width=4).spec
        self.woken = 0
        self.frames: list[Frame] = []
        self.receipts: list[Receipt] = []
        self.session = Session(
            self.spec,
            "state 0",
            Origin(seed=1),
            ident="s",
            now_ns=0,
            mode=mode,
            config=SessionConfig(inbox=inbox),
            wake=self._count,
        )

    def _count(self) -> None:
        self.woken += 1

    def post(self, *events: Control) -> None:
        for event in events:
            self.session.post(event)

    def read(self, now: int = 0) -> None:
        self.session.read(now)
        self.receipts += self.session.take_receipts()

    def step(self, now: int) -> NDArray[np.float32]:
        """One chunk at `now`, which must be due."""
        self.session.read(now)
        due = self.session.due()
        assert due is not None
        assert due <= now
        rows = self.session.sample(now)
        pixels = np.zeros((self.spec.chunk, self.spec.height, self.spec.width, 3), np.uint8)
        delivery = self.session.deliver(pixels, step_ns=7, made_ns=now + 7)
        self.frames += delivery.frames
        self.receipts += delivery.receipts
        return rows

    @property
    def answers(self) -> dict[int, tuple[str, int | None]]:
        seqs = [receipt.seq for receipt in self.receipts]
        assert len(seqs) == len(set(seqs)), f"a control was answered twice: {self.receipts}"
        return {receipt.seq: (receipt.status, receipt.frame) for receipt in self.receipts}


def key(seq: int, down: bool = True, code: str = "KeyW") -> Key:
    return Key(seq=seq, code=code, down=down)
