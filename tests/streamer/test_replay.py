"""From a session to a bundle, and from a bundle to the same frames: whatever was done in between."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from worldloom.models.toy import ToyWorld
from worldloom.models.training.metrics import psnr
from worldloom.streamer.bundle import BadBundle, Bundle, read
from worldloom.streamer.client_messages import Reset, Restore, Rewind, TakeSnapshot
from worldloom.streamer.replay import compared, regenerated, render, world_of
from worldloom.streamer.replay_log import PICTURES, ReplayLog

from .logged import HERE, Drive, check_replay
from .test_travel import Shared, desk_of


def small() -> ToyWorld:
    return ToyWorld(height=6, width=8)


def check(drive: Drive, path: Path) -> Bundle:
    """The bundle gives the very frames that the session showed."""
    drive.bundle.write(path)
    bundle = read(path)
    assert [frame.index for frame in drive.film] == list(range(drive.session.index))
    check_replay(bundle, small(), drive.film[bundle.header.frame :])
    report = compared(bundle, small(), "toy")
    assert report.equal == report.frames == len(bundle)
    assert report.first_difference is report.psnr_db is None
    assert report.same_versions
    assert report.same_machine
    return bundle


def test_a_session_is_replayed_to_the_byte(tmp_path: Path) -> None:
    drive = Drive(desk_of())
    drive.go(60)
    bundle = check(drive, tmp_path / "one.wloom")
    assert bundle.state is None
    assert len(bundle.shown) <= PICTURES
    np.testing.assert_array_equal(np.diff(bundle.shown_at), 2)


def test_resets_rewinds_and_snapshots_are_followed(tmp_path: Path) -> None:
    drive = Drive(desk_of())
    drive.go(30)
    drive.say(TakeSnapshot)
    drive.go(10)
    drive.say(Rewind, seconds=0.5)
    drive.go(5)
    drive.say(Reset, seed=9)
    drive.go(7)
    drive.say(Rewind, frame=38)
    drive.say(TakeSnapshot)
    drive.go(3)
    drive.say(Restore, snapshot="s1")
    drive.go(4)
    drive.say(Restore, snapshot="s2")
    drive.go(4)
    bundle = check(drive, tmp_path / "one.wloom")
    assert len(bundle.header.events) == 6


def test_a_long_session_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    drive = Drive(desk_of(), most=100)
    for _ in range(26):
        drive.go(10)
        drive.sink.log.start(drive.saved())
    bundle = check(drive, tmp_path / "one.wloom")
    assert bundle.state is not None
    assert 50 <= len(bundle) <= 100
    assert bundle.shown_at[0] >= bundle.header.frame


def test_without_a_beginning_there_is_nothing_to_replay_until_there_is(tmp_path: Path) -> None:
    drive = Drive(desk_of(), most=20)
    drive.go(30)  # and nobody took a snapshot
    assert drive.sink.log.bundle(HERE) is None
    drive.sink.log.start(drive.saved())
    drive.go(5)
    assert check(drive, tmp_path / "one.wloom").header.frame == 31
    assert ReplayLog(small().spec, 0).bundle(HERE) is None


def test_who_goes_back_to_before_the_log_waits_for_a_snapshot(tmp_path: Path) -> None:
    drive = Drive(desk_of(), most=40)
    for _ in range(8):
        drive.go(10)
        drive.sink.log.start(drive.saved())
    drive.say(Rewind, frame=10)
    drive.go(3)
    assert drive.sink.log.bundle(HERE) is None
    drive.sink.log.start(drive.saved())
    drive.go(3)
    check(drive, tmp_path / "one.wloom")


def test_a_frame_takes_bytes_in_the_log_and_not_objects() -> None:
    drive = Drive(desk_of(), most=10_000)
    drive.go(40)
    frame = drive.film[0]
    log = ReplayLog(drive.desk.model.spec, 10_000)
    log.frame(replace(frame, index=0))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(1, 4001):  # minutes, of which one in 128 is kept as a picture in the end
            log.frame(replace(frame, index=index, origin=None))
        log._pictures.clear()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 4000 < 100


def test_another_world_is_told_by_psnr() -> None:
    drive = Drive(desk_of())
    drive.go(20)
    bundle = drive.bundle
    wrong = bundle.actions.copy()
    wrong[12:, 4] += 1.0
    report = compared(replace(bundle, actions=wrong), small(), "toy")
    assert (report.equal, report.first_difference) == (12, 12)
    assert report.psnr_db is not None
    assert report.psnr_db_least is not None
    assert 5.0 < report.psnr_db_least <= report.psnr_db < 60.0
    assert psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)) == 0.0


def test_a_bundle_imports_nothing(tmp_path: Path) -> None:
    drive = Drive(desk_of())
    drive.go(2)
    header = drive.bundle.header
    for name in ("os:system", "worldloom.models.toy:ToyWorld", "../toy"):
        stranger = replace(drive.bundle, header=header.model_copy(update={"world": name}))
        with pytest.raises(BadBundle, match="installed"):
            world_of(stranger)
    with pytest.raises(BadBundle, match="of the world"):  # the toy of this installation has other pictures
        world_of(drive.bundle)


def test_states_are_freed_also_where_a_replay_is_given_up() -> None:
    drive = Drive(desk_of())
    drive.go(30)
    drive.say(Rewind, frame=20)
    drive.go(5)
    world = Shared()
    frames = regenerated(drive.bundle, world)
    for _ in range(33):
        next(frames)
    assert world.living == 2
    frames.close()
    assert world.living == 0


def test_a_movie_has_every_frame_and_leaves_nothing_half(tmp_path: Path) -> None:
    drive = Drive(desk_of())
    drive.go(30)
    told: list[int] = []
    out = tmp_path / "out.mp4"
    world = ToyWorld(height=16, width=16)
    bundle = drive.bundle
    header = bundle.header.model_copy(update={"height": 16, "width": 16})
    bundle = replace(bundle, header=header)
    render(bundle, world, out, told.append)
    with av.open(str(out)) as movie:
        pictures = [one.to_ndarray(format="rgb24") for one in movie.decode(video=0)]
    assert len(pictures) == len(bundle) == told[-1] == 31
    assert pictures[0].shape == (32, 32, 3)
    want = [picture for _, picture in regenerated(bundle, world)]
    assert psnr(np.asarray(pictures[-1][::2, ::2], np.uint8), want[-1]) > 30.0
    with pytest.raises(BadBundle):
        render(replace(bundle, state=b"damaged"), world, tmp_path / "no.mp4")
    assert [one.name for one in tmp_path.iterdir()] == ["out.mp4"]
