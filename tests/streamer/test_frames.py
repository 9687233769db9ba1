"""The slot keeps the newest frames, wakes its reader from any thread, and holds a frame back until its time."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from worldloom.streamer.errors import SessionClosed
from worldloom.streamer.frames import Frame, FrameSlot


def make_frame(index: int, show_ns: int = 0) -> Frame:
    return Frame(index, index * 4500, np.zeros((2, 2, 3), np.uint8), 0, 1, 2, 3, show_ns)


async def take(slot: FrameSlot) -> int:
    return (await asyncio.wait_for(slot.get(), 5)).index


async def test_newest_wins_and_drops_are_counted() -> None:
    slot = FrameSlot()
    for index in range(5):
        slot.put(make_frame(index))
    assert await take(slot) == 4
    assert slot.dropped == 4


async def test_a_deep_slot_keeps_order_and_drops_the_oldest() -> None:
    slot = FrameSlot(depth=3)
    for index in range(5):
        slot.put(make_frame(index))
    assert [await take(slot) for _ in range(3)] == [2, 3, 4]
    assert slot.dropped == 2


async def test_a_put_from_another_thread_wakes_the_reader() -> None:
    slot = FrameSlot()
    reader = asyncio.ensure_future(take(slot))
    await asyncio.sleep(0)
    threading.Thread(target=slot.put, args=(make_frame(7),)).start()
    assert await reader == 7


async def test_close_ends_the_reader_after_what_is_left() -> None:
    slot = FrameSlot()
    slot.put(make_frame(1))
    slot.close()
    slot.put(make_frame(2))
    assert await take(slot) == 1
    assert slot.dropped == 1
    with pytest.raises(SessionClosed):
        await take(slot)


async def test_close_wakes_a_waiting_reader() -> None:
    slot = FrameSlot()
    reader = asyncio.ensure_future(slot.get())
    await asyncio.sleep(0)
    slot.close()
    with pytest.raises(SessionClosed):
        await asyncio.wait_for(reader, 5)


async def test_a_cancelled_reader_loses_no_frame() -> None:
    slot = FrameSlot()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slot.get(), 0.01)
    slot.put(make_frame(1))
    assert await take(slot) == 1


async def test_a_frame_waits_for_its_time_without_leaving_the_slot() -> None:
    now = [100]
    slot = FrameSlot(depth=2, clock_ns=lambda: now[0])
    slot.put(make_frame(1, show_ns=10**15))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slot.get(), 0.02)
    now[0] = 10**15
    assert await take(slot) == 1
    assert slot.dropped == 0


async def test_an_early_frame_is_shown_after_a_real_wait() -> None:
    now = [0]

    def passing() -> int:
        now[0] += 1_000_000
        return now[0]

    slot = FrameSlot(clock_ns=passing)
    slot.put(make_frame(3, show_ns=6_000_000))
    assert await take(slot) == 3
    assert now[0] >= 6_000_000


def test_a_put_after_the_readers_loop_died_is_harmless() -> None:
    slot = FrameSlot()

    async def abandon() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slot.get(), 0.01)

    asyncio.run(abandon())
    slot.put(make_frame(1))
    slot.put(make_frame(2))
    assert slot.dropped == 1


def test_a_slot_needs_room() -> None:
    with pytest.raises(ValueError, match="depth"):
        FrameSlot(0)
