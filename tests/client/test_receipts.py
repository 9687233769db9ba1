"""Controls that wait for their receipts."""

from __future__ import annotations

import pytest

from worldloom.client.receipts import UNANSWERED, Receipts
from worldloom.streamer import errors
from worldloom.streamer.client_messages import Key, Look
from worldloom.streamer.server_messages import Receipt


async def test_controls_without_an_answer_are_bounded() -> None:
    receipts = Receipts()
    sent = [receipts.say(Look(seq=seq)) for seq in range(1, UNANSWERED + 1)]
    with pytest.raises(errors.RateLimited):
        receipts.say(Look(seq=UNANSWERED + 1))
    receipts.put(Receipt(seq=1, status="applied", frame=0))
    assert (await sent[0]).frame == 0
    receipts.say(Look(seq=UNANSWERED + 1))
    receipts.close(errors.SessionClosed("over"))
    with pytest.raises(errors.SessionClosed):
        await sent[1]


async def test_what_the_server_has_not_seen_is_said_again_in_order() -> None:
    receipts = Receipts()
    sent = [receipts.say(Look(seq=seq)) for seq in (1, 2, 3)]
    assert [(await receipts.next()).seq for _ in sent] == [1, 2, 3]
    assert receipts.back(1) == [1]
    assert [(await receipts.next()).seq for _ in (2, 3)] == [2, 3]
    receipts.put(Receipt(seq=3, status="applied", frame=4))
    receipts.lose([1, 3], errors.SessionClosed("lost"))
    assert (await sent[2]).frame == 4, "answered in time"
    with pytest.raises(errors.SessionClosed):
        await sent[0]


async def test_what_is_held_goes_last_and_waits_for_no_place_and_no_answer() -> None:
    receipts = Receipts()
    for seq in range(1, UNANSWERED + 1):
        receipts.say(Look(seq=seq))
    for connection in range(1, 4):  # each is lost before it has taken anything
        receipts.back(0)
        receipts.repeat([Key(seq=UNANSWERED + connection, code="KeyW", down=True)])
    numbers = [(await receipts.next()).seq for _ in range(UNANSWERED + 1)]
    assert numbers == [*range(1, UNANSWERED + 1), UNANSWERED + 3], "one of them, and the newest"
    receipts.put(Receipt(seq=UNANSWERED + 3, status="applied", frame=0))
    assert not receipts._unsent
