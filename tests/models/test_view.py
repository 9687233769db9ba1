"""What is known of the next picture before it is dreamed, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models.autoencoder import to_pictures, to_signed
from worldloom.models.camera_view import CameraOutlook, CameraWay
from worldloom.models.detail import MOST, NEVER, SEEN, DetailConfig, DetailNet
from worldloom.models.motion import Motion, rise
from worldloom.models.view import Glimpse, View

from .room import plan, walker
from .tiny import randomise, tiny_outlook


@pytest.fixture
def outlook() -> Iterator[CameraOutlook]:
    with torch.inference_mode():
        yield tiny_outlook().to(torch.device("cpu"), torch.float32)


def picture(seed: int) -> Tensor:
    return torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def pose_of(view: View) -> Tensor:
    assert isinstance(view.way, CameraWay)
    return view.way.pose


def standing(outlook: CameraOutlook, heading: float, seed: int = 0) -> View:
    way = outlook.at_rest(picture(seed))
    return View(picture(seed), replace(way, pose=torch.tensor([0.0, 0.0, heading], dtype=torch.float64)), 0)


def seen_next(
    outlook: CameraOutlook, view: View, motion: Motion, after: Tensor, barred: Tensor | None = None
) -> Glimpse:
    return outlook.glimpse(view.picture[None], motion, pose_of(view)[None], after, torch.zeros(1), barred)


def turning(degrees: float) -> Motion:
    return Motion(torch.tensor([degrees]), torch.zeros(1, 3), torch.full((1, 1, 32, 48), 0.01))


def test_who_stands_still_knows_the_whole_picture(outlook: CameraOutlook) -> None:
    view = standing(outlook, 0.0)
    glimpse = seen_next(outlook, view, turning(0.0), pose_of(view)[None])
    assert bool(glimpse.seen.all())
    torch.testing.assert_close(glimpse.filled[0], view.picture)


def test_who_stands_still_goes_on_seeing_what_he_saw(outlook: CameraOutlook) -> None:
    view = standing(outlook, 0.0)
    glimpse = seen_next(outlook, view, turning(0.0), pose_of(view)[None])
    dreamed = picture(1)[None]
    assert torch.equal(outlook.picture(dreamed, glimpse)[0], view.picture)
    moving = seen_next(outlook, view, turning(1.0), pose_of(view)[None])
    assert not torch.equal(outlook.picture(dreamed, moving)[0], moving.moved[0])


def test_what_comes_into_sight_is_filled_from_the_album(outlook: CameraOutlook) -> None:
    view = standing(outlook, 0.0)
    after = pose_of(view)[None] + torch.tensor([0.0, 0.0, 20.0])
    glimpse = seen_next(outlook, view, turning(20.0), after)
    new = ~glimpse.seen & glimpse.known
    assert new[..., 40:].any(), "to the right"
    assert not new[..., :24].any()
    torch.testing.assert_close(glimpse.filled[new.expand(-1, 3, -1, -1)], glimpse.recalled[new.expand(-1, 3, -1, -1)])
    seen = glimpse.seen.expand(-1, 3, -1, -1)
    torch.testing.assert_close(glimpse.filled[seen], glimpse.moved[seen])


def test_a_picture_taken_from_here_is_recalled_as_it_is(outlook: CameraOutlook) -> None:
    pose = outlook.album.poses[5]
    view = standing(outlook, 0.0)
    view = replace(view, way=CameraWay(**(view.way.tensors() | {"pose": pose})))
    glimpse = seen_next(outlook, view, turning(0.0), pose[None])
    torch.testing.assert_close(to_pictures(glimpse.recalled)[0], outlook.album.picture(5))
    assert bool(glimpse.known.all())


def test_what_may_not_be_recalled_is_not(outlook: CameraOutlook) -> None:
    view = standing(outlook, 0.0)
    barred = torch.zeros(1, len(outlook.album), dtype=torch.bool)
    first = seen_next(outlook, view, turning(0.0), pose_of(view)[None], barred)
    barred[0, outlook.album.taken_near(pose_of(view)[None])] = True
    second = seen_next(outlook, view, turning(0.0), pose_of(view)[None], barred)
    assert not torch.equal(first.recalled, second.recalled)


def test_a_stream_that_begins_anywhere_takes_itself_to_be_where_it_looks_most_like(outlook: CameraOutlook) -> None:
    picture = to_signed(outlook.album.picture(7))
    assert torch.equal(outlook.at_rest(picture + 0.02 * torch.randn(picture.shape)).pose, outlook.album.poses[7])


def test_where_the_floorplan_is_known_it_says_how_near_everything_is() -> None:
    with torch.inference_mode():
        outlook = tiny_outlook(planned=True).to(torch.device("cpu"), torch.float32)
        pose, rise = outlook.album.poses[:1], outlook.album.rises[:1]
        glimpse = outlook.glimpse(picture(0)[None], turning(0.0), pose, pose, rise)
        assert glimpse.known.float().mean() > 0.85
        solid = glimpse.ways[0].tensors()["solid"]
        near = plan().near(outlook.motion.config, pose, rise)[0, 0, 14:18].mean(0).reshape(-1, 4).mean(1)
        torch.testing.assert_close((solid[:, 1] * near).median(), torch.tensor(1.0), rtol=0.02, atol=0.0)


def test_where_it_is_known_how_a_body_goes_the_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        outlook = tiny_outlook(planned=True).to(torch.device("cpu"), torch.float32)
        monkeypatch.setattr(outlook.motion, "forward", None)
        view = View(picture(0), outlook.at_rest(picture(0)), 3)
        ahead, turned = torch.tensor([[[1.0, 0.0, 0.0]] * 2]), torch.tensor([[[0.0, 1.0, 0.0]] * 2])
        for row in (ahead, turned):
            before, after = pose_of(view), outlook.ahead([view], row).ways[0].tensors()["pose"]
            expected, _ = walker().moved(before[None], torch.zeros(1, 2).double(), row[:, 0], 6.0 * row[:, 0, 1])
            torch.testing.assert_close(after, expected[0])


def test_nobody_is_carried_to_where_nobody_has_stood() -> None:
    with torch.inference_mode():
        outlook = tiny_outlook(planned=True).to(torch.device("cpu"), torch.float32)
        ground, radius = outlook.album.poses[:, :2], walker().config.radius
        way = outlook.at_rest(picture(0))
        least = []
        for clock in range(40):
            glimpse = outlook.ahead([View(picture(0), way, clock)], torch.tensor([[[1.0, 0.0, 0.0]] * 2]))
            way = cast("CameraWay", glimpse.ways[0])
            least.append(float((ground - way.pose[:2]).norm(dim=1).min()))
        assert max(least) == pytest.approx(radius), "it is held there, and not before"
        assert not way.velocity.any()


def test_who_walks_rises_and_sinks_as_told() -> None:
    with torch.inference_mode():
        outlook = tiny_outlook(planned=True).to(torch.device("cpu"), torch.float32)
        way = outlook.at_rest(picture(0))
        view = View(picture(0), replace(way, momentum=torch.tensor([0.0, 0.2])), 3)
        seen: list[Motion] = []
        glimpse = outlook.glimpse

        def watched(pictures: Tensor, motion: Motion, *rest: Tensor, **more: Tensor) -> Glimpse:
            seen.append(motion)
            return glimpse(pictures, motion, *rest, **more)

        outlook.glimpse = watched  # type: ignore[assignment]
        outlook.ahead([view], torch.zeros(1, 2, 3))
        config, clock = outlook.motion.config, torch.tensor([3.0], dtype=torch.float64)
        was, will = rise(config, torch.tensor([[0.0, 0.2]]), clock - 1.0), rise(config, seen[0].momentum, clock)
        torch.testing.assert_close(seen[0].step[:, 1], (was - will) / (32 / 48))


def test_before_anything_is_learned_what_was_seen_is_trusted_most() -> None:
    detail = DetailNet(DetailConfig(8, 1))
    dreamed, moved, recalled = (torch.full((1, 3, 8, 8), value) for value in (0.0, 1.0, -1.0))
    seen, known = torch.zeros(2, 1, 1, 8, 8, dtype=torch.bool)
    near = torch.zeros(1, 1, 8, 8)
    with torch.inference_mode():
        assert torch.equal(detail(dreamed, moved, seen, recalled, known, near), dreamed), "nothing else is to be had"
        seen[..., :4] = True
        y = detail(dreamed, moved, seen, recalled, known, near)
        assert bool((y[..., :4] > 0.9).all())
        assert bool((y[..., 4:] == 0.0).all())
        known[..., 4:] = True
        assert bool((detail(dreamed, moved, seen, recalled, known, near)[..., 4:] < -0.7).all())
        far = detail(dreamed, moved, seen, recalled, known, near + 3.0)
        assert bool((far[..., 4:] > -0.3).all()), "what was taken from far away is doubted"


def test_shares_are_those_of_masked_logits_to_the_bit() -> None:
    """Adding a large number where nothing is in sight is what filling it in is, and one pass instead of three."""
    detail = DetailNet(DetailConfig(8, 1))
    randomise(detail, 6, 0.1)
    dreamed, moved, recalled = (picture(seed)[None] for seed in range(3))
    seen, known = torch.arange(48).expand(1, 1, 32, 48) < 30, torch.arange(48).expand(1, 1, 32, 48) > 10
    doubt = torch.rand(1, 1, 32, 48) * 6.0
    with torch.inference_mode():
        shown = detail(dreamed, moved, seen, recalled, known, doubt)
        apart, near = [moved - dreamed, recalled - dreamed], doubt.clamp(max=MOST)
        x = torch.cat([dreamed, *apart, seen, known, near], 1)
        y = F.pixel_shuffle(detail.leave(F.silu(detail.body(detail.enter(x)))), 4)
        own, last, album = (y[:, 3 + k : 4 + k] + SEEN[k] for k in range(3))
        last, album = last.masked_fill(~seen, NEVER), (album - near).masked_fill(~known, NEVER)
        shares = torch.cat([own, last, album], 1).softmax(1)
        want = torch.addcmul(dreamed + y[:, :3], shares[:, 1:2], apart[0])
        assert torch.equal(shown, torch.addcmul(want, shares[:, 2:], apart[1]))


def test_what_fills_a_picture_is_one_or_the_other_to_the_bit(outlook: CameraOutlook) -> None:
    glimpse = seen_next(outlook, standing(outlook, 0.0), turning(20.0), torch.tensor([[0.0, 0.0, 20.0]]).double())
    want = torch.where(glimpse.seen | ~glimpse.known, glimpse.moved, glimpse.recalled)
    assert torch.equal(glimpse.filled, want)
    assert 0 < int(glimpse.seen.sum()) < glimpse.seen.numel()
