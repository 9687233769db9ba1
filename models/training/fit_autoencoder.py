"""The autoencoder stage: learn to encode and decode single frames, then encode every recording once.

Knows frames and latents; nothing about actions or time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..autoencoder import Autoencoder, AutoencoderConfig, to_pictures, to_signed
from ..precision import mixed
from .budget import Budget
from .clips import Clips
from .loop import descend, loaded, resume, run_steps, save
from .metrics import psnr
from .recipe import Recipe


def autoencoder_config(recipe: Recipe, *, lean: bool = False) -> AutoencoderConfig:
    """The shape that a recipe asks for; `lean` as the decoder stage makes it."""
    r = recipe.autoencoder
    return AutoencoderConfig(recipe.spec.height, recipe.spec.width, r.channels, r.widths, r.position, lean)


def fit_autoencoder(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/autoencoder.pt` is the checkpoint and the result."""
    r = recipe.autoencoder
    clips = Clips.open(folder / "data" / "train")
    torch.manual_seed(recipe.data.seed)
    model = Autoencoder(autoencoder_config(recipe)).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), r.lr, betas=(0.9, 0.98), weight_decay=0.01)
    budget = Budget(r.minutes, r.steps)
    path = folder / "autoencoder.pt"
    resume(path, model, optimiser, budget)

    def step() -> dict[str, float]:
        rng = np.random.default_rng((recipe.data.seed, budget.done))
        frames = clips.take(rng.integers(0, len(clips), r.batch))
        loss, found = _attempt(model, torch.from_numpy(frames).to(device), r.noise)
        descend(loss, model, {optimiser: r.lr * budget.rate})
        return {"loss": loss.item(), "psnr": found}

    run_steps(f"autoencoder {recipe.spec.name}", budget, step, lambda: save(path, model, optimiser, budget))


def _attempt(model: Autoencoder, frames: Tensor, noise: float) -> tuple[Tensor, float]:
    """The loss of frames (B, H, W, 3) uint8, and the PSNR of the batch."""
    x = to_signed(frames).contiguous(memory_format=torch.channels_last)
    with mixed(frames.device):
        z = model.encode(x)
        y = model.decode(z + noise * torch.randn_like(z)).float()
    return reconstruction_loss(y, x), psnr_of(y, x)


def psnr_of(y: Tensor, x: Tensor) -> float:
    """PSNR in dB of a batch in [-1, 1] as one picture."""
    return -10.0 * float(torch.log10(F.mse_loss(y.detach(), x) / 4.0))


def reconstruction_loss(y: Tensor, x: Tensor) -> Tensor:
    """Absolute error of pixels and of their differences (edges), plus squared error, on (B, 3, H, W) in [-1, 1]."""
    across = (y.diff(dim=-1) - x.diff(dim=-1)).abs().mean()
    down = (y.diff(dim=-2) - x.diff(dim=-2)).abs().mean()
    return (y - x).abs().mean() + 0.5 * (across + down) + 2.0 * F.mse_loss(y, x)


def load_autoencoder(recipe: Recipe, folder: Path, device: torch.device) -> Autoencoder:
    """The trained autoencoder, ready to use; as the decoder stage left it where that has run.

    Raises:
        FileNotFoundError: the autoencoder stage has not run.
    """
    first, again = folder / "autoencoder.pt", folder / "decoder.pt"
    if again.exists() and not (first.exists() and first.stat().st_mtime >= again.stat().st_mtime):
        model = loaded(Autoencoder(autoencoder_config(recipe, lean=recipe.decoder.lean)), again)
    else:
        model = load_whole(recipe, folder)
    return model.to(device).eval()


def encoder_file(folder: Path) -> Path:
    """The checkpoint that latents depend on. The decoder stage leaves them as they are: its own, where no other is."""
    first = folder / "autoencoder.pt"
    return first if first.exists() else folder / "decoder.pt"


def load_whole(recipe: Recipe, folder: Path) -> Autoencoder:
    """The same as the autoencoder stage left it."""
    return loaded(Autoencoder(autoencoder_config(recipe)), folder / "autoencoder.pt")


@torch.inference_mode()
def encode_recordings(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Latents (n, C, h, w) float16 of every shard, beside its frames. Skips what is newer than the autoencoder."""
    stamp = encoder_file(folder).stat().st_mtime
    model = load_autoencoder(recipe, folder, device)
    for name in ("train", "holdout"):
        clips = Clips.open(folder / "data" / name)
        path = folder / f"latents-{name}.npy"
        if path.exists() and path.stat().st_mtime > stamp and len(np.load(path, mmap_mode="r")) == len(clips):
            continue
        latents = [
            _encode(model, clips.take(np.arange(k, min(k + 128, len(clips))))) for k in range(0, len(clips), 128)
        ]
        np.save(path, np.concatenate(latents))


def _encode(model: Autoencoder, frames: np.ndarray) -> np.ndarray:
    device = next(model.parameters()).device
    with mixed(device):
        z = model.encode(to_signed(torch.from_numpy(frames).to(device)))
    return z.float().cpu().numpy().astype(np.float16)


@torch.inference_mode()
def reconstruction_psnr(model: Autoencoder, clips: Clips, count: int) -> float:
    """Mean PSNR (dB) of `count` frames, evenly spread, after encoding and decoding in float32."""
    frames = clips.take(np.linspace(0, len(clips) - 1, count).astype(np.int64))
    device = next(model.parameters()).device
    total = 0.0
    for k in range(0, count, 50):
        batch = torch.from_numpy(frames[k : k + 50]).to(device)
        again = to_pictures(model.decode(model.encode(to_signed(batch)))).cpu().numpy()
        total += float(psnr(again, frames[k : k + 50]).sum())
    return total / count
