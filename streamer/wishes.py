"""What only the engine can do for a session before its next chunk: begin anew, go on under another text, travel.

Each waits here until the engine has done it, and is answered. Knows messages and receipts; no world, no clock.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from .client_messages import Prompt, Reset, Restore, Rewind, Say, TakeSnapshot
from .controls import ControlState
from .fields import Status
from .origin import Origin, Restart
from .receipts import Receipts
from .since import Since

Travel: TypeAlias = Rewind | Restore | TakeSnapshot


class Wishes:
    """See the module; one of each kind waits at the most. What it holds belongs to the engine's thread."""

    def __init__(self, origin: Origin, controls: ControlState) -> None:
        self.origin = origin
        self.index = 0  # number of the next frame
        self.since = Since()  # the frame before that
        self.restart: tuple[int, Origin] | None = None  # a reset's seq and what to start from
        self.saying: Say | None = None
        self.wish: Travel | None = None  # nothing is read before it is done
        self._receipts = Receipts(controls)

    @property
    def asks(self) -> bool:
        """Whether there is any."""
        return not (self.restart is None and self.saying is None and self.wish is None)

    @property
    def texts(self) -> tuple[str, ...]:
        """What the world must have read for it."""
        prompt = self.restart[1].prompt if self.restart else None
        return (*((prompt,) if prompt else ()), *((self.saying.text,) if self.saying else ()))

    def restart_refused(self) -> None:
        """The world could not start so; the old stream goes on."""
        assert self.restart is not None
        self._receipts.answer(self.restart[0], "rejected")
        self.restart = None

    def told(self, code: str = "") -> None:
        """The world goes on under what it was to be told; with a `code`, as it was, for it does not take that."""
        assert self.saying is not None
        if code:
            self._receipts.answer(self.saying.seq, "rejected", code=code)
        else:
            self.since, self._receipts.applied = self.since.telling(self.saying), self.saying.seq
            self._receipts.answer(self.saying.seq, "applied", self.index)
        self.saying = None

    def granted(self, **more: Any) -> None:
        """The wish is done, or denied for a `code`; `more`: what else its receipt says."""
        assert self.wish is not None
        status: Status = "rejected" if "code" in more else "applied"
        self._receipts.answer(self.wish.seq, status, self.index, **more)
        self.wish = None

    def _plan_restart(self, event: Reset | Restart | Prompt) -> None:
        self._drop_saying("superseded")
        before = self.origin
        if self.restart is not None:
            self._receipts.answer(self.restart[0], "superseded")
            before = self.restart[1]
        self.restart = (event.seq, before.after(event))
        self._receipts.settle("expired")

    def _plan_saying(self, event: Say) -> None:
        self._drop_saying("superseded")
        self.saying = event

    def _expire_wishes(self) -> None:
        """Nobody will do any of it."""
        if self.restart is not None:
            self._receipts.answer(self.restart[0], "expired")
        self._drop_saying("expired")
        if self.wish is not None:
            self._receipts.answer(self.wish.seq, "expired")
        self.restart = self.wish = None

    def _drop_saying(self, status: Status) -> None:
        if self.saying is not None:
            self._receipts.answer(self.saying.seq, status)
            self.saying = None
