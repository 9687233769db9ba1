"""How a session's pictures are sent, as the settings want it. Knows settings and worlds; no session."""

from __future__ import annotations

from concurrent.futures import Executor

from worldloom.models.spec import WorldSpec

from .config import ServerSettings
from .engine_config import SessionConfig
from .fields import Mode
from .transports.broadcast import Broadcast
from .watermark import watermark


def broadcast_of(spec: WorldSpec, mode: Mode, settings: ServerSettings, pool: Executor) -> Broadcast:
    """The pictures of a session of this world."""
    # Lockstep loses no frame: as many fit as steps can wait.
    depth = spec.chunk if mode == "realtime" else spec.chunk * SessionConfig().inbox
    return Broadcast(
        height=spec.height,
        width=spec.width,
        fps=spec.fps,
        depth=depth,
        encoder=settings.webrtc.encoder,
        jpeg_quality=settings.websocket.jpeg_quality,
        pool=pool,
        mark=watermark(spec.height, spec.width, settings.watermark_id) if settings.watermark else None,
    )
