from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.clips import Clips, Shard, shard_stems


def shard(first: int, lengths: list[int]) -> Shard:
    """Frames that carry their number, actions that carry it too."""
    n = sum(lengths)
    number = np.arange(first, first + n)
    frames = np.broadcast_to(number[:, None, None, None], (n, 4, 4, 3)).astype(np.uint8)
    episodes = np.repeat(np.arange(len(lengths)), lengths)
    column = number[:, None].astype(np.float32)
    return Shard(frames, column, column, episodes)


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    shard(10, [3, 4]).save(tmp_path / "0000")
    shard(20, [5]).save(tmp_path / "0001")
    return Clips.open(tmp_path)


def test_the_leading_action_is_the_row_before_and_zero_at_the_start_of_an_episode(clips: Clips) -> None:
    assert clips.leading[:, 0].tolist() == [0, 10, 11, 0, 13, 14, 15, 0, 20, 21, 22, 23]


def test_episodes_of_different_shards_are_different(clips: Clips) -> None:
    assert len(np.unique(clips.episodes)) == 3


def test_frames_across_shards(clips: Clips) -> None:
    assert [int(clips.frame(i)[0, 0, 0]) for i in range(len(clips))] == [*range(10, 17), *range(20, 25)]
    assert clips.take(np.array([6, 7, 0]))[:, 0, 0, 0].tolist() == [16, 20, 10]


def test_windows_stay_inside_one_episode(clips: Clips) -> None:
    assert clips.windows(3).tolist() == [0, 3, 4, 7, 8, 9]
    assert clips.windows(5).tolist() == [7]
    assert clips.windows(6).tolist() == []


def test_windows_longer_than_everything(clips: Clips) -> None:
    assert clips.windows(100).tolist() == []


def test_a_shard_that_was_cut_off_is_not_there(tmp_path: Path) -> None:
    shard(0, [3]).save(tmp_path / "0000")
    shard(0, [3]).save(tmp_path / "0001")
    (tmp_path / "0001.episodes.npy").unlink()
    assert shard_stems(tmp_path) == [tmp_path / "0000"]


def test_no_recordings_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="collect"):
        Clips.open(tmp_path)
