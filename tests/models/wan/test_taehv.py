"""The small decoder: frame by frame as over whole clips, and of the public files' shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.models.tiny import randomise
from worldloom.models.catalog import open_world
from worldloom.models.wan.bare import without_numbers
from worldloom.models.wan.load_vae import load_taehv
from worldloom.models.wan.taehv import Recall, Taehv, TaehvConfig

from .folders import folder
from .parts import in_parts
from .test_vae import clip

TINY = TaehvConfig(channels=4, widths=(6, 5, 4, 4))


def tiny_taehv(config: TaehvConfig = TINY) -> Taehv:
    taehv = Taehv(config).eval().requires_grad_(False)
    randomise(taehv, 7, 0.2)
    return taehv


def whole_clip(taehv: Taehv, latents: Tensor) -> Tensor:
    """All frames at once, layer after layer, each block's memory its own input one frame later."""
    x = latents
    for layer in taehv.decoder:
        if isinstance(layer, Recall):
            late = F.pad(x, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]
            x = F.relu(layer.conv(torch.cat([x, late], 1)) + x)
        else:
            x = layer(x)
    return x[3:].clamp(0, 1) * 2 - 1


@pytest.mark.parametrize("chunks", [[1, 1, 1, 1], [3, 1], [2, 2], [4]])
@torch.inference_mode()
def test_in_any_chunks_the_same_pictures(chunks: list[int]) -> None:
    taehv, film = tiny_taehv().double(), clip(4, 4, 2, 3).double()  # float32 rounds other sizes in other ways
    parts, _ = in_parts(taehv.decode, film, chunks)
    want = whole_clip(taehv, film)
    assert want.shape == (13, 3, 16, 24)
    assert want.std() > 0.05
    torch.testing.assert_close(torch.cat(parts), want, rtol=0, atol=1e-10)


@torch.inference_mode()
def test_wan_2_2s_makes_four_pixels_at_once() -> None:
    taehv = tiny_taehv(TaehvConfig(channels=4, widths=(6, 5, 4, 4), patch=2))
    assert taehv.decode(clip(2, 4, 2, 3), ())[0].shape == (5, 3, 32, 48)


def test_the_public_files_tensors() -> None:
    with without_numbers():
        tensors = Taehv(TaehvConfig()).state_dict()
    assert sum(tensor.numel() for tensor in tensors.values()) == 9_844_611
    shapes = {
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.3.conv.0.weight": (256, 512, 3, 3),
        "decoder.7.conv.weight": (256, 256, 1, 1),
        "decoder.8.weight": (128, 256, 3, 3),
        "decoder.13.conv.weight": (256, 128, 1, 1),
        "decoder.14.weight": (64, 128, 3, 3),
        "decoder.19.conv.weight": (128, 64, 1, 1),
        "decoder.20.weight": (64, 64, 3, 3),
        "decoder.22.weight": (3, 64, 3, 3),
    }
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes


def test_it_shows_a_worlds_pictures(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    taehv = tiny_taehv(TaehvConfig(channels=4, widths=(6, 5, 4, 4)))
    torch.save({**taehv.state_dict(), "encoder.0.weight": torch.zeros(2)}, path / "taew.pth")
    assert load_taehv(path / "taew.pth").config == TINY
    about = json.loads((path / "wan.json").read_text())
    (path / "wan.json").write_text(json.dumps(about | {"small": "taew.pth"}))
    with pytest.raises(ValueError, match="as many pixels"):  # eight a cell, and the tiny autoencoder has four
        open_world(str(path))
    torch.save({"weight": torch.zeros(2)}, path / "taew.pth")
    with pytest.raises(ValueError, match="expected the weights of TAEHV"):
        open_world(str(path))


@pytest.mark.slow
def test_a_world_with_both_decoders(tmp_path: Path) -> None:
    from .test_vae import TINY as VAE

    path = folder(tmp_path / "tiny", vae=VAE, size=(16, 32))
    torch.save(tiny_taehv().state_dict(), path / "taew.pth")
    about = json.loads((path / "wan.json").read_text())
    (path / "wan.json").write_text(json.dumps(about | {"small": "taew.pth"}))
    shown = []
    for small in (True, False):
        world = open_world(str(path), dtype=torch.float32, small=small)
        image = np.zeros((16, 32, 3), np.uint8)
        state = world.start(seed=1, image=image)  # encoded by the autoencoder either way
        shown.append(world.step([state], world.spec.actions.neutral(8)[None]))
    assert shown[0].shape == shown[1].shape
    assert not np.array_equal(shown[0], shown[1])
