"""Wan 2.2's autoencoder frame by frame: against itself, against diffusers', and out of both layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny import randomise
from worldloom.models.wan.bare import without_numbers
from worldloom.models.wan.load_vae import load_vae
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.taehv import TaehvConfig
from worldloom.models.wan.vae import VAE_2_2, VaeConfig, WanVae
from worldloom.models.wan.vae_keys import public_name
from worldloom.models.wan.vae_residual import averaged, joined, repeated, split

from .folders import folder
from .parts import in_parts
from .test_vae import clip, tiny_vae

TINY = VaeConfig(
    width=4,
    channels=4,
    growth=(1, 2, 2, 2),
    blocks=1,
    mean=(0.1, -0.2, 0.3, 0.0),
    std=(1.5, 2.0, 0.7, 1.0),
    decoder_width=6,
    residual=True,
    patch=2,
)
CLOSE = 1e-5


def diffusers_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=TINY.width,
        decoder_base_dim=TINY.decoder_width,
        z_dim=TINY.channels,
        dim_mult=list(TINY.growth),
        num_res_blocks=TINY.blocks,
        temperal_downsample=list(TINY.halves_time),
        latents_mean=list(TINY.mean),
        latents_std=list(TINY.std),
        is_residual=True,
        patch_size=2,
        in_channels=12,
        out_channels=12,
        scale_factor_spatial=16,
    )


@torch.inference_mode()
def test_in_any_chunks_the_same() -> None:
    vae, latents, film = tiny_vae(TINY), clip(5, 4, 2, 3), clip(17, 3, 32, 16)
    whole, _ = vae.decode(latents, ())
    assert whole.shape == (17, 3, 32, 48)
    for chunks in ([3, 2], [1, 1, 1, 1, 1]):
        pictures, _ = in_parts(vae.decode, latents, chunks)
        torch.testing.assert_close(torch.cat(pictures), whole, rtol=0, atol=CLOSE)
    want, _ = vae.encode(film)
    assert want.shape == (5, 4, 2, 1)
    encoded, _ = in_parts(vae.encode, film, [1, 4, 12])
    torch.testing.assert_close(torch.cat(encoded), want, rtol=0, atol=CLOSE)


def test_what_a_stream_keeps_is_foretold() -> None:
    vae = tiny_vae(TINY)
    _, seen = in_parts(vae.decode, clip(4, 4, 2, 3), [2, 2])
    assert sum(part.numel() for part in seen if part is not None) == vae.history(6)


def test_ways_around() -> None:
    """Means and copies by their definition, one number at a time."""
    x = torch.randn(1, 6, 4, 2, 4, generator=torch.Generator().manual_seed(0))
    near = averaged(x, 3, 2, 2)
    parts = [x[0, c, t, h, w] for c in (2,) for t in (2, 3) for h in (0, 1) for w in (2, 3)]
    groups = torch.stack([*parts, *[x[0, 3, t, h, w] for t in (2, 3) for h in (0, 1) for w in (2, 3)]])
    assert near.shape == (1, 3, 2, 1, 2)
    assert float(near[0, 1, 1, 0, 1]) == pytest.approx(float(groups.mean()), abs=1e-6)
    assert torch.equal(averaged(x[:, :, :1], 12, 2, 1)[:, ::2], torch.zeros(1, 6, 1, 2, 4))  # zeros stand before
    far = repeated(x, 3, 2, first=False)
    assert far.shape == (1, 3, 8, 4, 8)
    assert torch.equal(far[0, 1, 0::2, ::2, ::2], x[0, 2])  # earlier halves of copies are of the earlier feature
    assert torch.equal(far[0, 1, 1::2, ::2, ::2], x[0, 3])
    assert torch.equal(repeated(x[:, :, :1], 3, 2, first=True)[0, 1, 0, ::2, ::2], x[0, 3, 0])
    film = clip(2, 3, 8, 12)
    assert torch.equal(split(film, 2)[:, 5], film[:, 1, 1::2, 0::2])  # colour by colour, column by column
    assert torch.equal(joined(split(film, 2), 2), film)


def test_the_public_files_tensors() -> None:
    with without_numbers():
        tensors = WanVae(VAE_2_2).state_dict()
    assert len(tensors) == 196
    assert sum(tensor.numel() for tensor in tensors.values()) == 704_688_668
    shapes = {
        "conv1.weight": (96, 96, 1, 1, 1),
        "encoder.conv1.weight": (160, 12, 3, 3, 3),
        "encoder.downsamples.1.downsamples.2.time_conv.weight": (320, 320, 3, 1, 1),
        "encoder.downsamples.3.downsamples.1.residual.2.weight": (640, 640, 3, 3, 3),
        "decoder.upsamples.0.upsamples.3.resample.1.weight": (1024, 1024, 3, 3),
        "decoder.upsamples.2.upsamples.0.shortcut.weight": (512, 1024, 1, 1, 1),
        "decoder.head.2.weight": (12, 256, 3, 3, 3),
    }
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes
    assert (VAE_2_2.stride, len(VAE_2_2.mean), len(VAE_2_2.std)) == (16, 48, 48)
    assert TaehvConfig(48, patch=2).stride == VAE_2_2.stride


def test_the_public_layout_says_what_it_is(tmp_path: Path) -> None:
    """A file without a table: tensors of this layout are Wan 2.2's, and those of another size do not fit it."""
    torch.save(tiny_vae(TINY).state_dict(), tmp_path / "Wan2.2_VAE.pth")
    with pytest.raises(ValueError, match=r"conv1.weight: expected \(96, 96, 1, 1, 1\), got \(8, 8"):
        load_vae(tmp_path / "Wan2.2_VAE.pth")
    latents = clip(3, 4, 2, 2)
    want, _ = tiny_vae(TINY).decode(latents, ())
    got, _ = load_vae(tmp_path / "Wan2.2_VAE.pth", TINY).decode(latents, ())
    assert torch.equal(got, want)
    with pytest.raises(ValueError, match="not the weights of such an autoencoder"):
        load_vae(tmp_path / "Wan2.2_VAE.pth", replace(TINY, residual=False))


def test_a_world_with_it(tmp_path: Path) -> None:
    """Latents of 16 pixels a cell, a start picture included."""
    world = open_wan(folder(tmp_path / "tiny", vae=TINY, size=(32, 64)), dtype=torch.float32)
    rows = world.spec.actions.neutral(8)[None]
    state = world.start(seed=1)
    assert world.step([state], rows).shape == (1, 8, 32, 64, 3)
    assert state.history[0].shape == (2, 4, 2, 4)
    assert world.start(seed=1, image=np.zeros((32, 64, 3), np.uint8)).frame == 2


@pytest.mark.slow  # importing diffusers takes seconds
@torch.inference_mode()
def test_against_diffusers(tmp_path: Path) -> None:
    theirs = diffusers_vae().eval().requires_grad_(False)
    randomise(theirs, 6, 0.2)
    theirs.save_pretrained(tmp_path / "vae")
    ours = load_vae(tmp_path)
    assert ours.config == TINY
    assert {public_name(name, TINY) for name in theirs.state_dict()} == ours.state_dict().keys()
    latents, film = clip(4, 4, 2, 3), clip(13, 3, 32, 48)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (TINY.mean, TINY.std))
    want = theirs.decode((latents * std + mean).transpose(0, 1)[None]).sample[0].transpose(0, 1)
    assert want.std() > 0.1
    pictures, _ = in_parts(ours.decode, latents, [2, 1, 1])
    torch.testing.assert_close(torch.cat(pictures), want, rtol=0, atol=CLOSE)
    mode = theirs.encode(film.transpose(0, 1)[None]).latent_dist.mode()[0].transpose(0, 1)
    torch.testing.assert_close(ours.encode(film)[0], (mode - mean) / std, rtol=0, atol=CLOSE)
