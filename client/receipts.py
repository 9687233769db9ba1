"""Controls between being said and being answered: one after another to the line, and what became of each to who waits.

A connection may be lost between the two. What the server has not seen is said again, in order, on the next one; what it
has seen is answered there, unless the answer was already on its way and lost with the line.

Knows messages and asyncio; no socket.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable
from typing import TypeAlias

from worldloom.streamer.client_messages import Fork, Record
from worldloom.streamer.errors import RateLimited, SessionClosed, WorldloomError
from worldloom.streamer.protocol import Control
from worldloom.streamer.server_messages import Receipt

UNANSWERED = 1024  # controls without an answer; more are refused

Said: TypeAlias = Control | Fork | Record


class Sent:
    """A control that was said. Await it for its receipt, as often as you like, or never."""

    def __init__(self, message: Said) -> None:
        self.message = message
        self._answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._answer.add_done_callback(_seen)  # an error that nobody waits for is no news

    @property
    def seq(self) -> int:
        """Its number: `Picture.applied_seq` of the first picture that it shaped is not below it."""
        return self.message.seq

    @property
    def answer(self) -> asyncio.Future[Receipt]:
        """The receipt, or the error in its place, once it is there. Not to be cancelled."""
        return self._answer

    @property
    def failed(self) -> bool:
        """It has come to nothing: it was not sent, or was refused, or its answer was lost."""
        return self._answer.done() and not self._answer.cancelled() and self._answer.exception() is not None

    @property
    def refused(self) -> bool:
        """The server has said that it will not do it."""
        if not self._answer.done() or self._answer.cancelled():
            return False
        error = self._answer.exception()
        return self._answer.result().status == "rejected" if error is None else not isinstance(error, SessionClosed)

    def __await__(self) -> Generator[object, None, Receipt]:
        return asyncio.shield(self._answer).__await__()


class Receipts:
    """Controls by their number."""

    def __init__(self) -> None:
        self._unanswered: OrderedDict[int, Sent] = OrderedDict()
        self._refusals: dict[int, WorldloomError] = {}  # the receipt `rejected` is still to come
        self._unsent: deque[Said] = deque()
        self._more = asyncio.Event()

    def say(self, message: Said) -> Sent:
        """Queue a control for the line.

        Raises:
            RateLimited: too many wait for an answer.
        """
        if len(self._unanswered) >= UNANSWERED:
            raise RateLimited(f"expected at most {UNANSWERED} controls without an answer; send fewer", seq=message.seq)
        sent = self._unanswered[message.seq] = Sent(message)
        self._unsent.append(message)
        self._more.set()
        return sent

    def repeat(self, held: Iterable[Said]) -> None:
        """Queue what is held for a new connection, however much waits. Nobody waits for these: lost, they are gone."""
        self._unsent.extend(held)
        self._more.set()

    async def next(self) -> Said:
        """The next control for the line."""
        while not self._unsent:
            self._more.clear()
            await self._more.wait()
        return self._unsent.popleft()

    def refuse(self, seq: int, error: WorldloomError) -> None:
        """The server says why it will reject a control."""
        if seq in self._unanswered:
            self._refusals[seq] = error

    def put(self, receipt: Receipt) -> None:
        """The server's answer."""
        refusal = self._refusals.pop(receipt.seq, None)
        sent = self._unanswered.pop(receipt.seq, None)
        if sent is None:
            return
        if refusal is not None:
            sent.answer.set_exception(refusal)
        else:
            sent.answer.set_result(receipt)

    def back(self, last_seq: int) -> list[int]:
        """Another connection: what the server has not seen is to be sent again. Returns what it has, unanswered."""
        self._unsent = deque(sent.message for seq, sent in self._unanswered.items() if seq > last_seq)
        self._more.set()
        return [seq for seq in self._unanswered if seq <= last_seq]

    def lose(self, seqs: Iterable[int], why: WorldloomError) -> None:
        """Controls that will not be answered any more, if they have not been."""
        for seq in seqs:
            sent = self._unanswered.pop(seq, None)
            if sent is not None:
                self._refusals.pop(seq, None)
                sent.answer.set_exception(why)

    def close(self, why: WorldloomError) -> None:
        """No more answers: nobody may go on waiting."""
        self._unsent.clear()
        self.lose(list(self._unanswered), why)


def failed(message: Said, why: WorldloomError) -> Sent:
    """A control that was never sent."""
    sent = Sent(message)
    sent.answer.set_exception(why)
    return sent


def _seen(answer: asyncio.Future[Receipt]) -> None:
    if not answer.cancelled():
        answer.exception()
