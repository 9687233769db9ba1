"""`worldloom eval NAME`: how good is a world, measured on recordings that it never saw. See docs/worlds.md.

Pictures, rollouts, control, consistency, endurance: on held-out episodes, batteries and scripts of the recipe, recorded
on demand. Measures what ships: weights and arithmetic as they stream. Knows which measurements there are, in which
order, what each needs and how long it took; the measures themselves are in the modules that it calls.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..catalog import DATA
from ..finer import in_steps, named_steps, steps_of
from ..weights import load_world
from ..world import DiTWorld
from .around import come_back, dream_played
from .blind import Length, open_blind
from .clips import Clips
from .counts import QUICK, Counts
from .directions import directions, walking
from .dream import context_frames
from .dreamed import LENGTH, Dreamed, dream_clips
from .endurance import Course, blind_course, long_dreams, longer_dreams, recorded_course
from .fidelity import FAR, controllability, far_rollouts, next_frames, rollouts
from .following import following
from .frechet import frechet
from .gripper import gripper_error
from .inverse import STACK, InverseConfig, open_inverse
from .missing import record_missing
from .page import write_page
from .probe import ProbeConfig, open_probe
from .recipe import Recipe, load_recipe
from .scripts import open_played, scripts_of
from .seams import seam_flicker
from .success import SuccessConfig, agreement, open_success
from .walls import walls


def evaluate(
    name: str,
    *,
    folder: Path | None = None,
    world: DiTWorld | None = None,
    quick: bool = False,
    counts: Counts | None = None,
    parts: Sequence[str] | None = None,
    report: Path | None = None,
) -> dict[str, Any]:
    """Measure a world; the result is plain data for JSON.

    Args:
        name: a recipe in configs/train, or a path to a `.toml` file; with `@N`, in N denoising steps.
        folder: where recordings lie or land, `runs/NAME` by default.
        world: what to measure; by default the weights that ship as NAME, or else those in `folder`.
        quick: measure little, in a few minutes.
        counts: how much to measure, instead of what `quick` chooses.
        parts: which of `PARTS` to measure, all by default; all figures of several runs together are those of one.
        report: a folder for one page of all parts, with pictures.

    Raises:
        ValueError: no such recipe or part, no weights, or a page of some parts; the message says what to do.
        RuntimeError: something must be recorded or measured and its package is not installed.
    """
    parts = list(PARTS) if parts is None else parts
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"expected parts of the evaluation ({', '.join(PARTS)}), got {', '.join(unknown)}")
    if report and set(parts) != set(PARTS):
        raise ValueError(
            f"expected all parts for a page, got {', '.join(parts)}; leave the choice of parts or the page out"
        )
    name, steps = named_steps(name)
    recipe = load_recipe(name)
    folder = folder or Path("runs") / recipe.spec.name
    counts = counts or (QUICK if quick else Counts())
    world = in_steps(world or open_world(recipe, folder), steps)
    if recipe.data.directions:
        record_missing(recipe, folder, counts)
    measured = Evaluation(recipe, folder, world, counts).run(parts)
    result: dict[str, Any] = _rounded(
        {"world": recipe.spec.name, "denoising_steps": steps_of(world)}
        | measured
        | {"counts": asdict(counts), "hardware": hardware(world), "recipe_sha256": recipe.digest}
    )
    if report:
        write_page(recipe, folder, world, result, report)
    return result


@dataclass
class Evaluation:
    """One world on the recordings of its recipe."""

    recipe: Recipe
    folder: Path
    world: DiTWorld
    counts: Counts
    seconds: dict[str, float] = field(default_factory=dict)  # what each part took
    absent: dict[str, str] = field(default_factory=dict)  # key -> why it was not measured

    def run(self, parts: Sequence[str]) -> dict[str, Any]:
        """These parts, in the order of all."""
        result: dict[str, Any] = {}
        for part in (part for part in PARTS if part in parts):
            Console(stderr=True).print(f"evaluate {self.recipe.spec.name}: {part}")
            began = time.monotonic()
            _merge(result, PARTS[part](self))
            self.seconds[part] = time.monotonic() - began
        return result | {
            "absent": self.absent,
            "holdout_frames": len(self.holdout),
            "seconds": self.seconds | {"total": sum(self.seconds.values())},
        }

    @cached_property
    def holdout(self) -> Clips:
        """Episodes that training never saw."""
        return Clips.open(self.folder / "data" / "holdout")

    @cached_property
    def dreamed(self) -> Dreamed:
        """Held-out clips, dreamed once for several measures."""
        return dream_clips(self.world, self.holdout, self.counts.rollouts, LENGTH, self.counts.batch)

    def far(self) -> dict[str, Any]:
        """Rollouts longer than the clips."""
        far = far_rollouts(self.world, self.holdout, self.counts)
        if far is None:
            self.absent[f"rollout_psnr.{FAR}"] = f"no held-out episode has the context and {FAR} frames more"
            return {}
        return {key: {str(FAR): value} for key, value in far.items()}

    def clips(self) -> dict[str, Any]:
        """What is read from dreamed clips: actions, Frechet distance, seams."""
        spec, counts, dreamed = self.recipe.spec, self.counts, self.dreamed
        config = InverseConfig(self.recipe.data.seed, counts.reader_frames, counts.reader_steps)
        inverse = open_inverse(self.folder / "inverse.pt", self._train(), spec.actions, config)
        features, read = inverse.read(dreamed.made)
        features_real, read_real = inverse.read(dreamed.real())
        features_other, _ = inverse.read(dreamed.between())
        middle = STACK // 2
        asked = dreamed.rows[:, middle : middle + read.shape[1]]
        result = following(asked, read, read_real, spec.actions)
        for key in ("key_macro_f1", "look_error_deg"):
            if key not in result:
                self.absent[key] = "no such action among these recordings"
        result |= frechet(features, features_real, features_other)
        return result | seam_flicker(dreamed, spec.chunk, self.world.config.window)

    def directions(self) -> dict[str, Any]:
        """What held actions do."""
        if not self.recipe.data.directions:
            self.absent["direction_accuracy"] = "recordings of one's own: no engine holds an action"
            return {}
        return directions(self.world, self.recipe, self.folder, self.counts)

    def places(self) -> dict[str, Any]:
        """What a world owes to the places that an engine knows."""
        scripts = scripts_of(self.recipe)
        result: dict[str, Any] = {}
        for name, key in (("around", "look_around"), ("back", "there_and_back")):
            if name in scripts:
                result |= come_back(self.world, open_played(self.folder, name, self.counts.places), key)
            else:
                self.absent[f"{key}_psnr"] = "the camera stands still"
        if "wall" in scripts:
            wall = open_played(self.folder, "wall", self.counts.places)
            result |= walls(self.world, wall, walking(self.recipe, self.folder, self.counts.starts))
        else:
            self.absent["wall_penetration"] = "no walls that this engine knows of"
        return result

    def task(self) -> dict[str, Any]:
        """What a robot's world owes to its task."""
        if "attempts" not in scripts_of(self.recipe):
            self.absent |= dict.fromkeys(("gripper_error_px", "success_precision", "success_recall"), "no arm, no task")
            return {}
        seed = self.recipe.data.seed
        probe = open_probe(self.folder / "probe.pt", self._train(), ProbeConfig(seed=seed))
        reader = open_success(self.folder / "success.pt", self._train(), SuccessConfig(seed, self.counts.task_frames))
        played = open_played(self.folder, "attempts", self.counts.attempts)
        last = played.span[:, -1]
        made = dream_played(self.world, played)[:, -1]
        result = gripper_error(self.dreamed, probe)
        ended = made, played.clips.take(last), played.clips.poses[last]
        return result | agreement(reader, *ended, self.recipe.data.tasks)

    def course(self, length: Length) -> Course:
        """Where dreams go that are that long."""
        blind = open_blind(self.folder / "data", length)
        if blind:
            return blind_course(blind, length)
        return recorded_course(self.holdout, length, context_frames(self.world))

    def _train(self) -> Clips:
        return Clips.open(self.folder / "data" / "train")


PARTS: dict[str, Callable[[Evaluation], dict[str, Any]]] = {
    "pictures": lambda e: next_frames(e.world, e.holdout, e.counts),
    "dreams": lambda e: rollouts(e.dreamed),
    "far": Evaluation.far,
    "control": lambda e: controllability(e.world, e.dreamed, e.counts.batch),
    "clips": Evaluation.clips,
    "directions": Evaluation.directions,
    "places": Evaluation.places,
    "task": Evaluation.task,
    "drift": lambda e: long_dreams(e.world, e.course(e.counts.long), e.recipe),
    "drift_10000": lambda e: longer_dreams(e.world, e.course(e.counts.longer), e.recipe),
}
"""What is measured, in order; docs/worlds.md says what each costs."""


def open_world(recipe: Recipe, folder: Path) -> DiTWorld:
    """The shipped world of that name, or else the one that a training left in the folder.

    Raises:
        ValueError: there is neither.
    """
    name = f"{recipe.spec.name}.safetensors"
    places = [DATA / name, folder / name]
    for path in places:
        if path.exists():
            return load_world(path)
    raise ValueError(
        f"expected weights of {recipe.spec.name!r} at {places[0]} or {places[1]}, found none;"
        f" train them: worldloom train {recipe.spec.name}"
    )


def hardware(world: DiTWorld) -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    except OSError:  # not Linux: the plain name will do
        pass
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "device": str(world.device),
        "dtype": str(world.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _merge(result: dict[str, Any], part: dict[str, Any]) -> None:
    """Add a part; tables under the same key become one."""
    for key, value in part.items():
        result[key] = result[key] | value if key in result and isinstance(value, dict) else value


def _rounded(value: Any) -> Any:
    """Plain data with floats at four decimals."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
