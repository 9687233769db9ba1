"""What befell a memory between two frames, and in which order."""

from __future__ import annotations

from dataclasses import replace

from worldloom.streamer.client_messages import Say
from worldloom.streamer.since import MADE, Since, Told, in_order

LAKE = Say(seq=1, text="a lake", how="flush")
FOREST = Say(seq=2, text="a forest", how="blend", chunks=2)


def test_a_memory_made_anew_is_told_where_it_happened() -> None:
    since = replace(MADE.telling(LAKE), rebuilt=True).telling(FOREST)
    lake, forest = Told("a lake", "flush", LAKE.chunks), Told("a forest", "blend", 2, rebuilt=True)
    assert list(in_order(since.told, rebuilt=since.rebuilt)) == [lake, None, forest]
    since = replace(since, rebuilt=True)
    assert list(in_order(since.told, rebuilt=since.rebuilt)) == [lake, None, forest, None]
    assert not list(in_order(MADE.told, rebuilt=MADE.rebuilt))


def test_who_goes_back_to_a_beginning_begins_and_others_say_where_to() -> None:
    assert Since().left(7, parked=True) == Since(rebuilt=True)
    assert MADE.left(7, parked=False) == Since(fresh=False, back_to=7)
