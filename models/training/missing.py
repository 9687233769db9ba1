"""Recording what is missing before anything is measured: held-out episodes, scripts, blind walks, frames for readers.

Knows a recipe's recordings; nothing about what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from .blind import Length, record_blind
from .collect import SHARD, collect
from .counts import Counts
from .recipe import Recipe
from .scripts import record_scripts


def record_missing(recipe: Recipe, folder: Path, counts: Counts) -> None:
    """Record what the evaluation needs: held-out episodes, the battery, scripts, and frames for its readers.

    Raises:
        RuntimeError: a package that it needs is not installed.
    """
    if find_spec("cv2") is None:
        raise RuntimeError("evaluation measures optical flow and needs OpenCV: pip install 'worldloom[train]'")
    frames = max(counts.reader_frames, counts.task_frames if recipe.data.simulator == "arm" else 0)
    record(recipe, folder, frames, scripts=True, blind=[counts.long, counts.longer])


def record(recipe: Recipe, folder: Path, frames: int, *, scripts: bool, blind: Sequence[Length] = ()) -> None:
    """Record what is missing of held-out episodes, the battery, so many training frames, scripts and blind walks.

    Raises:
        RuntimeError: the engine is not installed.
    """
    whole = -(-frames // SHARD) * SHARD  # a shard that is cut short would be missed by a training later on
    data = replace(recipe.data, frames=min(whole, recipe.data.frames))
    try:
        collect(replace(recipe, data=data), folder / "data")
        if scripts:
            record_scripts(recipe, folder / "data")
        record_blind(recipe, folder / "data", blind)
    except ImportError as error:
        raise RuntimeError(
            f"recordings of {recipe.spec.name!r} are missing in {folder / 'data'}, and recording them needs the engine:"
            f" pip install 'worldloom[train]' ({error})"
        ) from error
