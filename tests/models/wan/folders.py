"""A tiny random world of the family on disk, every part in a public layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from worldloom.models.wan.config import CameraShape, Rollout, WanConfig
from worldloom.models.wan.open import WanFolder
from worldloom.models.wan.sights import write_sights
from worldloom.models.wan.text import write_prompts
from worldloom.models.wan.vae import VaeConfig

from .published import original
from .test_vae import tiny_vae
from .tiny import FILMED, FOUR, HANDS, PLAYED, ROLL, SHAPE, prompt

PROMPTS = ("a meadow", "a harbour at night")
HEIGHT, WIDTH = SIZE = 8, 16
VAE = FOUR


def played(
    path: Path, roll: Rollout = ROLL, shape: WanConfig = PLAYED, size: tuple[int, int] = SIZE, *, clip: bool = False
) -> Path:
    """One that hears a keyboard and a mouse, and is shown a picture: with what CLIP saw, or without."""
    folder(path, roll, shape, size=size)
    generator = torch.Generator().manual_seed(11)
    pictures = [torch.randint(0, 256, (*size, 3), generator=generator).to(torch.uint8).numpy() for _ in range(2)]
    seen = [] if clip else [torch.randn(5, 10, generator=generator) for _ in range(2)]
    write_sights(path / "pictures.safetensors", pictures, seen)
    eye = "image_encoder" if clip else ""
    replace(WanFolder.read(path), hands=HANDS, prompts="", pictures="pictures.safetensors", eye=eye).write(path)
    return path


def filmed(path: Path, roll: Rollout = ROLL, shape: WanConfig = FILMED, size: tuple[int, int] = (16, 16)) -> Path:
    """One that hears a camera, a prompt, and is shown a picture. Its tokens are of pixels: an autoencoder of 8."""
    folder(path, roll, shape, replace(VAE, growth=(1, 1, 2, 2), halves_time=(False, True, True)), size)
    write_sights(path / "pictures.safetensors", [torch.full((*size, 3), 90, dtype=torch.uint8).numpy()])
    camera = CameraShape(most=9.0)
    replace(WanFolder.read(path), camera=camera, pictures="pictures.safetensors").write(path)
    return path


def folder(
    path: Path, roll: Rollout = ROLL, shape: WanConfig = SHAPE, vae: VaeConfig = VAE, size: tuple[int, int] = SIZE
) -> Path:
    path.mkdir(parents=True)
    save_file(original(shape), path / "network.safetensors")
    torch.save(tiny_vae(vae).state_dict(), path / "Wan_tiny_VAE.pth")
    write_prompts(path / "prompts.safetensors", {text: prompt(k)[:4] for k, text in enumerate(PROMPTS)})
    about = WanFolder(
        title="A tiny one",
        licence="none: random numbers",
        source="tests",
        height=size[0],
        width=size[1],
        fps=16,
        rollout=roll,
        shape=shape,
        vae=vae,
        decoder="Wan_tiny_VAE.pth",
        prompts="prompts.safetensors",
    )
    about.write(path)
    return path
