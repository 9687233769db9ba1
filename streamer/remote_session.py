"""A session in the engine's process, as far as the parent knows: what it was posted, and what is told of it.

Knows the messages to the child and the session's sink; neither pipe nor process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from worldloom.models.spec import WorldSpec

from .engine_messages import Ask, Post, View
from .errors import RateLimited, SessionClosed, WorldloomError
from .fields import Mode
from .frames import Frame
from .origin import Restart
from .phase import Phase
from .protocol import Control
from .server_messages import Receipt
from .sink import SessionSink
from .validation import check_control

log = logging.getLogger(__name__)


class RemoteSession:
    """A session in the child, as far as the parent knows."""

    def __init__(
        self,
        number: int,
        view: View,
        *,
        mode: Mode,
        sink: SessionSink,
        spec: WorldSpec,
        inbox: int,
        send: Callable[[Any], None],
    ) -> None:
        """`inbox`: controls that may wait; `send` brings a message to the child, and does not wait."""
        self.ident = view.ident
        assert view.origin is not None, "the first view says where it began"
        self.origin = view.origin
        self.mode: Mode = mode
        self.phase, self.index = view.phase, view.index
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()
        self.number = number
        self.sink = sink
        self.refused = 0  # controls of which too many waited
        self.waiting: set[int] = set()  # seqs without a receipt
        self.closing = False
        self._spec = spec
        self._inbox = inbox
        self._send = send

    def post(self, event: Control | Restart) -> None:
        """As `session.Session.post`; what waits is what has no receipt yet."""
        check_control(event, self._spec, self.mode)
        if self.closing or self.ended.done():
            raise SessionClosed("the session has ended; open a new one", seq=event.seq)
        if len(self.waiting) >= self._inbox:
            self.refused += 1
            raise RateLimited(f"expected at most {self._inbox} waiting controls; send fewer", seq=event.seq)
        self.waiting.add(event.seq)
        self._send(Post(self.number, event))

    def let_go(self) -> None:
        """Whoever held the controls has left them."""
        self._send(Ask(self.number, "let_go"))

    def close(self) -> None:
        """Ask for the end."""
        if not self.closing:
            self.closing = True
            self._send(Ask(self.number, "close"))

    def told(self, news: Receipt | Frame | WorldloomError) -> None:
        """Pass on what the child says."""
        try:
            if isinstance(news, Receipt):
                self.waiting.discard(news.seq)
                self.sink.receipt(news)
            elif isinstance(news, Frame):
                self.sink.frame(news)
            else:
                self.sink.fault(news)
        except Exception:
            log.exception("session %s: its sink failed, closing it", self.ident)
            self.close()

    def over(self, error: WorldloomError | None) -> None:
        """The end: what still waits has expired."""
        self.phase = Phase.CLOSED
        for seq in sorted(self.waiting):
            self.told(Receipt(seq=seq, status="expired"))
        if error is not None and not self.closing:
            self.told(error)
        self.closing = True
        self.ended.set_result(None)
