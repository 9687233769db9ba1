"""Gymnasium spaces of a world, from what it says of its controls. Knows spaces and numbers; no world."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, MultiBinary
from numpy.typing import NDArray

from worldloom.streamer.world_info import ActionInfo, WorldInfo

Form: TypeAlias = Literal["box", "dict"]
"""One row of numbers, each in the world's own unit; or buttons apart from axes, and axes brought to [-1, 1]."""


class Actions:
    """The action space of one world, and its actions as rows of the world."""

    def __init__(self, info: ActionInfo, form: Form = "box") -> None:
        if form not in ("box", "dict"):
            raise ValueError(f"expected actions 'box' or 'dict', got {form!r}")
        self.columns = info.columns
        buttons = len(info.buttons)
        self.low = np.array([0.0] * buttons + [axis.low for axis in info.axes], np.float32)
        self.high = np.array([1.0] * buttons + [axis.high for axis in info.axes], np.float32)
        self._form = form
        self.space: Space[Any] = Box(self.low, self.high, dtype=np.float32)
        if form == "dict":
            parts: dict[str, Space[Any]] = {}
            if buttons:
                parts["buttons"] = MultiBinary(buttons)
            if info.axes:
                parts["axes"] = Box(-1.0, 1.0, (len(info.axes),), np.float32)
            self.space = Dict(parts)

    def rows(self, action: Any, batch: tuple[int, ...] = ()) -> NDArray[np.float32]:
        """(*batch, A) rows within their ranges, from an action or a batch of them.

        Raises:
            ValueError: the action is of another shape, or not finite.
        """
        row = np.asarray(self._joined(action, batch) if self._form == "dict" else action, np.float32)
        if row.shape != (*batch, len(self.low)) or not np.isfinite(row).all():
            raise ValueError(f"expected {len(self.low)} finite numbers {self.columns}, got {action!r}")
        return row.clip(self.low, self.high)

    def _joined(self, action: Any, batch: tuple[int, ...]) -> NDArray[np.float32]:
        empty = np.zeros((*batch, 0), np.float32)
        buttons = np.asarray(action.get("buttons", empty), np.float32)
        axes = np.asarray(action.get("axes", empty), np.float32)
        low, high = self.low[len(self.low) - axes.shape[-1] :], self.high[len(self.low) - axes.shape[-1] :]
        return np.concatenate([buttons, low + (high - low) * (axes.clip(-1.0, 1.0) + 1.0) / 2.0], -1)


def pictures(info: WorldInfo) -> Any:
    """The space of (H, W, 3) RGB; untyped, for Gymnasium's types of boxes know no bytes."""
    return Box(0, 255, (info.height, info.width, 3), np.uint8)
