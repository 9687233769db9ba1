"""Controls become action rows by the rules of the protocol, and every event gets exactly one outcome."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.models.spec import ActionSpec, Axis
from worldloom.models.spec import Key as Binding
from worldloom.streamer.client_messages import Action, Axes, Key, Look
from worldloom.streamer.controls import MAX_WAITING_AMOUNTS, ControlState, Event, Outcome
from worldloom.streamer.validation import check_event

SPEC = ActionSpec(
    buttons=("forward", "fire"),
    axes=(
        Axis("turn", -6.0, 6.0, "degree/frame", "amount"),
        Axis("lever", -1.0, 1.0, "1"),
        Axis("grip", 0.0, 0.1, "m"),
    ),
    keys={
        "KeyW": Binding("forward"),
        "ArrowUp": Binding("forward"),
        "ArrowLeft": Binding("turn", -4.0),
        "ArrowRight": Binding("turn", 4.0),
        "KeyE": Binding("lever", 1.0),
        "KeyQ": Binding("lever", -1.0),
    },
    look=("turn", None),
)
FORWARD, FIRE, TURN, LEVER, GRIP = range(5)


def state(chunk: int = 1) -> ControlState:
    return ControlState(SPEC, chunk)


def give(controls: ControlState, *events: Event) -> None:
    for event in events:
        check_event(event, controls.spec)
        controls.apply(event)


def column(controls: ControlState, index: int) -> float:
    rows = controls.sample()
    assert np.all(rows == rows[0])
    return float(rows[0, index])


def statuses(controls: ControlState) -> dict[int, str]:
    return {outcome.seq: outcome.status for outcome in controls.drain()}


def key(seq: int, code: str, down: bool) -> Key:
    return Key(seq=seq, code=code, down=down)


# Keys -----------------------------------------------------------------------------------------------------------------


def test_nothing_given_is_neutral() -> None:
    rows = state(chunk=3).sample()
    assert rows.shape == (3, 5)
    assert rows.dtype == np.float32
    assert not rows.any()


def test_a_key_is_held_until_released() -> None:
    controls = state()
    give(controls, key(1, "KeyW", True))
    assert [column(controls, FORWARD) for _ in range(3)] == [1, 1, 1]
    give(controls, key(2, "KeyW", False))
    assert [column(controls, FORWARD) for _ in range(2)] == [0, 0]
    assert statuses(controls) == {1: "applied", 2: "applied"}


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_tap_shorter_than_a_chunk_is_held_for_one_chunk(chunk: int) -> None:
    controls = state(chunk)
    give(controls, key(1, "KeyW", True), key(2, "KeyW", False))
    assert column(controls, FORWARD) == 1
    assert statuses(controls) == {1: "applied"}  # the release has not shaped a frame yet
    assert column(controls, FORWARD) == 0
    assert statuses(controls) == {2: "applied"}


def test_a_second_tap_replaces_one_that_was_never_sampled() -> None:
    controls = state()
    give(controls, *(key(seq, "KeyW", seq % 2 == 1) for seq in (1, 2, 3, 4)))
    assert [column(controls, FORWARD) for _ in range(2)] == [1, 0]
    assert statuses(controls) == {1: "superseded", 2: "superseded", 3: "applied", 4: "applied"}


def test_a_release_and_press_between_samples_keeps_the_key_down() -> None:
    controls = state()
    give(controls, key(1, "KeyW", True))
    controls.sample()
    give(controls, key(2, "KeyW", False), key(3, "KeyW", True))
    assert [column(controls, FORWARD) for _ in range(2)] == [1, 1]
    assert statuses(controls) == {1: "applied", 2: "superseded", 3: "applied"}


def test_a_release_of_a_key_that_was_never_down_is_harmless() -> None:
    controls = state()
    give(controls, key(1, "KeyW", False), key(2, "KeyW", False))
    assert column(controls, FORWARD) == 0
    assert statuses(controls) == {1: "superseded", 2: "applied"}


def test_opposing_keys_cancel_and_two_keys_of_one_button_press_it_once() -> None:
    controls = state()
    give(controls, key(1, "KeyE", True), key(2, "KeyQ", True), key(3, "KeyW", True), key(4, "ArrowUp", True))
    rows = controls.sample()
    assert rows[0, LEVER] == 0
    assert rows[0, FORWARD] == 1
    give(controls, key(5, "KeyQ", False), key(6, "KeyW", False))
    rows = controls.sample()
    assert rows[0, LEVER] == 1
    assert rows[0, FORWARD] == 1


# Amounts --------------------------------------------------------------------------------------------------------------


def test_looks_are_summed_and_spent_once() -> None:
    controls = state(chunk=2)
    give(controls, Look(seq=1, yaw=3.0), Look(seq=2, yaw=2.0, pitch=40.0), Look(seq=3, yaw=-1.0))
    assert column(controls, TURN) == 2.0  # 4 degrees over two frames
    assert column(controls, TURN) == 0.0
    assert statuses(controls) == {1: "applied", 2: "applied", 3: "applied"}


def test_what_does_not_fit_one_chunk_is_carried_over_two_more_and_the_rest_is_dropped() -> None:
    controls = state()
    give(controls, Look(seq=1, yaw=100.0))
    assert [column(controls, TURN) for _ in range(5)] == [6, 6, 6, 0, 0]
    assert statuses(controls) == {1: "applied"}


def test_a_look_behind_others_is_applied_when_its_turn_comes_or_expires() -> None:
    controls = state()
    give(controls, *(Look(seq=seq, yaw=5.0) for seq in range(1, 7)))  # 0-5, 5-10, ... 25-30 of 18 degrees
    spent = []
    seen: list[dict[int, str]] = []
    for _ in range(4):
        spent.append(column(controls, TURN))
        seen.append(statuses(controls))
    assert spent == [6, 6, 6, 0]
    assert seen == [{1: "applied", 2: "applied", 5: "expired", 6: "expired"}, {3: "applied"}, {4: "applied"}, {}]
    assert controls.dropped_amounts == 2
    assert controls.last_applied == 4


def test_opposite_looks_cancel() -> None:
    controls = state()
    give(controls, Look(seq=1, yaw=30.0), Look(seq=2, yaw=-30.0))
    assert column(controls, TURN) == 0.0
    assert statuses(controls) == {1: "applied", 2: "applied"}


def test_a_key_and_a_look_share_the_range() -> None:
    controls = state()
    give(controls, key(1, "ArrowRight", True), Look(seq=2, yaw=5.0))
    assert [column(controls, TURN) for _ in range(4)] == [6, 6, 5, 4]


def test_a_look_that_a_held_key_leaves_no_room_for_expires() -> None:
    controls = ControlState(
        ActionSpec(
            axes=(Axis("turn", -6, 6, "degree/frame", "amount"),),
            keys={"KeyE": Binding("turn", 6)},
            look=("turn", None),
        ),
        1,
    )
    give(controls, key(1, "KeyE", True), Look(seq=2, yaw=5.0))
    assert column(controls, 0) == 6
    assert statuses(controls) == {1: "applied", 2: "expired"}
    give(controls, key(3, "KeyE", False))
    assert column(controls, 0) == 0  # nothing old comes up later


def test_a_look_may_drive_a_level_axis() -> None:
    controls = ControlState(ActionSpec(axes=(Axis("pan", -5, 5, "1"),), look=(None, "pan")), 1)
    give(controls, Axes(seq=1, values={"pan": 1.0}), Look(seq=2, pitch=3.0))
    assert [column(controls, 0) for _ in range(2)] == [4, 1]


def test_waiting_amounts_are_bounded() -> None:
    controls = state()
    give(controls, *(Look(seq=seq, yaw=0.001) for seq in range(1, MAX_WAITING_AMOUNTS + 11)))
    assert controls.dropped_amounts == 10
    assert Counter(statuses(controls).values()) == {"expired": 10}
    controls.sample()
    assert Counter(statuses(controls).values()) == {"applied": MAX_WAITING_AMOUNTS}


# Axes and actions -----------------------------------------------------------------------------------------------------


def test_the_latest_axes_win_and_hold() -> None:
    controls = state()
    give(controls, Axes(seq=1, values={"lever": 0.5}), Axes(seq=2, values={"lever": -0.5}))
    assert [column(controls, LEVER) for _ in range(2)] == [-0.5, -0.5]
    assert statuses(controls) == {1: "superseded", 2: "applied"}


def test_axes_are_superseded_only_when_all_their_columns_are() -> None:
    controls = state()
    give(controls, Axes(seq=1, values={"lever": 0.5, "grip": 0.05}), Axes(seq=2, values={"lever": 0.2}))
    controls.sample()
    assert statuses(controls) == {1: "applied", 2: "applied"}
    give(controls, Axes(seq=3, values={"lever": 0.5, "grip": 0.05}), Axes(seq=4, values={"lever": 0.2}))
    give(controls, Axes(seq=5, values={"grip": 0.0}))
    controls.sample()
    assert statuses(controls) == {3: "superseded", 4: "applied", 5: "applied"}


def test_an_amount_axis_is_spent_once() -> None:
    controls = state()
    give(controls, Axes(seq=1, values={"turn": 2.0, "lever": 0.5}), Axes(seq=2, values={"turn": 1.0}))
    assert column(controls, TURN) == 3.0
    assert column(controls, TURN) == 0.0
    assert statuses(controls) == {1: "applied", 2: "applied"}


def test_an_action_holds_its_levels_and_spends_its_amounts_once() -> None:
    controls = state()
    give(controls, Action(seq=1, values=(0.0, 0.7, 5.0, 0.25, 0.1)))
    first, second = controls.sample()[0], controls.sample()[0]
    np.testing.assert_allclose(first, [0, 1, 5, 0.25, 0.1], rtol=1e-6)
    np.testing.assert_allclose(second, [0, 1, 0, 0.25, 0.1], rtol=1e-6)


def test_a_newer_action_replaces_an_unsampled_one_with_its_amounts() -> None:
    controls = state()
    give(controls, Action(seq=1, values=(1.0, 1.0, 5.0, 1.0, 0.1)), Action(seq=2, values=(0.0, 0.0, 2.0, 0.0, 0.0)))
    np.testing.assert_allclose(controls.sample()[0], [0, 0, 2, 0, 0])
    assert statuses(controls) == {1: "superseded", 2: "applied"}


def test_keys_add_to_what_an_action_holds() -> None:
    controls = state()
    give(controls, Action(seq=1, values=(0.0, 1.0, 0.0, 0.5, 0.0)), key(2, "KeyQ", True))
    np.testing.assert_allclose(controls.sample()[0], [0, 1, 0, -0.5, 0])


# Settling -------------------------------------------------------------------------------------------------------------


def test_settling_answers_everything_and_leaves_no_key_stuck() -> None:
    controls = state()
    give(controls, key(1, "KeyW", True), key(2, "KeyE", True))
    controls.sample()
    controls.drain()
    give(controls, key(3, "KeyW", False), key(4, "ArrowRight", True), Look(seq=5, yaw=3.0))
    give(controls, Axes(seq=6, values={"grip": 0.05}), Action(seq=7, values=(0.0, 1.0, 2.0, -1.0, 0.05)))
    controls.settle("expired")
    assert statuses(controls) == {3: "expired", 4: "expired", 5: "expired", 6: "superseded", 7: "expired"}
    np.testing.assert_allclose(controls.sample()[0], [0, 1, 4, 0, 0.05], rtol=1e-6)  # held, but no amounts
    assert controls.drain() == []


EVENTS = st.one_of(
    st.builds(key, st.just(1), st.sampled_from(sorted(SPEC.keys)), st.booleans()),
    st.builds(lambda yaw, pitch: Look(seq=1, yaw=yaw, pitch=pitch), st.floats(-50, 50), st.floats(-50, 50)),
    st.builds(
        lambda v: Axes(seq=1, values=v),
        st.dictionaries(st.sampled_from(["turn", "lever"]), st.floats(-1, 1), min_size=1),
    ),
    st.builds(lambda v: Action(seq=1, values=(1.0, 0.0, v, v, 0.0)), st.floats(-1, 1)),
    st.just(None),
)


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=60), st.integers(1, 4))
def test_every_event_gets_one_outcome_and_every_row_is_in_range(events: list[Event | None], chunk: int) -> None:
    controls = state(chunk)
    outcomes: list[Outcome] = []
    sent = 0
    for event in events:
        if event is None:
            rows = controls.sample()
            assert rows.shape == (chunk, 5)
            assert np.all(rows >= SPEC.low)
            assert np.all(rows <= SPEC.high)
        else:
            sent += 1
            give(controls, event.model_copy(update={"seq": sent}))
        outcomes += controls.drain()
    controls.settle("expired")
    outcomes += controls.drain()
    assert sorted(outcome.seq for outcome in outcomes) == list(range(1, sent + 1))
