"""A recording on a slow disk: what it drops, and when it gives up."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np

from worldloom.streamer.errors import RecordingFailed
from worldloom.streamer.frames import Frame
from worldloom.streamer.metrics import Metrics
from worldloom.streamer.origin import Origin
from worldloom.streamer.recording import PACKETS, ROWS, Recording
from worldloom.streamer.recording_files import Folder, RecordingFiles, Start
from worldloom.streamer.transports.broadcast import Broadcast
from worldloom.streamer.transports.encoder import EncoderSettings
from worldloom.streamer.transports.movie import Movie

from .recorded import log_of, movie_of


def frame(index: int) -> Frame:
    now = time.monotonic_ns()
    pixels = np.full((64, 96, 3), 20 + index % 200, np.uint8)
    row = np.zeros(2, np.float32)
    return Frame(index, index * 3000, pixels, 0, 0, now, now, actions=row)


class SlowDisk:
    """A recording of a broadcast by hand, on a disk that stands still until it is told to go on."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.show = Broadcast(
            height=64,
            width=96,
            fps=Fraction(30),
            depth=1,
            encoder=EncoderSettings(key_frame_interval=0.0),
            jpeg_quality=90,
            pool=pool,
        )
        self.disk = ThreadPoolExecutor(1)
        self.metrics = Metrics()
        self.go_on = threading.Event()
        self.ended: asyncio.Future[RecordingFailed | None] = asyncio.get_running_loop().create_future()
        self.recording = Recording(self.show, world="toy", disk=self.disk, metrics=self.metrics)
        self.recording.watch()
        files = RecordingFiles(Folder(folder, 2**30), "slow", 2**30, Movie(height=128, width=192, period=3000))
        files.begin(Start(0, Origin(1), None), {})
        self.recording.begin(files, since=0, longest=60.0, ended=self.ended.set_result)
        self.disk.submit(self.go_on.wait)

    def made(self, index: int) -> None:
        self.recording.frame(frame(index))
        self.show.slot.put(frame(index))


async def test_what_a_slow_disk_drops_ends_at_a_key_frame(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        slow = SlowDisk(tmp_path, pool)
        showing = asyncio.create_task(slow.show.run())
        seen = slow.show.subscribe("h264")
        for index in range(PACKETS + 20):
            slow.made(index)
            await asyncio.wait_for(seen.get(), 8)
        slow.go_on.set()
        for index in range(PACKETS + 20, PACKETS + 30):
            slow.made(index)
            await asyncio.wait_for(seen.get(), 8)
        slow.show.close()
        assert await asyncio.wait_for(slow.ended, 8) is None
        await showing
        slow.disk.shutdown()
    assert len(log_of(tmp_path, "frame")) == PACKETS + 30, "the log has no holes"
    movie = movie_of(tmp_path)
    missing = PACKETS + 30 - len(movie)
    assert 0 < missing <= PACKETS + 20
    assert f'worldloom_drops_total{{cause="recording",world="toy"}} {float(missing)}' in slow.metrics.text().decode()
    for pts, picture in movie:
        assert abs(float(picture.mean()) - 20 - pts / 3000) < 4.0, "no picture is shown at another's time"


async def test_a_disk_that_stands_still_ends_the_recording(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        slow = SlowDisk(tmp_path, pool)
        showing = asyncio.create_task(slow.show.run())
        for index in range(ROWS + 1):
            slow.recording.frame(frame(index))
        slow.go_on.set()
        slow.show.slot.put(frame(0))
        why = await asyncio.wait_for(slow.ended, 8)
        assert why is not None
        assert "slower" in str(why)
        slow.show.close()
        await showing
        slow.disk.shutdown()
    assert log_of(tmp_path, "end")[0]["why"] == "recording_failed"
