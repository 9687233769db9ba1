"""What a session of a world and a mode can never obey is refused at once, by whoever posts it.

Reads only what never changes, so it is for any thread. Knows the world's description and its columns; no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from worldloom.models.spec import Actions, ActionSpec, WorldSpec

from .client_messages import (
    Action,
    Axes,
    Key,
    Look,
    Pause,
    Prompt,
    Reset,
    Restore,
    Resume,
    Rewind,
    Say,
    Shift,
    Step,
    TakeSnapshot,
)
from .controls import Event
from .errors import BadAction, UnknownImage, UnknownKey, Unsupported
from .fields import Mode
from .origin import Restart
from .protocol import Control

Ranges: TypeAlias = dict[str, tuple[np.float32, np.float32]]  # lowest and highest value by column


def check_control(event: Control | Restart, spec: WorldSpec, mode: Mode) -> None:
    """Refuse what a session of this world and mode can never obey; reads only what never changes, from any thread.

    Raises:
        ControlError: it cannot obey this.
    """
    match event:
        case Step():
            if event.actions is not None:
                _check_rows(event.actions, spec.actions, event.seq)
                if len(event.actions) != spec.chunk:
                    raise BadAction(
                        f"expected {spec.chunk} rows, one for each frame of a chunk, got {len(event.actions)}",
                        seq=event.seq,
                    )
        case Rewind() if mode != "realtime":
            raise Unsupported(
                "expected no rewind: no restore points are taken in lockstep; say snapshot", seq=event.seq
            )
        case Shift() if mode != "realtime":
            raise Unsupported("expected no shift: no clock paces a session in lockstep", seq=event.seq)
        case Prompt() if not spec.prompts:
            raise Unsupported("expected no prompt: this world takes none", seq=event.seq)
        case Say() if event.how not in spec.switches:
            ways = ", ".join(spec.switches) or "none: say prompt, or reset, to begin anew"
            raise Unsupported(f"expected a way in which this world changes its prompt ({ways})", seq=event.seq)
        case Reset(image=str()):
            raise UnknownImage("expected a picture that is here, got an id; a server looks it up", seq=event.seq)
        case Restart() if event.image is not None and not spec.images:
            raise Unsupported("expected no image: this world takes none", seq=event.seq)
        case Prompt() | Say() | Reset() | Restart() | Pause() | Resume() | Shift():
            pass
        case Rewind() | TakeSnapshot() | Restore():
            pass
        case _:
            check_event(event, spec.actions)


def clipped_rows(rows: Actions, spec: WorldSpec, streams: int) -> Actions:
    """Rows of a batch as the world takes them: float32, and within the ranges of their columns.

    Raises:
        BadAction: rows of the wrong shape, or not finite.
    """
    want = (streams, spec.chunk, len(spec.actions.columns))
    if rows.shape != want or not np.isfinite(rows).all():
        raise BadAction(f"expected finite actions of shape {want}, got {rows.shape}")
    return np.asarray(rows, np.float32).clip(spec.actions.low, spec.actions.high)


def check_event(event: Event, actions: ActionSpec) -> None:
    """Refuse a level or an amount that a world with these columns cannot obey.

    Raises:
        UnknownKey: no such key in this world.
        BadAction: an unknown axis, a wrong length, or a value out of range.
        Unsupported: a `look` where nothing looks.
    """
    match event:
        case Key() if event.code not in actions.keys:
            known = ", ".join(actions.keys) or "none"
            raise UnknownKey(f"expected a key of this world ({known}), got {event.code!r}", seq=event.seq)
        case Look() if actions.look == (None, None):
            raise Unsupported("expected no look: nothing in this world turns with it", seq=event.seq)
        case Axes():
            axes, ranges = {axis.name for axis in actions.axes}, _ranges(actions)
            for name, value in event.values.items():
                if name not in axes:
                    raise BadAction(f"expected axes of {sorted(axes)}, got {name!r}", seq=event.seq)
                _check_value(name, value, ranges, event.seq)
        case Action():
            _check_rows([event.values], actions, event.seq)


def _check_rows(rows: Sequence[Sequence[float]], actions: ActionSpec, seq: int) -> None:
    names, ranges = actions.columns, _ranges(actions)
    for row in rows:
        if len(row) != len(names):
            raise BadAction(f"expected {len(names)} values {list(names)}, got {len(row)}", seq=seq)
        for name, value in zip(names, row, strict=True):
            _check_value(name, value, ranges, seq)


def _ranges(actions: ActionSpec) -> Ranges:
    return dict(zip(actions.columns, zip(actions.low, actions.high, strict=True), strict=True))


def _check_value(name: str, value: float, ranges: Ranges, seq: int) -> None:
    """In float32, as the world sees it: 0.1 from a float32 policy must not exceed a limit of 0.1."""
    low, high = ranges[name]
    if not low <= np.float32(value) <= high:
        raise BadAction(f"expected {name} in [{low:g}, {high:g}], got {value:g}", seq=seq)
