"""The queue to one reader: order, threads, and who is dropped when it is full."""

from __future__ import annotations

import asyncio
import threading

from worldloom.streamer.outbox import Outbox

from .conftest import PATIENCE


def outbox(capacity: int = 4) -> Outbox:
    return Outbox(capacity, asyncio.get_running_loop())


async def taken(box: Outbox) -> list[str]:
    texts = await asyncio.wait_for(box.take(), PATIENCE)
    assert texts is not None
    return texts


async def test_messages_arrive_in_order_then_the_end() -> None:
    box = outbox()
    for text in "abc":
        box.put(text)
    box.close()
    box.put("late")
    assert await taken(box) == ["a", "b", "c"]
    assert await asyncio.wait_for(box.take(), PATIENCE) is None


async def test_reader_wakes_for_another_thread() -> None:
    box = outbox(1000)
    seen: list[str] = []

    def write() -> None:
        for number in range(500):
            box.put(str(number))
        box.close()

    writer = threading.Thread(target=write)
    writer.start()
    async with asyncio.timeout(5):
        while (texts := await box.take()) is not None:
            seen += texts
    writer.join()
    assert seen == [str(number) for number in range(500)]


async def test_news_are_dropped_when_full() -> None:
    box = outbox(2)
    box.put("must")
    box.put("old news", news=True)
    box.put("new news", news=True)
    assert box.dropped == 1
    assert await taken(box) == ["must", "old news"]


async def test_musts_take_the_place_of_news() -> None:
    box = outbox(2)
    box.put("news", news=True)
    box.put("a")
    box.put("b")
    assert (box.dropped, box.overflowed) == (1, False)
    assert await taken(box) == ["a", "b"]


async def test_too_many_musts_end_it() -> None:
    box = outbox(2)
    for text in "abc":
        box.put(text)
    assert box.overflowed
    assert await taken(box) == ["a", "b"]
    assert await asyncio.wait_for(box.take(), PATIENCE) is None
