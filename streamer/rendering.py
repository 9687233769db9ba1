"""A bundle as a movie that says that it is generated: marked picture by picture, and signed where settings want it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from worldloom.models.spec import WorldModel

from .bundle import Bundle
from .config import ServerSettings
from .manifest import Made, sign
from .provenance import weights_of
from .replay import render
from .signing import Unsigned
from .watermark import watermark


def rendered(
    bundle: Bundle,
    model: WorldModel[Any],
    out: Path,
    tell: Callable[[int], None],
    *,
    source: str,
    settings: ServerSettings,
) -> str:
    """Write the movie; `source` is what its world was opened from. Raises as `render`.

    Returns:
        Why it has no manifest: a movie without one is better than none. Empty if it has.
    """
    made = Made(bundle.header.world, weights_of(source), "rendered")
    trouble = "the settings want none"

    def finish(path: Path) -> None:
        nonlocal trouble
        try:
            sign(path, made, settings.manifest)
            trouble = ""
        except Unsigned as error:
            trouble = str(error)

    doing: dict[str, Any] = {"finish": finish} if settings.manifest.sign else {}
    if settings.watermark:
        doing["mark"] = watermark(bundle.header.height, bundle.header.width, settings.watermark_id)
    render(bundle, model, out, tell, **doing)
    return trouble
