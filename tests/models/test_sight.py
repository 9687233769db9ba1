"""What an album shows from elsewhere is what is seen from there, where the floorplan is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.models.album import Album
from worldloom.models.autoencoder import to_signed
from worldloom.models.motion import MotionConfig
from worldloom.models.sight import Cameras, Sight, sight

from .room import WALKER, drawn, plan, room_album

WIDE: MotionConfig = replace(WALKER, height=80, width=128)
"""More pixels than the tiny world has, to see edges with."""


@pytest.fixture(autouse=True)
def _as_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures as their files have them: where things are seen is asked here; how crisp they are, in test_album."""
    monkeypatch.setattr("worldloom.models.album.EMPHASIS", 0.0)


def taken(*poses: tuple[float, float, float], rise: float = 0.0, camera: MotionConfig = WIDE) -> Album:
    there, rises = torch.tensor(poses, dtype=torch.float64), torch.full((len(poses),), rise)
    pictures = [drawn(pose, rise, camera) for pose in there]
    return Album.of(pictures, there, rises)


def seen_from(
    album: Album, poses: Tensor, rises: Tensor, camera: MotionConfig = WIDE, barred: Tensor | None = None
) -> Sight:
    near = plan().near(camera, poses, rises)
    walls = plan().walls_near(camera, album.poses)
    return sight(camera, album, walls, Cameras(poses, rises, near, barred))


def looked(album: Album, pose: tuple[float, float, float], rise: float = 0.0, camera: MotionConfig = WIDE) -> Sight:
    with torch.inference_mode():
        return seen_from(album, torch.tensor([pose], dtype=torch.float64), torch.tensor([rise]), camera)


def truth(pose: tuple[float, float, float], rise: float = 0.0, camera: MotionConfig = WIDE) -> Tensor:
    return to_signed(torch.from_numpy(drawn(torch.tensor(pose, dtype=torch.float64), rise, camera)))[None]


def off(seen: Sight, wanted: Tensor, most: float = 0.95) -> float:
    """Error that most pixels have at most, where something is known, in levels of 255; at edges two things blend."""
    apart = (seen.picture - wanted).abs().amax(1, keepdim=True)[seen.known]
    return float(apart.quantile(most)) * 127.5


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (0.3, 0.2, 20.0), (-0.2, -0.4, -25.0), (0.1, -0.3, 5.0)])
@pytest.mark.parametrize("rise", [0.0, 0.1])
def test_it_is_what_is_seen_from_there(pose: tuple[float, float, float], rise: float) -> None:
    seen = looked(taken((0.0, -0.2, 0.0)), pose, rise)
    assert off(seen, truth(pose, rise)) < 8.0
    assert seen.known.float().mean() > 0.5


def test_a_picture_taken_here_is_seen_whole() -> None:
    pose = (0.2, -0.5, 30.0)
    seen = looked(taken(pose), pose)
    assert bool(seen.known.all())
    assert off(seen, truth(pose)) < 8.0, "but for JPEG"
    assert float(seen.doubt.abs().max()) == 0.0


def test_what_was_hidden_is_not_known() -> None:
    # From the left the pillar hides a part of the far wall that is seen from the right.
    seen = looked(taken((-0.5, 0.0, 30.0)), (0.9, -0.2, 0.0))
    assert off(seen, truth((0.9, -0.2, 0.0)), 0.85) < 8.0
    assert 0.1 < float((~seen.known).float().mean()) < 0.5
    assert not seen.doubt[~seen.known].any(), "there is nothing to doubt"
    assert seen.doubt[seen.known].all()
    both = looked(taken((-0.5, 0.0, 30.0), (1.2, -0.3, 0.0)), (0.9, -0.2, 0.0))
    assert both.known.float().mean() > seen.known.float().mean() + 0.03, "another picture shows it"


def test_what_may_not_be_looked_at_is_not() -> None:
    album = taken((0.0, 0.0, 0.0), (0.0, 0.0, 180.0))
    poses, rises = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1)
    assert seen_from(album, poses, rises).known.all()
    assert not seen_from(album, poses, rises, barred=torch.tensor([[True, False]])).known.any()


def test_together_is_alone() -> None:
    album, rng = room_album(), np.random.default_rng(1)
    poses = torch.from_numpy(np.stack([*rng.uniform(-1.0, 0.5, (2, 5)), rng.uniform(-180.0, 180.0, 5)], 1))
    rises = torch.linspace(-0.1, 0.1, 5)
    together = seen_from(album, poses, rises, WALKER)
    for k in range(5):
        alone = seen_from(album, poses[k : k + 1], rises[k : k + 1], WALKER)
        for part in ("picture", "known", "doubt"):
            assert torch.equal(getattr(together, part)[k], getattr(alone, part)[0]), part


def test_an_album_of_a_room_shows_nearly_all_of_it() -> None:
    album = room_album()
    for heading in range(0, 360, 30):
        pose = (-0.3, -0.4, float(heading))
        seen = looked(album, pose, camera=WALKER)
        assert float(seen.known.float().mean()) > 0.7
        assert off(seen, truth(pose, camera=WALKER), 0.5) < 8.0


def test_what_is_not_shown_near_by_is_looked_for_farther_away(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = [(0.1 * k, 0.1, side * (75.0 + 10.0 * k)) for k in range(4) for side in (-1, 1)]
    album, pose = taken(*elsewhere, (-1.0, -1.2, 30.0)), (0.0, 0.0, 0.0)
    found = looked(album, pose)
    assert float(found.known.float().mean()) > 0.99
    assert off(found, truth(pose), 0.9) < 16.0
    monkeypatch.setattr("worldloom.models.sight.FURTHER", 0)
    before = looked(album, pose)
    assert float(before.known.float().mean()) < 0.5
    kept = before.known.expand_as(before.picture)
    assert torch.equal(found.picture[kept], before.picture[kept]), "what is shown near by stays"
