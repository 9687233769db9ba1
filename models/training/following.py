"""Action following: are the actions that inverse dynamics read from a dream those that were asked for?

Keys by F1, looking by its error in degrees a frame. The same network on the recorded frames beside the dreamed ones is
the ceiling; below lies what answers that know nothing would get. Knows numbers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import ActionSpec
from .inverse import keys_of, looks_of

Rows = NDArray[np.float32]
"""(N, T, A) action rows."""


def following(asked: Rows, dreamed: Rows, real: Rows, actions: ActionSpec) -> dict[str, Any]:
    """F1 of keys and error of looking.

    Args:
        asked: what the dreams and the engine were given.
        dreamed: what is read from dreams.
        real: what is read from the engine's own frames.
        actions: which columns are keys and which look.
    """
    result: dict[str, Any] = {}
    keys = [key for key in keys_of(actions) if key.pressed(asked).any()]
    if keys:
        table = {
            key.name: {
                "dream": f1(key.pressed(dreamed), key.pressed(asked)),
                "real": f1(key.pressed(real), key.pressed(asked)),
                "pressed": float(key.pressed(asked).mean()),
            }
            for key in keys
        }
        result["key_macro_f1"] = float(np.mean([row["dream"] for row in table.values()]))
        result["key_macro_f1_ceiling"] = float(np.mean([row["real"] for row in table.values()]))
        # Who answers at random, as often as a key is pressed, is right and complete that often.
        result["key_macro_f1_chance"] = float(np.mean([row["pressed"] for row in table.values()]))
        result["key_f1"] = table
    looks = looks_of(actions)
    if looks:
        result["look_error_deg"] = float(np.abs(dreamed - asked)[..., looks].mean())
        result["look_error_deg_ceiling"] = float(np.abs(real - asked)[..., looks].mean())
        result["look_error_deg_still"] = float(np.abs(asked)[..., looks].mean())
    return result


def f1(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall; 0 when nothing was said and nothing was true."""
    total = int(said.sum()) + int(true.sum())
    return 2.0 * int((said & true).sum()) / total if total else 0.0
