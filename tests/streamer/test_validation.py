"""What a world can never obey is refused, with the number of the event and in words that say what it takes."""

from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.spec import ActionSpec
from worldloom.models.toy import ToyWorld
from worldloom.streamer.client_messages import Action, Axes, Look
from worldloom.streamer.controls import Event
from worldloom.streamer.errors import BadAction, UnknownKey, Unsupported
from worldloom.streamer.validation import check_event, clipped_rows

from .test_controls import SPEC, key


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (key(9, "KeyZ", True), UnknownKey),
        (Axes(seq=9, values={"warp": 0.0}), BadAction),
        (Axes(seq=9, values={"forward": 1.0}), BadAction),
        (Axes(seq=9, values={"lever": 1.5}), BadAction),
        (Action(seq=9, values=(0.0,)), BadAction),
        (Action(seq=9, values=(0.0, 0.0, 0.0, 0.0, 0.2)), BadAction),
        (Action.model_construct(seq=9, values=(0.0, 0.0, float("nan"), 0.0, 0.0)), BadAction),
    ],
)
def test_what_this_world_cannot_obey_is_refused(event: Event, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        check_event(event, SPEC)
    assert getattr(caught.value, "seq", None) == 9
    assert "expected" in str(caught.value)


def test_a_look_where_nothing_looks_is_refused() -> None:
    with pytest.raises(Unsupported):
        check_event(Look(seq=1, yaw=1.0), ActionSpec(buttons=("go",)))


def test_a_limit_is_compared_in_float32() -> None:
    check_event(Axes(seq=1, values={"grip": float(np.float32(0.1))}), SPEC)


def test_rows_of_a_batch_are_clipped_to_their_columns() -> None:
    spec = ToyWorld(chunk=2).spec
    rows = np.full((3, 2, len(spec.actions.columns)), 1e9)
    clipped = clipped_rows(rows, spec, 3)
    assert clipped.dtype == np.float32
    assert (clipped == spec.actions.high).all()
    assert (clipped_rows(-rows, spec, 3) == spec.actions.low).all()


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 1, 6)), np.zeros((1, 2, 6)), np.zeros((2, 2, 5)), np.full((2, 2, 6), np.nan)]
)
def test_rows_of_another_shape_or_not_finite_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(BadAction, match=r"\(2, 2, 6\)"):
        clipped_rows(rows, ToyWorld(chunk=2).spec, 2)
