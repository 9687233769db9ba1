"""The detail stage: learn how far dreamed, moved and recalled pictures can each be trusted, from dreams.

Streams dream along recorded episodes, under the true actions and along the true motion, on the transformer and with
the errors that they will have when nobody watches; each shows its own last picture, which the network being trained
has made. What it should have shown is the recorded frame, with grain as strong, and none that repeats (phases.py). At
the end its pixels are levelled. Knows a world's parts and recordings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..detail import FOLD, DetailConfig, DetailNet
from ..precision import mixed, native_dtype
from ..state import DiTState
from ..view import Glimpse, View
from ..world import DiTWorld, DreamConfig
from .budget import Budget
from .dream import scenes_at
from .fit_autoencoder import psnr_of, reconstruction_loss
from .fit_decoder import texture_loss
from .fit_dynamics import load_dynamics
from .latents import ClipSource
from .loop import descend, loaded, resume, run_steps, save
from .moved import mover_of
from .phases import level, mesh_loss, phase_errors
from .recipe import Recipe

DECODED_SHARE = 0.3  # of the streams that begin with a decoded picture instead of a recorded one
STILL_SHARE = 0.15  # of the streams that stand still
MESH = 6.0  # weight of errors that repeat from cell to cell
LEVELLED = 32  # batches on which the pixels are levelled


def detail_config(recipe: Recipe) -> DetailConfig:
    """The shape that a recipe asks for."""
    assert recipe.detail is not None, "the recipe has no [detail]"
    return DetailConfig(recipe.detail.width, recipe.detail.depth)


def fit_detail(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train until the recipe's budget is spent; `folder/detail.pt` is the checkpoint and the result."""
    r = recipe.detail
    assert r is not None, "the recipe has no [detail]"
    torch.manual_seed(recipe.data.seed)
    model = DetailNet(detail_config(recipe)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), r.lr, betas=(0.9, 0.98), weight_decay=0.01)
    budget = Budget(r.minutes, r.steps)
    path = folder / "detail.pt"
    resume(path, model, optimiser, budget)
    dreamers = Dreamers(recipe, folder, device, np.random.default_rng((recipe.data.seed, budget.done)))

    def step() -> dict[str, float]:
        dreamed, glimpse, truth = dreamers.dream()
        y = _shown(model, dreamed, glimpse)
        grain, mesh = texture_loss(y, truth), mesh_loss(y, truth, FOLD)
        loss = reconstruction_loss(y, truth) + r.texture * grain + MESH * mesh
        descend(loss, model, {optimiser: r.lr * budget.rate})
        dreamers.show(y.detach().clamp(-1.0, 1.0), glimpse)
        psnr = {"psnr": psnr_of(y, truth), "dreamed": psnr_of(dreamed, truth), "filled": psnr_of(glimpse.filled, truth)}
        return {"loss": loss.item(), "grain": grain.item(), "mesh": mesh.item()} | psnr

    run_steps(f"detail {recipe.spec.name}", budget, step, lambda: save(path, model, optimiser, budget))
    level_pixels(model, dreamers)
    save(path, model, optimiser, budget)


def _shown(model: DetailNet, dreamed: Tensor, glimpse: Glimpse) -> Tensor:
    """(B, 3, H, W) in the arithmetic of training."""
    with mixed(dreamed.device):
        y: Tensor = model(dreamed, glimpse.moved, glimpse.seen, glimpse.recalled, glimpse.known, glimpse.doubt)
    return y


@torch.no_grad()
def level_pixels(model: DetailNet, dreamers: Dreamers) -> None:
    """Take off what the pixels of pictures are off by on average, each place of a cell by itself."""
    assert model.leave.bias is not None
    errors: list[Tensor] = []
    for _ in range(LEVELLED):
        dreamed, glimpse, truth = dreamers.dream()
        made = _shown(model, dreamed, glimpse).clamp(-1.0, 1.0)
        errors.append(phase_errors(made, truth, FOLD))
        dreamers.show(made, glimpse)
    level(model.leave.bias, torch.stack(errors).mean(0))


@dataclass
class Dreamer:
    """A stream along an episode."""

    state: DiTState
    at: int  # the recorded frame that comes next
    left: int  # frames until it begins anew
    still: bool  # it stays where it is, and `at` with it


class Dreamers:
    """As many streams as a batch has."""

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device, rng: np.random.Generator) -> None:
        assert recipe.detail is not None, "the recipe has no [detail]"
        self.mover = mover_of(recipe, folder, "train", device)
        outlook, r = self.mover.outlook, recipe.dynamics
        self._source = source = ClipSource(recipe, folder, "train")
        self.world = DiTWorld(
            recipe.spec,
            load_dynamics(recipe, folder),
            self.mover.autoencoder,
            DreamConfig(r.sigmas, r.context_sigma, r.window, r.sink, r.azimuth),
            keyframes=source.keyframes,
            outlook=outlook,
            device=device,
            dtype=native_dtype(device),
        )
        self.rng, self.longest = rng, recipe.detail.frames
        self._starts = self.mover.walks.clips.windows(r.window + 1)
        self._dreamers = [self._begin() for _ in range(recipe.detail.batch)]

    def dream(self) -> tuple[Tensor, Glimpse, Tensor]:
        """Dreamed pictures (B, 3, H, W) of the frames that come next, what else is known of them, and the truth."""
        at, still = np.array([d.at for d in self._dreamers]), np.array([d.still for d in self._dreamers])
        states = [d.state for d in self._dreamers]
        with torch.inference_mode():
            pictures = torch.stack([s.view.picture for s in states if s.view])
            glimpse = self.mover.glimpse(at, pictures, still)
            rows = torch.from_numpy(self.mover.walks.clips.leading[at] * ~still[:, None])[:, None]
            latents, _ = self.world.dream(states, rows, self.world.config.sigmas, glimpse)
            dreamed = self.world.autoencoder.pictures(latents[:, 0])
        # What was made in inference mode takes no part in gradients: copies do.
        parts = {name: getattr(glimpse, name).clone() for name in ("moved", "seen", "recalled", "known", "doubt")}
        truth = self.mover.walks.pictures(at).to(dreamed.device)
        return dreamed.float().clone(), replace(glimpse, **parts), truth

    def show(self, pictures: Tensor, glimpse: Glimpse) -> None:
        """The streams go on from pictures (B, 3, H, W); those that are done begin anew."""
        episodes = self.mover.walks.clips.episodes
        for k, (d, picture) in enumerate(zip(self._dreamers, pictures.to(self.world.dtype), strict=True)):
            d.state.view = View(picture, glimpse.ways[k], 0)
            d.at, d.left = d.at + (not d.still), d.left - 1
            if not d.left or not d.still and (d.at == len(episodes) or episodes[d.at] != episodes[d.at - 1]):
                self.world.release(d.state)
                self._dreamers[k] = self._begin()

    def _begin(self) -> Dreamer:
        window = self.world.config.window
        # Log-uniform: a picture that is still true must be kept and one of 100 steps mended, and both are seen often.
        left = int(self.longest ** self.rng.random() + 0.5)
        (start,) = self._source.starts(self.rng, self._starts, 1, window + left)
        (scene,) = scenes_at(self.world, self.mover.walks.clips, np.array([start]), window)
        if self.rng.random() < DECODED_SHARE:
            scene = replace(scene, picture=None)
        still = bool(self.rng.random() < STILL_SHARE)
        return Dreamer(self.world.begin(scene, int(start)), int(start) + window - still, left, still)


def load_detail(recipe: Recipe, folder: Path) -> DetailNet:
    """The trained network.

    Raises:
        FileNotFoundError: the detail stage has not run.
    """
    return loaded(DetailNet(detail_config(recipe)), folder / "detail.pt").eval()
