"""`worldloom train NAME`: the stages of a recipe in order, each resumable and each re-runnable alone.

collect -> autoencoder -> decoder -> motion -> dynamics -> evaluate. Everything lands under one folder (default
`runs/NAME`): recordings, checkpoints, the world (`NAME.safetensors` + `.json`), a contact sheet and an MP4 of dream
beside truth. Knows the order of the stages and what each leaves behind; nothing about how any of them works.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..state import StartScene
from ..weights import load_world, save_world
from ..world import DiTWorld, DreamConfig
from .clips import Clips
from .collect import collect
from .dream import spread
from .evaluate import evaluate
from .fit_autoencoder import encode_recordings, fit_autoencoder, load_autoencoder
from .fit_decoder import fit_decoder
from .fit_dynamics import fit_dynamics, load_dynamics
from .fit_motion import fit_motion, load_motion
from .latents import ClipSource
from .metrics import luma
from .moved import move_recordings
from .recipe import Recipe, load_recipe
from .report import write_report

STAGES = ("collect", "autoencoder", "decoder", "motion", "dynamics", "evaluate")
SCENES = 12  # start scenes that a world carries
CANDIDATES = 8  # openings that are looked at for each of them


def train(
    name: str,
    *,
    stages: Sequence[str] = STAGES,
    folder: Path | None = None,
    minutes: float | None = None,
    threads: int | None = None,
) -> Path:
    """Run stages of the recipe `name`; returns the path of the trained world.

    Args:
        name: a recipe in configs/train, or a path to a `.toml` file.
        stages: which of `STAGES` to run; they run in the order of `STAGES`.
        folder: where everything lands, `runs/NAME` by default. Running again resumes there.
        minutes: overrides the recipe's training time of each stage that trains.
        threads: CPU threads for torch.

    Raises:
        ValueError: an unknown recipe or stage.
        FileNotFoundError: a stage needs what an earlier one leaves, and it is not there.
    """
    unknown = set(stages) - set(STAGES)
    if unknown:
        raise ValueError(f"unknown stage {sorted(unknown)}; known: {', '.join(STAGES)}")
    recipe = load_recipe(name)
    if minutes is not None:
        recipe = replace(
            recipe,
            autoencoder=replace(recipe.autoencoder, minutes=minutes),
            decoder=replace(recipe.decoder, minutes=minutes),
            dynamics=replace(recipe.dynamics, minutes=minutes),
            motion=replace(recipe.motion, minutes=minutes) if recipe.motion else None,
        )
    folder = folder or Path("runs") / recipe.spec.name
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if "collect" in stages:
        collect(recipe, folder / "data")
    if "autoencoder" in stages:
        fit_autoencoder(recipe, folder, device)
        encode_recordings(recipe, folder, device)
    if "decoder" in stages:
        fit_decoder(recipe, folder, device)
    if "motion" in stages and recipe.motion:
        fit_motion(recipe, folder, device)
    if "dynamics" in stages:
        if recipe.motion:
            move_recordings(recipe, folder, device)
        fit_dynamics(recipe, folder, device)
    path = folder / f"{recipe.spec.name}.safetensors"
    if "evaluate" in stages:
        save_world(path, assemble(recipe, folder), about(recipe, folder, {}))
        world = load_world(path)  # what is measured is what would ship
        # A recipe in steps is a rehearsal of seconds, and its evaluation is one too.
        metrics = evaluate(name, folder=folder, world=world, quick=recipe.dynamics.steps > 0)
        save_world(path, assemble(recipe, folder), about(recipe, folder, metrics))
        write_report(recipe, folder, world, folder / "report")
        (folder / "report" / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return path


def assemble(recipe: Recipe, folder: Path, *, dtype: torch.dtype = torch.float32) -> DiTWorld:
    """The world that the checkpoints in `folder` make, with its start scenes."""
    r = recipe.dynamics
    autoencoder = load_autoencoder(recipe, folder, torch.device("cpu"))
    dream = DreamConfig(r.sigmas, r.context_sigma, r.window, r.sink, r.azimuth)
    keyframes = ClipSource(recipe, folder, "train").keyframes
    motion = load_motion(recipe, folder) if recipe.motion else None
    dit = load_dynamics(recipe, folder)
    world = DiTWorld(recipe.spec, dit, autoencoder, dream, keyframes=keyframes, motion=motion, dtype=dtype)
    world.scenes = start_scenes(world, Clips.open(folder / "data" / "train"))
    return world


def start_scenes(world: DiTWorld, clips: Clips) -> tuple[StartScene, ...]:
    """Openings of episodes, as many frames as the window holds, spread over the recordings.

    Of the openings, those with the strongest contrast: who starts with the nose at a wall sees nothing of the world.
    """
    frames = world.config.window
    begins = np.flatnonzero(np.diff(clips.episodes, prepend=-1))
    begins = begins[np.isin(begins, clips.windows(frames))]
    some = spread(begins, CANDIDATES * SCENES)
    contrast = luma(clips.take(some + frames - 1)).std((1, 2))
    chosen = some[np.sort(np.argsort(-contrast)[:SCENES])]
    scenes = []
    for at in chosen:
        span = np.arange(at, at + frames)
        scenes.append(StartScene(world.encode(clips.take(span)), torch.from_numpy(clips.leading[span])))
    return tuple(scenes)


def about(recipe: Recipe, folder: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """What goes into a world's `.json` beside its shapes."""
    checkpoints = {
        stage: torch.load(folder / f"{stage}.pt", map_location="cpu", weights_only=True)
        for stage in ("autoencoder", "decoder", "motion", "dynamics")
        if (folder / f"{stage}.pt").exists()
    }
    return {
        "metrics": metrics,
        "recipe": {"name": recipe.spec.name, "sha256": recipe.digest},
        "trained": {
            stage: {"steps": int(c["done"]), "minutes": round(float(c["spent_s"]) / 60.0, 1)}
            for stage, c in checkpoints.items()
        },
        "data": {
            "simulator": recipe.data.simulator,
            "seed": recipe.data.seed,
            "frames": len(Clips.open(folder / "data" / "train")),
            "provenance": "recorded by this recipe's collect stage; no other data",
        },
        "software": {"torch": torch.__version__, "python": platform.python_version()},
        "notices": list(recipe.notices),
        "licence": "Apache-2.0",
    }
