"""Owners and epochs: a session has one owner or none, in every order in which things can happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.streamer.errors import UnknownSession
from worldloom.streamer.gateway.registry import Registry
from worldloom.streamer.gateway.report import Held

HELD = Held("s", 0, "the resume token", "the watch token")


def registry() -> Registry:
    made = Registry()
    made.began(HELD, "w1", "a", 0.0)
    return made


def test_a_session_that_is_somebodys_is_given_to_nobody_else() -> None:
    made = registry()
    (entry,) = made
    with pytest.raises(ValueError, match="w1"):
        made.assign(entry, "w2", "b", 1.0)
    made.evict(entry, 1.0)
    assert made.homeless() == [entry]
    assert made.assign(entry, "w2", "b", 2.0) == 1
    with pytest.raises(ValueError, match="w2"):
        made.assign(entry, "w3", "c", 3.0)


def test_saying_twice_that_it_began_changes_no_owner() -> None:
    made = registry()
    (entry,) = made
    made.evict(entry, 1.0)
    made.began(HELD, "w1", "a", 2.0)  # a report that was under way when its worker died
    assert entry.worker is None
    assert len(made) == 1


@pytest.mark.parametrize(
    ("token", "drive", "opens"),
    [
        ("the resume token", True, True),
        ("the resume token", False, True),
        ("the watch token", False, True),
        ("the watch token", True, False),
        ("", False, False),
        ("é", False, False),
    ],
)
def test_tokens_open_what_they_are_for(token: str, drive: bool, opens: bool) -> None:
    made = registry()
    if opens:
        assert made.find("s", token, drive=drive).session == "s"
    else:
        with pytest.raises(UnknownSession):
            made.find("s", token, drive=drive)


def test_an_unknown_watch_token_opens_nothing() -> None:
    made = Registry()
    made.began(Held("s", 0, "the resume token", ""), "w1", "a", 0.0)  # as a lease is, before the first report
    with pytest.raises(UnknownSession):
        made.find("s", "", drive=False)


@given(st.lists(st.sampled_from(["evict", "assign", "settle", "again"]), max_size=40))
def test_epochs_only_grow_and_owners_never_overlap(moves: list[str]) -> None:
    made = registry()
    (entry,) = made
    owners, epoch = 1, 0
    for now, move in enumerate(moves):
        if move == "evict":
            made.evict(entry, now)
            owners = 0
        elif move == "assign" and entry.worker is None:
            assert made.assign(entry, f"w{now}", f"i{now}", now) == epoch + 1
            owners, epoch = owners + 1, epoch + 1
        elif move == "settle":
            made.settle(entry, now)
        else:
            made.began(HELD, "w1", "a", now)
        assert owners == (entry.worker is not None)
        assert entry.epoch == epoch
