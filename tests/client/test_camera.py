"""A camera operator's words: what they come to, in rows and in a world."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.client.camera import (
    WAYS,
    CannotMove,
    Ease,
    Path,
    Way,
    abilities,
    chunks,
    dolly,
    hold,
    keyframes,
    linear,
    orbit,
    pan,
    pedestal,
    roll,
    rows,
    slow_in,
    slow_out,
    smooth,
    tilt,
    truck,
    zoom,
)
from worldloom.client.connection import connect
from worldloom.models.spec import ActionSpec, Axis
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.world_info import WorldInfo

from .test_connection import serving

TOY = WorldInfo.of(ToyWorld().spec)
WIDE = Axis("", -1e6, 1e6, "1", "amount")
FREE = ActionSpec(
    axes=tuple(
        replace(WIDE, name=name) for name in ("yaw", "pitch", "roll", "forward", "strafe", "up", "zoom", "lever")
    ),
    look=("yaw", "pitch"),
)
ROOM = WorldInfo.of(replace(ToyWorld().spec, actions=FREE, fps=Fraction(30)))
MOVES = {"pan": pan, "tilt": tilt, "roll": roll, "dolly": dolly, "truck": truck, "pedestal": pedestal, "zoom": zoom}
COLUMNS = dict(zip(WAYS, FREE.columns, strict=False))


def visited(path: Path) -> ToyState:
    """Where the toy world's visitor stands after a path."""
    toy = ToyWorld()
    state = toy.start(seed=1)
    for row in rows(path, TOY):
        toy.step([state], row[None, None])
    return state


@pytest.mark.parametrize("ease", [linear, smooth, slow_in, slow_out])
@given(share=st.floats(0, 1), more=st.floats(0, 1))
def test_an_ease_goes_from_nothing_to_all_and_never_back(ease: Ease, share: float, more: float) -> None:
    assert (ease(0.0), ease(1.0)) == (0.0, 1.0)
    assert ease(min(share, more)) <= ease(max(share, more)) + 1e-12


@pytest.mark.parametrize("way", WAYS)
def test_every_way_comes_to_its_amount_in_its_own_column(way: Way) -> None:
    made = rows(MOVES[way](12.5, 1.0), ROOM)
    sums = dict(zip(FREE.columns, made.sum(0), strict=True))
    assert sums.pop(COLUMNS[way]) == pytest.approx(12.5)
    assert set(sums.values()) == {0.0}


@given(
    st.lists(st.tuples(st.sampled_from(WAYS), st.floats(-90, 90), st.floats(0.05, 3.0)), min_size=1, max_size=5),
    st.booleans(),
)
def test_rows_add_up_to_what_was_asked_for(moves: list[tuple[Way, float, float]], together: bool) -> None:
    path, wanted = Path(), dict.fromkeys(WAYS, 0.0)
    for way, amount, seconds in moves:
        step = MOVES[way](amount, seconds)
        path = path & step if together else path + step
        wanted[way] += amount
    made = rows(path, ROOM)
    for way, amount in wanted.items():
        assert made[:, FREE.columns.index(COLUMNS[way])].sum() == pytest.approx(amount, abs=1e-2)
    assert len(made) == pytest.approx(path.seconds * 30, abs=1.001)


def test_one_after_another_and_at_once() -> None:
    after, beside = pan(30, 1.0) + tilt(10, 0.5), pan(30, 1.0) & tilt(10, 0.5)
    assert (after.seconds, beside.seconds) == (1.5, 1.0)
    assert after.at(1.0) == {"pan": 30.0, "tilt": 0.0}
    assert beside.at(0.5)["tilt"] == 10.0
    assert (hold(2.0) + pan(30, 1.0)).at(1.9)["pan"] == 0.0


def test_keyframes_are_passed_at_their_times() -> None:
    path = keyframes([(1.0, {"pan": 30.0}), (2.0, {}), (4.0, {"pan": -10.0, "dolly": 5.0})])
    assert [path.at(time).get("pan") for time in (0.0, 1.0, 2.0, 4.0)] == [0.0, 30.0, 30.0, -10.0]
    assert path.at(3.0) == {"pan": pytest.approx(10.0), "dolly": pytest.approx(2.5)}
    with pytest.raises(ValueError, match="times that grow"):
        keyframes([(1.0, {"pan": 1.0}), (0.5, {})])
    with pytest.raises(ValueError, match="times that grow"):
        keyframes([(0.0, {"pan": 1.0})])


def test_an_orbit_keeps_what_it_goes_round_in_sight() -> None:
    """Small steps sideways and back again by turning: the middle stays ahead, as far away."""
    made = rows(orbit(90, 4.0, 3.0), ROOM)
    place, yaw = np.zeros(2), 0.0  # right, ahead
    middle = np.array([0.0, 4.0])
    for row in made:
        yaw += np.radians(row[0])
        place += row[4] * np.array([np.cos(yaw), -np.sin(yaw)])
    assert np.linalg.norm(middle - place) == pytest.approx(4.0, rel=0.02)
    assert np.allclose((middle - place) / 4.0, [np.sin(yaw), np.cos(yaw)], atol=0.03)


def test_the_toy_turns_and_walks_as_told() -> None:
    state = visited(pan(90, 1.5) + (dolly(20, 2.0) & pan(-30, 2.0)) + truck(-7, 1.0))
    assert state.yaw == pytest.approx(60.0, abs=1e-3)
    assert state.depth == pytest.approx(2.0)  # 20 frames of 0.1
    assert state.side == pytest.approx(-14.0)  # 7 frames of 2, to the left


@given(st.integers(-40, 40), st.floats(2.0, 6.0))
def test_buttons_are_down_for_so_many_frames(amount: int, seconds: float) -> None:
    if abs(amount) * 1.5 > seconds * 20:
        return
    made = rows(dolly(amount, seconds), TOY)
    forward, back = made[:, 0], made[:, 1]
    assert set(forward) | set(back) <= {0.0, 1.0}
    assert forward.sum() - back.sum() == amount
    assert not (forward * back).any()


def test_what_a_world_lacks_is_named() -> None:
    with pytest.raises(CannotMove, match=r"'toy' cannot tilt; it can: pan \(turn, in degree/frame\); dolly") as lacking:
        rows(tilt(10, 1.0), TOY)
    assert "truck (right and left, in frames)" in str(lacking.value)
    still = WorldInfo.of(replace(ToyWorld().spec, actions=ActionSpec(axes=(Axis("x", -1, 1, "cm/frame"),))))
    with pytest.raises(CannotMove, match="it can: nothing"):
        rows(pan(10, 1.0), still)
    assert abilities(still) == {}
    assert set(abilities(ROOM)) == set(WAYS)


def test_what_is_too_fast_says_how_long_it_takes() -> None:
    with pytest.raises(CannotMove, match=r"give it 1\.[0-9]+ times as long"):
        rows(pan(90, 1.0), TOY)  # 6.7 degrees in the quickest frame, and the world turns by 6
    assert rows(pan(90, 1.2), TOY).sum() == pytest.approx(90.0, rel=1e-4)
    with pytest.raises(CannotMove, match="dolly of"):
        rows(dolly(21, 1.0, linear), TOY)
    assert rows(dolly(20, 1.0, linear), TOY)[:, 0].all()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_move_takes_some_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="takes some time"):
        pan(10, seconds)


def test_rows_fill_whole_chunks() -> None:
    world = WorldInfo.of(ToyWorld(chunk=4).spec)
    steps = list(chunks(pan(20, 1.25), world))
    assert [len(step) for step in steps] == [4] * 7  # 25 frames, and three of rest
    assert not np.array(steps[-1][1:]).any()


async def test_a_path_drives_a_world_on_a_server() -> None:
    async with serving() as url, connect(url, mode="lockstep", format="raw", seed=1) as world:
        pictures = [picture for chunk in chunks(pan(40, 1.0), world.info) for picture in await world.step(chunk)]
    toy = ToyWorld()
    state = toy.start(seed=1)
    for row, picture in zip(rows(pan(40, 1.0), TOY), pictures, strict=True):
        assert (picture.pixels == toy.step([state], row[None, None])[0, 0]).all()
    assert state.yaw == pytest.approx(40.0, abs=1e-3)
