"""Pictures that a world carries: found by pose and by looks, kept small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldloom.models.album import EMPHASIS, LATEST, Album, emphasised, jpeg_reader, to_jpeg

from .tiny import tiny_album


def pose(east: float, north: float, heading: float) -> torch.Tensor:
    return torch.tensor([[east, north, heading]], dtype=torch.float64)


def test_a_picture_survives_its_file() -> None:
    x, y = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 64))
    picture = np.stack([x, y, 255 - x], -1).astype(np.uint8)
    file = to_jpeg(picture)
    assert file[:2] == b"\xff\xd8"
    assert len(file) < picture.nbytes // 5
    error = jpeg_reader()(file).astype(float) - picture
    assert np.sqrt((error**2).mean()) < 4.0


def test_what_stands_out_stands_out_a_little_more() -> None:
    picture = torch.full((5, 6, 3), 100, dtype=torch.uint8)
    assert torch.equal(emphasised(picture), picture)  # up to the edges: there is nothing to add
    picture[2, 3] = torch.tensor([150, 50, 100], dtype=torch.uint8)
    seen = emphasised(picture)
    more = round(4 * EMPHASIS * 50)
    assert seen[2, 3].tolist() == [150 + more, 50 - more, 100]
    assert seen[2, 2].tolist() == [100 - more // 4, 100 + more // 4, 100]
    assert torch.equal(seen[0], picture[0])
    assert emphasised(torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1).expand(1, 2, 3))[0, :, 0].tolist() == [
        0,
        255,
    ]


def test_pictures_come_back_crisper_than_their_files() -> None:
    album = tiny_album(2)
    ends = [0, *album.ends.tolist()]
    for k in range(2):
        file = jpeg_reader()(album.jpegs[ends[k] : ends[k + 1]].numpy().tobytes())
        assert torch.equal(album.picture(k), emphasised(torch.from_numpy(file)))


def test_pictures_come_back_in_their_order() -> None:
    album = tiny_album(6)
    assert len(album) == 6
    again = Album(**album.tensors())
    reds = [int(again.picture(k)[..., 0].float().mean()) for k in range(6)]
    assert reds == sorted(reds)
    assert reds[-1] > reds[0] + 100


def test_a_picture_is_the_same_however_many_were_read_in_between() -> None:
    album = tiny_album(LATEST + 2)
    first = [album.picture(k).clone() for k in range(len(album))]
    for k in reversed(range(len(album))):
        assert torch.equal(album.picture(k), first[k])
    assert torch.equal(album.picture(len(album) - 1), Album(**album.tensors()).picture(len(album) - 1))


@pytest.mark.parametrize("turns", [0.0, -720.0])
def test_pictures_are_found_by_where_they_were_taken(turns: float) -> None:
    album = tiny_album(4)  # north, east, south and west of the origin, each looking outward
    where = pose(0.8, 0.1, 80.0 + turns)
    assert album.taken_near(where).tolist() == [1]
    assert album.taken_near(where, torch.tensor([[False, True, False, False]])).tolist() == [0]


def test_an_album_that_does_not_fit_is_refused() -> None:
    parts = tiny_album(4).tensors()
    for name, wrong in (
        ("poses", parts["poses"][:3]),
        ("ends", parts["ends"].flip(0)),
        ("jpegs", parts["jpegs"][:-1]),
        ("rises", parts["rises"][:3]),
    ):
        with pytest.raises(ValueError, match="expected"):
            Album(**(parts | {name: wrong}))
