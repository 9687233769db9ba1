"""What became of the controls that were sent: answers matched with those who wait for them.

Knows messages and asyncio; no socket.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeVar

from worldloom.streamer.errors import WorldloomError
from worldloom.streamer.server_messages import Receipt

UNREAD = 1024  # answers kept for somebody who asks later; older ones are forgotten

_V = TypeVar("_V")


class Receipts:
    """Answers by the number of their control."""

    def __init__(self) -> None:
        self._answers: OrderedDict[int, Receipt | WorldloomError] = OrderedDict()  # nobody has asked for them yet
        self._refusals: OrderedDict[int, WorldloomError] = OrderedDict()  # their receipt `rejected` is still to come
        self._waiters: dict[int, asyncio.Future[Receipt]] = {}
        self._end: WorldloomError | None = None

    def refuse(self, seq: int, error: WorldloomError) -> None:
        """The server says why it will reject a control."""
        _keep(self._refusals, seq, error)

    def put(self, receipt: Receipt) -> None:
        """The server's answer."""
        refusal = self._refusals.pop(receipt.seq, None)
        waiter = self._waiters.pop(receipt.seq, None)
        if waiter is None:
            _keep(self._answers, receipt.seq, refusal or receipt)
        elif waiter.done():
            return
        elif refusal is not None:
            waiter.set_exception(refusal)
        else:
            waiter.set_result(receipt)

    async def get(self, seq: int) -> Receipt:
        """The answer to a control, once. Raises the refusal, or the end of the session."""
        answer = self._answers.pop(seq, None)
        if isinstance(answer, WorldloomError):
            raise answer
        if answer is not None:
            return answer
        if self._end is not None:
            raise self._end
        waiter = self._waiters[seq] = asyncio.get_running_loop().create_future()
        return await waiter

    def forget(self, why: WorldloomError) -> None:
        """What is awaited now will not be answered; later controls will be."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(why)
        self._waiters.clear()

    def close(self, why: WorldloomError) -> None:
        """No more answers: nobody may go on waiting."""
        self._end = why
        self.forget(why)


def _keep(kept: OrderedDict[int, _V], seq: int, value: _V) -> None:
    kept[seq] = value
    if len(kept) > UNREAD:
        kept.popitem(last=False)
