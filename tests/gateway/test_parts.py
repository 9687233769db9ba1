"""The fence, the vault, the order of workers and a moved snapshot: values in, values out."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.models.toy import ToyWorld
from worldloom.streamer.clock import ClockState, FrameClock
from worldloom.streamer.gateway.fence import Fence
from worldloom.streamer.gateway.moving import moved
from worldloom.streamer.gateway.placement import Policy, Room, ranked, workers_wanted
from worldloom.streamer.gateway.report import Parcel
from worldloom.streamer.gateway.vault import Vault
from worldloom.streamer.origin import Origin, Snapshot

NS = 1_000_000_000
SNAPSHOT = Snapshot("s", Origin(1), "realtime", 40, 3, False, ClockState(5 * NS, 2 * NS), b"x" * 100)
PARCEL = Parcel("toy", SNAPSHOT, "the resume token", "the watch token", 3, age_s=1.0, stamp=1)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_goes_on_while_the_gateway_hears_it() -> None:
    time = Time()
    fence = Fence(6.0, time)
    for number in range(1, 100):
        fence.asked(number, number - 1)
        time.now += 1.0
        assert not fence.over
    time.now += 4.0
    assert not fence.over
    time.now += 1.0  # 98 was heard, and 99 not as far as is known
    assert fence.over


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.booleans()), min_size=1, max_size=30))
def test_a_worker_has_ended_before_its_gateway_gives_its_sessions_away(calls: list[tuple[float, float, bool]]) -> None:
    """Whatever was slow or lost on the way there and back."""
    time = Time()
    fence, heard, acknowledged = Fence(6.0, time), 0.0, 0
    for number, (there, back, lost) in enumerate(calls, 1):
        time.now += there
        fence.asked(number, acknowledged)
        time.now += back
        if not lost:
            heard, acknowledged = time.now, number
    if acknowledged and fence._until < float("inf"):
        assert fence._until <= heard + 6.0


def test_the_watch_ends_the_process_without_a_loop() -> None:
    time, ended = Time(), threading.Event()
    fence = Fence(1.0, time)
    fence.asked(1, 0)
    fence.asked(2, 1)
    fence.watch(ended.set)
    assert not ended.wait(0.3)
    time.now = 1.5
    assert ended.wait(5.0)


def test_the_vault_is_bounded_and_keeps_the_older_one_where_the_newer_finds_no_room() -> None:
    vault = Vault(250)
    other = replace(PARCEL, snapshot=replace(SNAPSHOT, ident="other"))
    large = replace(PARCEL, snapshot=replace(SNAPSHOT, state=b"x" * 200), stamp=2)
    assert vault.put(PARCEL, 10.0)
    assert vault.put(other, 10.0)
    assert not vault.put(large, 12.0)
    assert (len(vault), vault.octets, vault.refused) == (2, 200, 1)
    kept = vault.take("s", 15.0)
    assert kept is not None
    assert (kept.stamp, kept.age_s) == (1, 6.0)
    assert vault.stamps({"s", "nobody"}) == {"s": 1}
    vault.drop("other")
    vault.drop("other")
    assert vault.put(large, 16.0)
    assert vault.octets == 200
    vault.drop("s")
    assert (len(vault), vault.octets) == (0, 0)


@pytest.mark.parametrize(("policy", "first"), [("spread", "empty"), ("pack", "nearly")])
def test_policies_choose(policy: Policy, first: str) -> None:
    rooms = [Room("empty", 4, 0), Room("nearly", 4, 3), Room("full", 4, 4), Room("half", 4, 2), Room("over", 2, 3)]
    order = ranked(rooms, policy, random.Random(1))
    assert order[0] == first
    assert sorted(order) == ["empty", "half", "nearly"]


def test_equals_are_drawn() -> None:
    rooms = [Room(name, 4, 1) for name in "abcd"]
    assert {ranked(rooms, "spread", random.Random(seed))[0] for seed in range(40)} == set("abcd")


@pytest.mark.parametrize(
    ("taken", "refused", "each", "wanted"), [(0, 0, 4.0, 1), (8, 0, 4.0, 3), (8, 4, 4.0, 4), (5, 0, 0.0, 7)]
)
def test_how_many_workers_would_suit(taken: int, refused: int, each: float, wanted: int) -> None:
    assert workers_wanted(taken, refused, each, spare=0.2) == wanted


@pytest.mark.parametrize("now_s", [0.5, 1e6])  # a machine that was started just now, and one that runs for long
@pytest.mark.parametrize("age_s", [0.0, 0.01, 3.7, 120.0])
def test_a_moved_session_is_due_now_and_its_numbers_and_times_only_grow(age_s: float, now_s: float) -> None:
    spec, now = ToyWorld().spec, int(now_s * NS)
    there = moved(SNAPSHOT, spec, age_s, now)
    before, after = FrameClock(spec.fps), FrameClock(spec.fps)
    before.go_on(SNAPSHOT.clock)
    after.go_on(there.clock)
    assert after.due(there.index) == now
    latest = SNAPSHOT.index + int(age_s * spec.fps)  # that can have been shown
    assert there.index > latest
    assert after.pts(there.index) > before.pts(SNAPSHOT.index) + int(age_s * 90_000)
    assert (there.state, there.applied) == (SNAPSHOT.state, SNAPSHOT.applied)


def test_a_moved_lockstep_session_leaves_room_for_a_fast_driver() -> None:
    there = moved(replace(SNAPSHOT, mode="lockstep"), ToyWorld().spec, 2.0, NS)
    assert there.index > SNAPSHOT.index + 2000
