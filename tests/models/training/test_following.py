from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.spec import ActionSpec, Axis
from worldloom.models.training.following import f1, following
from worldloom.models.training.inverse import keys_of, looks_of

ACTIONS = ActionSpec(
    ("forward", "use"), (Axis("turn", -6.0, 6.0, "degree/frame"), Axis("lift", -1.0, 1.0, "1")), look=("turn", None)
)


def test_keys_are_buttons_and_sides_of_axes_that_do_not_look() -> None:
    keys = keys_of(ACTIONS)
    assert [(key.name, key.column, key.bar) for key in keys] == [
        ("forward", 0, 0.5),
        ("use", 1, 0.5),
        ("lift+", 3, 0.5),
        ("lift-", 3, -0.5),
    ]
    assert looks_of(ACTIONS) == [2]
    rows = np.array([[0, 0, 0, 0.6], [0, 0, 0, -0.6], [1, 0, 0, 0.4]], np.float32)
    assert [key.pressed(rows).tolist() for key in keys if key.name != "use"] == [
        [False, False, True],
        [True, False, False],
        [False, True, False],
    ]


def test_f1_by_hand() -> None:
    said, true = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    assert f1(said, true) == pytest.approx(2 * 2 / (3 + 3))
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0.0


def test_a_dream_that_obeys_and_one_that_stands_still() -> None:
    asked = np.zeros((1, 4, 4), np.float32)
    asked[0, :2, 0] = 1.0  # forward in half of the frames; nobody ever uses anything
    asked[0, :, 2] = [6.0, -6.0, 3.0, 0.0]
    asked[0, 3, 3] = 1.0
    still = np.zeros_like(asked)
    measured = following(asked, still, asked, ACTIONS)
    assert set(measured["key_f1"]) == {"forward", "lift+"}  # who is never pressed is not counted
    assert (measured["key_macro_f1"], measured["key_macro_f1_ceiling"]) == (0.0, 1.0)
    assert measured["key_macro_f1_chance"] == pytest.approx((0.5 + 0.25) / 2)
    assert (measured["look_error_deg"], measured["look_error_deg_ceiling"]) == (3.75, 0.0)
    assert measured["look_error_deg_still"] == 3.75


def test_a_world_without_a_camera_has_no_look_error() -> None:
    actions = ActionSpec((), (Axis("x", -1.0, 1.0, "1"),))
    rows = np.ones((1, 2, 1), np.float32)
    assert "look_error_deg" not in following(rows, rows, rows, actions)
