"""What a guest's figures count, and what they leave to the one before."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from worldloom.streamer.config import ServerSettings
from worldloom.streamer.engine_process import NOTHING
from worldloom.streamer.metrics import Metrics
from worldloom.streamer.outbox import Outbox
from worldloom.streamer.transports.broadcast import Broadcast
from worldloom.streamer.transports.encoder import EncoderSettings
from worldloom.streamer.viewer import Viewer

from .test_broadcast import HEIGHT, WIDTH, frame

DROPS = "worldloom_drops_total"


async def test_a_picture_that_nobody_was_shown_is_counted_once_though_drivers_change() -> None:
    metrics = Metrics()
    drops: list[float | None] = []
    with ThreadPoolExecutor(1) as pool:
        show = Broadcast(
            height=HEIGHT, width=WIDTH, fps=Fraction(30), depth=1, encoder=EncoderSettings(), jpeg_quality=90, pool=pool
        )
        for lost in (3, 2):
            driver = viewer(show, metrics)
            for index in range(lost + (not drops)):  # the first of all finds the slot empty
                show.slot.put(frame(index))
            driver.stats(NOTHING, sessions=1, watchers=0, recording=False)
            await driver.close()
            drops.append(metrics.registry.get_sample_value(DROPS, {"world": "toy", "cause": "replaced"}))
    assert drops == [3, 3 + 2]


def viewer(show: Broadcast, metrics: Metrics) -> Viewer:
    """A driver of the toy world."""

    async def send(message: bytes) -> None:
        raise AssertionError("nothing is sent here")

    return Viewer(
        show,
        world="toy",
        leads=True,
        settings=ServerSettings(),
        metrics=metrics,
        outbox=Outbox(16, asyncio.get_running_loop()),
        send=send,
    )
