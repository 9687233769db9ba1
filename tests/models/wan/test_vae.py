"""The autoencoder frame by frame: against itself over whole clips, and against diffusers'."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny import randomise
from worldloom.models.wan.bare import without_numbers
from worldloom.models.wan.vae import VaeConfig, WanVae
from worldloom.models.wan.vae_keys import is_diffusers, public_name

from .parts import in_parts

TINY = VaeConfig(
    width=4, channels=4, growth=(1, 2, 2, 2), blocks=1, mean=(0.1, -0.2, 0.3, 0.0), std=(1.5, 2.0, 0.7, 1.0)
)
CLOSE = 1e-5


def tiny_vae(config: VaeConfig = TINY) -> WanVae:
    vae = WanVae(config).eval().requires_grad_(False)
    randomise(vae, 4, 0.2)
    return vae


def clip(frames: int, channels: int, rows: int, columns: int) -> Tensor:
    return torch.randn(frames, channels, rows, columns, generator=torch.Generator().manual_seed(frames)).clamp(-1, 1)


def diffusers_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=TINY.width,
        z_dim=TINY.channels,
        dim_mult=list(TINY.growth),
        num_res_blocks=TINY.blocks,
        temperal_downsample=list(TINY.halves_time),
        latents_mean=list(TINY.mean),
        latents_std=list(TINY.std),
    )


@pytest.mark.parametrize("chunks", [(3, 2), (2, 1, 2)])
@torch.inference_mode()
def test_in_any_chunks_the_same_pictures(chunks: tuple[int, ...]) -> None:
    # In float64: how a processor splits the sums of a convolution is not what this is about.
    vae, film = tiny_vae().double(), clip(5, 4, 2, 3).double()
    whole, _ = vae.decode(film, ())
    assert whole.shape == (17, 3, 16, 24)
    parts, _ = in_parts(vae.decode, film, chunks)
    assert [len(p) for p in parts] == [4 * n - (3 if k == 0 else 0) for k, n in enumerate(chunks)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=CLOSE)


@torch.inference_mode()
def test_what_was_seen_is_a_value() -> None:
    vae, film = tiny_vae(), clip(4, 4, 2, 2)
    _, seen = vae.decode(film[:2], ())
    kept = [None if part is None else part.clone() for part in seen]
    one, _ = vae.decode(film[2:], seen)
    other, _ = vae.decode(film[2:].flip(0), seen)
    again, _ = vae.decode(film[2:], seen)
    assert all(torch.equal(a, b) for a, b in zip(seen, kept, strict=True) if a is not None and b is not None)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    held = sum(part.untyped_storage().nbytes() for part in seen if part is not None)
    assert held == sum(part.nbytes for part in seen if part is not None)  # nothing hides behind a view


@torch.inference_mode()
def test_pictures_to_latents_in_any_chunks() -> None:
    vae, film = tiny_vae(), clip(9, 3, 16, 8)
    whole, _ = vae.encode(film)
    assert whole.shape == (3, 4, 2, 1)
    parts, seen = in_parts(vae.encode, film, [1, 4, 4])
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=CLOSE)
    with pytest.raises(ValueError, match="expected 0 \\+ a multiple of 4 pictures, got 3"):
        vae.encode(film[:3], seen)


def test_the_public_files_tensors() -> None:
    with without_numbers():
        tensors = WanVae(VaeConfig()).state_dict()
    assert len(tensors) == 194
    assert sum(tensor.numel() for tensor in tensors.values()) == 126_892_531
    shapes = {
        "conv1.weight": (32, 32, 1, 1, 1),
        "decoder.conv1.weight": (384, 16, 3, 3, 3),
        "decoder.middle.1.norm.gamma": (384, 1, 1),
        "decoder.upsamples.3.resample.1.weight": (192, 384, 3, 3),
        "decoder.upsamples.3.time_conv.weight": (768, 384, 3, 1, 1),
        "decoder.upsamples.4.shortcut.weight": (384, 192, 1, 1, 1),
        "decoder.upsamples.11.resample.1.weight": (96, 192, 3, 3),
        "decoder.upsamples.14.residual.6.weight": (96, 96, 3, 3, 3),
        "decoder.head.0.gamma": (96, 1, 1, 1),
        "decoder.head.2.weight": (3, 96, 3, 3, 3),
    }
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes
    assert "decoder.upsamples.11.time_conv.weight" not in tensors


@pytest.mark.slow  # importing diffusers takes seconds
@torch.inference_mode()
def test_against_diffusers() -> None:
    theirs = diffusers_vae().eval().requires_grad_(False)
    randomise(theirs, 6, 0.2)
    tensors = theirs.state_dict()
    assert is_diffusers(tensors)
    ours = WanVae(TINY).eval()
    ours.load_state_dict({public_name(name, TINY): tensor for name, tensor in tensors.items()})
    assert not is_diffusers(ours.state_dict())
    latents = clip(4, 4, 2, 3)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (TINY.mean, TINY.std))
    want = theirs.decode((latents * std + mean).transpose(0, 1)[None]).sample[0].transpose(0, 1)
    assert want.std() > 0.1
    torch.testing.assert_close(ours.decode(latents, ())[0], want, rtol=0, atol=CLOSE)
    film = clip(9, 3, 16, 24)
    mode = theirs.encode(film.transpose(0, 1)[None]).latent_dist.mode()[0].transpose(0, 1)
    torch.testing.assert_close(ours.encode(film)[0], (mode - mean) / std, rtol=0, atol=CLOSE)


@pytest.mark.slow
def test_diffusers_reads_our_names_as_it_reads_the_public_file() -> None:
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    ours = tiny_vae().state_dict()
    converted = convert_wan_vae_to_diffusers(dict(ours))
    deep = [name for name in converted if "upsampl" not in name and "up_blocks" not in name and "down" not in name]
    assert {public_name(name, TINY) for name in deep} <= ours.keys()  # its table of the rest holds for one size alone
    with without_numbers():
        public = WanVae(VaeConfig()).state_dict()
    theirs = convert_wan_vae_to_diffusers(dict(public))
    back = {public_name(name, VaeConfig()): tensor.shape for name, tensor in theirs.items()}
    assert back == {name: tensor.shape for name, tensor in public.items()}
