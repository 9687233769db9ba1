"""What any thread may do to a session: hand in controls, let go of them, ask for its end. Knows the inbox, no world."""

from __future__ import annotations

from collections.abc import Callable

from worldloom.models.spec import WorldSpec

from .fields import Mode
from .inbox import Inbox
from .origin import Restart
from .protocol import Control
from .validation import check_control


class Post:
    """See the module."""

    def __init__(self, spec: WorldSpec, mode: Mode, inbox: int, wake: Callable[[], None]) -> None:
        """`inbox`: controls that may wait; `wake` tells the engine that there is something to read."""
        self.spec = spec
        self.mode = mode
        self._inbox = Inbox(inbox)
        self._wake = wake
        self._let_go = False  # nobody is at the controls any more, and the engine has not heard of it

    def post(self, event: Control | Restart) -> None:
        """Hand in a control. A receipt follows unless this raises; whoever called then sends `protocol.refusal`.

        Raises:
            ControlError: this world cannot obey it.
            RateLimited: the inbox is full.
            SessionClosed: the session has ended.
        """
        check_control(event, self.spec, self.mode)
        self._inbox.put(event)
        self._wake()

    def let_go(self) -> None:
        """Whoever held the controls has left them: nothing is pressed any more."""
        self._let_go = True
        self._wake()

    def close(self) -> None:
        """Ask for the end. The engine frees the state; nothing can be posted from now on."""
        self._inbox.close()
        self._wake()

    @property
    def closing(self) -> bool:
        """Whether somebody asked for the end."""
        return self._inbox.closed

    @property
    def refused(self) -> int:
        """Controls that found the inbox full."""
        return self._inbox.refused
