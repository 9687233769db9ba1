"""What a driver asks of the server itself, and is told later: its receipt, or why there is none. Knows messages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Protocol

from .errors import WorldloomError
from .server_messages import Receipt

log = logging.getLogger(__name__)


class Asker(Protocol):
    """Who asked."""

    def receipt(self, receipt: Receipt) -> None:
        """It was done."""

    def refuse(self, error: WorldloomError) -> None:
        """It was refused."""


async def answer(asker: Asker, session: str, work: Awaitable[Receipt], failure: WorldloomError) -> None:
    """Do what was asked and say how it ended.

    Args:
        asker: who is told.
        session: its name, for the log.
        work: what was asked.
        failure: what is told where nobody foresaw what went wrong; bears the number of the control.
    """
    try:
        asker.receipt(await work)
    except WorldloomError as error:
        error.seq = failure.seq
        asker.refuse(error)
    except Exception:
        log.exception("session %s: %s", session, failure)
        asker.refuse(failure)
