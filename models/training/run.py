"""`worldloom train NAME`: the stages of a recipe in order, each resumable and each re-runnable alone.

collect -> autoencoder -> decoder -> motion -> dynamics -> detail -> evaluate; recordings of one's own take the place of
the first. Everything lands under one folder (default `runs/NAME`): recordings, checkpoints, the world
(`NAME.safetensors` + `.json`), a contact sheet and an MP4 of dream beside truth. Knows the order of the stages and what
each leaves behind; nothing about how any of them works.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..weights import load_world, save_world
from ..world import DiTWorld, DreamConfig
from .balance import kind_names, kinds, report_balance
from .clips import Clips
from .collect import collect
from .counts import Counts
from .evaluate import evaluate
from .fit_autoencoder import encode_recordings, fit_autoencoder, load_autoencoder
from .fit_decoder import fit_decoder
from .fit_detail import fit_detail, load_detail
from .fit_dynamics import fit_dynamics, load_dynamics
from .fit_low_noise import fit_low_noise, load_low_noise
from .fit_motion import fit_motion
from .fit_reach import fit_reach
from .fit_reader import fit_reader
from .fit_warp import fit_warp
from .latents import ClipSource
from .maze import record_maze
from .moved import move_recordings, outlook_of
from .own_recipe import derive_recipe
from .own_recordings import import_recordings
from .recipe import Recipe, is_recipe, load_recipe
from .report import write_report
from .start_scenes import start_scenes
from .touches import record_touches
from .warm import begin_from

STAGES = ("collect", "autoencoder", "decoder", "motion", "dynamics", "detail", "low_noise", "evaluate")


def train(
    name: str,
    *,
    stages: Sequence[str] = STAGES,
    folder: Path | None = None,
    data: Path | None = None,
    start: str | None = None,
    minutes: float | None = None,
    threads: int | None = None,
    counts: Counts | None = None,
) -> Path:
    """Run stages of the recipe `name`; returns the path of the trained world.

    Args:
        name: a recipe in configs/train, or a path to a `.toml` file.
        stages: which of `STAGES` to run; they run in the order of `STAGES`.
        folder: where everything lands, `runs/NAME` by default. Running again resumes there.
        data: recordings of one's own, instead of an engine's. Where no recipe is called `name`, one is derived from
            them, and lies in `folder` afterwards.
        start: a world to begin from, where `folder` has no checkpoint yet. Its autoencoder stays as it is, for all its
            other parts know its latents: the stages that train one are left out.
        minutes: overrides the recipe's training time of each stage that trains.
        threads: CPU threads for torch.
        counts: how much the last stage measures; by default what is worth publishing.

    Raises:
        ValueError: an unknown recipe or stage, or a world to begin from that does not fit.
        RuntimeError: `data` is a LeRobot dataset, and its tables cannot be read without another package.
        FileNotFoundError: a stage needs what an earlier one leaves, and it is not there.
    """
    unknown = set(stages) - set(STAGES)
    if unknown:
        raise ValueError(f"unknown stage {sorted(unknown)}; known: {', '.join(STAGES)}")
    if data is not None and not (is_recipe(name) or name.endswith(".toml")):
        name = derived(name, data, folder or Path("runs") / name)
    recipe = load_recipe(name)
    if minutes is not None:
        recipe = replace(
            recipe,
            autoencoder=replace(recipe.autoencoder, minutes=minutes),
            decoder=replace(recipe.decoder, minutes=minutes),
            dynamics=replace(recipe.dynamics, minutes=minutes),
            motion=replace(recipe.motion, minutes=minutes) if recipe.motion else None,
            hand=replace(recipe.hand, minutes=minutes) if recipe.hand else None,
            detail=replace(recipe.detail, minutes=minutes) if recipe.detail else None,
            low_noise=replace(recipe.low_noise, minutes=minutes) if recipe.low_noise else None,
        )
    folder = folder or Path("runs") / recipe.spec.name
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if data is not None:
        import_recordings(recipe, data, folder / "data")
        report_balance(recipe, folder / "data")
    elif "collect" in stages:
        collect(recipe, folder / "data")
        record_touches(recipe, folder / "data")
        record_maze(recipe, folder / "data")
    if start is not None:
        begin_from(start, recipe, folder)
        stages = [stage for stage in stages if stage not in ("autoencoder", "decoder")]
        encode_recordings(recipe, folder, device)
    if "autoencoder" in stages:
        fit_autoencoder(recipe, folder, device)
        encode_recordings(recipe, folder, device)
    if "decoder" in stages:
        fit_decoder(recipe, folder, device)
    if "motion" in stages and recipe.motion:
        fit_motion(recipe, folder, device)
    if "motion" in stages and recipe.hand:
        fit_reach(recipe, folder, device)
        fit_warp(recipe, folder, device)
        fit_reader(recipe, folder, device)
    if "dynamics" in stages:
        if recipe.moves:
            move_recordings(recipe, folder, device)
        fit_dynamics(recipe, folder, device)
    if "detail" in stages and recipe.detail:
        fit_detail(recipe, folder, device)
    if "low_noise" in stages and recipe.low_noise:
        if recipe.moves:
            move_recordings(recipe, folder, device)
        fit_low_noise(recipe, folder, device)
    path = folder / f"{recipe.spec.name}.safetensors"
    if "evaluate" in stages:
        save_world(path, assemble(recipe, folder), about(recipe, folder, {}))
        world = load_world(path)  # what is measured is what would ship
        # A recipe in steps is a rehearsal of seconds, and its evaluation is one too.
        metrics = evaluate(name, folder=folder, world=world, quick=recipe.dynamics.steps > 0, counts=counts)
        save_world(path, assemble(recipe, folder), about(recipe, folder, metrics))
        write_report(recipe, folder, world, folder / "report")
        (folder / "report" / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return path


def derived(name: str, data: Path, folder: Path) -> str:
    """The path of a recipe in `folder` that was derived from recordings, now or before.

    Raises:
        ValueError: the name cannot be one of a world, or nothing can be read off the recordings.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"expected a name of small letters, digits and hyphens, got {name!r}")
    path = folder / f"{name}.toml"
    if not path.exists():
        text = derive_recipe(name, data)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(path)


def assemble(recipe: Recipe, folder: Path, *, dtype: torch.dtype = torch.float32) -> DiTWorld:
    """The world that the checkpoints in `folder` make, with its start scenes."""
    r = recipe.dynamics
    autoencoder = load_autoencoder(recipe, folder, torch.device("cpu"))
    dream = DreamConfig(r.sigmas, r.context_sigma, r.window, r.sink, r.azimuth)
    keyframes = ClipSource(recipe, folder, "train").keyframes
    clips = Clips.open(folder / "data" / "train")
    outlook = outlook_of(recipe, folder, load_detail(recipe, folder)) if recipe.moves else None
    dit = load_dynamics(recipe, folder)
    low_noise = load_low_noise(recipe, folder, dit) if recipe.low_noise else None
    parts = (recipe.spec, dit, autoencoder, dream, (), keyframes, outlook, low_noise)
    world = DiTWorld(*parts, dtype=dtype)
    world.scenes = start_scenes(world, clips, kinds(recipe, clips), kind_names(recipe))
    return world


def about(recipe: Recipe, folder: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """What goes into a world's `.json` beside its shapes."""
    checkpoints = {
        stage: torch.load(folder / f"{stage}.pt", map_location="cpu", weights_only=True)
        for stage in ("autoencoder", "decoder", "motion", "reach", "warp", "dynamics", "detail", "low_noise")
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
            "provenance": (
                "imported from recordings that were there already"
                if recipe.data.simulator == "own"
                else "recorded by this recipe's collect stage; no other data"
            ),
        }
        | {key: list(names) for key, names in (("maps", recipe.data.maps), ("tasks", recipe.data.tasks)) if names},
        "software": {"torch": torch.__version__, "python": platform.python_version()},
        "notices": list(recipe.notices),
        "licence": "as of the recordings" if recipe.data.simulator == "own" else "Apache-2.0",
    }
