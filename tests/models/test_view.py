"""What is known of the next picture before it is dreamed, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from worldloom.models.autoencoder import Autoencoder, AutoencoderConfig
from worldloom.models.detail import DetailConfig, DetailNet
from worldloom.models.keyframes import Keyframes
from worldloom.models.motion import Motion
from worldloom.models.view import Outlook, View

from .tiny import randomise, tiny_motion, tiny_outlook


@pytest.fixture
def outlook() -> Iterator[Outlook]:
    autoencoder = Autoencoder(AutoencoderConfig(32, 48, 4, (8, 8, 16)))
    randomise(autoencoder, 1, 0.0)
    with torch.inference_mode():
        yield tiny_outlook(autoencoder).to(torch.device("cpu"), torch.float32)


def picture(seed: int) -> Tensor:
    return torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def standing(outlook: Outlook, heading: float, seed: int = 0) -> View:
    way = outlook.at_rest(outlook.keyframes.frames[:1].float())
    return View(picture(seed), replace(way, pose=torch.tensor([0.0, 0.0, heading], dtype=torch.float64)), 0)


def turning(degrees: float) -> Motion:
    return Motion(torch.tensor([degrees]), torch.zeros(1, 3), torch.full((1, 1, 32, 48), 0.01))


def test_who_stands_still_knows_the_whole_picture(outlook: Outlook) -> None:
    view = standing(outlook, 0.0)
    glimpse = outlook.glimpse([view], turning(0.0), view.way.pose[None])
    assert bool(glimpse.seen.all())
    torch.testing.assert_close(glimpse.filled[0], view.picture)


def test_what_comes_into_sight_is_filled_from_a_keyframe(outlook: Outlook) -> None:
    view = standing(outlook, 0.0)
    after = view.way.pose[None] + torch.tensor([0.0, 0.0, 20.0])
    glimpse = outlook.glimpse([view], turning(20.0), after)
    new = ~glimpse.seen & glimpse.known
    assert new[..., 40:].any(), "to the right"
    assert not new[..., :24].any()
    torch.testing.assert_close(glimpse.filled[new.expand(-1, 3, -1, -1)], glimpse.recalled[new.expand(-1, 3, -1, -1)])
    seen = glimpse.seen.expand(-1, 3, -1, -1)
    torch.testing.assert_close(glimpse.filled[seen], glimpse.moved[seen])


def test_a_keyframe_taken_from_here_is_recalled_as_it_is(outlook: Outlook) -> None:
    assert outlook.keyframes.poses is not None
    view = standing(outlook, 0.0)
    pose = outlook.keyframes.poses[5]
    view = replace(view, way=replace(view.way, pose=pose))
    glimpse = outlook.glimpse([view], turning(0.0), pose[None])
    want = outlook.autoencoder.pictures(outlook.keyframes.frames[5:6].float())
    assert glimpse.keyframes[0][0] == 5
    torch.testing.assert_close(glimpse.recalled, want)


def test_keyframes_are_decoded_once(outlook: Outlook, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    pictures = outlook.autoencoder.pictures

    def counted(latents: Tensor) -> Tensor:
        decoded.append(len(latents))
        return pictures(latents)

    monkeypatch.setattr(outlook.autoencoder, "pictures", counted)
    views = [standing(outlook, heading) for heading in (0.0, 1.0, 180.0)]
    poses = torch.stack([v.way.pose for v in views])
    motion = Motion(torch.zeros(3), torch.zeros(3, 3), torch.ones(3, 1, 32, 48))
    glimpse = outlook.glimpse(views, motion, poses)
    assert decoded == [2]  # the first two share one
    again = [replace(v, keyframe=k) for v, k in zip(views, glimpse.keyframes, strict=True)]
    same = outlook.glimpse(again, motion, poses)
    assert decoded == [2]
    assert torch.equal(same.recalled, glimpse.recalled)


def test_a_stream_that_begins_anywhere_takes_itself_to_be_where_it_looks_most_like(outlook: Outlook) -> None:
    frames, poses = outlook.keyframes.frames, outlook.keyframes.poses
    assert poses is not None
    assert torch.equal(outlook.at_rest(frames[7:8].float() + 0.01).pose, poses[7])


def test_keyframes_without_poses_are_refused() -> None:
    autoencoder = Autoencoder(AutoencoderConfig(32, 48, 4, (8, 8, 16)))
    with pytest.raises(ValueError, match="poses at which they were taken"):
        Outlook(tiny_motion(), Keyframes(torch.zeros(2, 4, 2, 3)), DetailNet(DetailConfig(8, 1)), autoencoder)


def test_before_anything_is_learned_what_was_seen_is_trusted_most() -> None:
    detail = DetailNet(DetailConfig(8, 1))
    dreamed, moved, recalled = (torch.full((1, 3, 8, 8), value) for value in (0.0, 1.0, -1.0))
    seen, known = torch.zeros(2, 1, 1, 8, 8, dtype=torch.bool)
    with torch.inference_mode():
        assert torch.equal(detail(dreamed, moved, seen, recalled, known), dreamed), "nothing else is to be had"
        seen[..., :4] = True
        y = detail(dreamed, moved, seen, recalled, known)
        assert bool((y[..., :4] > 0.9).all())
        assert bool((y[..., 4:] == 0.0).all())
        known[..., 4:] = True
        assert bool((detail(dreamed, moved, seen, recalled, known)[..., 4:] < -0.7).all())
