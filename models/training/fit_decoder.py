"""The decoder stage: train the decoder on, so that surfaces get their grain back. Latents stay as they are.

A decoder that minimises pixel errors paints the mean of all grains that a latent may stand for, which is smooth. Here
it is also held to the local sharpness of the true picture (the energy of its Laplacian in small squares), wherever
the single lines of the grain fall. Costs some PSNR. The dynamics need no new training: the encoder is frozen.

A lean autoencoder, where the recipe asks for one, is made here: its decoder as any other, its encoder to give the
latents that the whole one gives (distillation, arXiv 1503.02531).

At the end its pixels are levelled, see phases.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..autoencoder import Autoencoder, to_signed
from ..convolution import Conv2d
from ..pixels import ToPixels
from ..precision import mixed
from .budget import Budget
from .clips import Clips
from .fit_autoencoder import load_whole, psnr_of, reconstruction_loss
from .loop import descend, resume, run_steps, save
from .phases import level, phase_errors
from .recipe import Recipe

PATCH = 8  # pixels each way of the squares in which sharpness is compared

LEVELLED = 512  # pictures on which the pixels are levelled


def fit_decoder(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/decoder.pt` is the checkpoint and the result."""
    r = recipe.decoder
    clips = Clips.open(folder / "data" / "train")
    torch.manual_seed(recipe.data.seed)
    whole = load_whole(recipe, folder).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = whole.leaner() if r.lean else whole
    model = model.to(device, memory_format=torch.channels_last)
    model.encoder.requires_grad_(r.lean)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, r.lr, betas=(0.9, 0.98), weight_decay=0.01)
    budget = Budget(r.minutes, r.steps)
    path = folder / "decoder.pt"
    resume(path, model, optimiser, budget)

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        frames = torch.from_numpy(clips.take(rng.integers(0, len(clips), r.batch))).to(device)
        x = to_signed(frames).contiguous(memory_format=torch.channels_last)
        with mixed(device):
            with torch.no_grad():
                z = whole.encode(x)
            y = model.decode(z + r.noise * torch.randn_like(z)).float()
            off = F.mse_loss(model.encode(x).float(), z.float()) if r.lean else y.new_zeros(())
        grain = texture_loss(y, x)
        loss = reconstruction_loss(y, x) + r.texture * grain + off
        descend(loss, model, {optimiser: r.lr * budget.rate})
        return {"loss": loss.item(), "grain": grain.item(), "psnr": psnr_of(y, x), "latent": off.item()}

    run_steps(f"decoder {recipe.spec.name}", budget, step, lambda: save(path, model, optimiser, budget))
    level_pixels(model, clips)
    save(path, model, optimiser, budget)


@torch.no_grad()
def level_pixels(model: Autoencoder, clips: Clips) -> None:
    """Take off what the decoder's pixels are off by on average, each place of a cell by itself."""
    leave = next(layer for layer in reversed(model.decoder) if isinstance(layer, Conv2d))
    assert isinstance(model.decoder[-1], ToPixels)
    assert leave.bias is not None
    errors = []
    for at in np.linspace(0, len(clips) - 1, LEVELLED).astype(np.int64).reshape(-1, 16):
        x = to_signed(torch.from_numpy(clips.take(at))).to(leave.weight.device)
        errors.append(phase_errors(model.pictures(model.latents(x)), x, model.decoder[-1].upscale_factor))
    level(leave.bias, torch.stack(errors).mean(0))


def texture_loss(y: Tensor, x: Tensor) -> Tensor:
    """Mean difference in local sharpness of pictures (B, 3, H, W) in [-1, 1]."""
    return (sharpness(y) - sharpness(x)).abs().mean()


def sharpness(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H/8, W/8): root-mean-square of the Laplacian of the luma in squares of 8 pixels."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = x.new_tensor([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]])
    energy = F.avg_pool2d(F.conv2d(luma, kernel, padding=1).square(), PATCH)
    return (energy + 1e-4).sqrt()
