"""How a world begins: from a seed, a text, a picture or recorded frames. Knows the world's interface."""

from __future__ import annotations

from typing import Any, cast

from worldloom.models.spec import RecallingWorld, WorldModel

from .origin import Origin
from .worlds import Start


def begin(model: WorldModel[Any], origin: Origin | Start) -> Any:
    """A state of the world that begins so. Raises `ValueError` where it does not."""
    if origin.frames is None:
        return model.start(seed=origin.seed, prompt=origin.prompt, image=origin.image)
    if origin.prompt is not None or origin.image is not None:
        raise ValueError("expected frames alone, without a prompt or an image")
    if not hasattr(model, "start_from"):
        raise ValueError(f"the world {model.spec.name!r} cannot begin with recorded frames")
    rows = model.spec.actions.neutral(len(origin.frames)) if origin.actions is None else origin.actions
    return cast("RecallingWorld[Any]", model).start_from(origin.frames, rows, seed=origin.seed)
