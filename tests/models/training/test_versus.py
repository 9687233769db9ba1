from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch

from worldloom.models.autoencoder import Autoencoder
from worldloom.models.dit import CausalDiT
from worldloom.models.training.clips import Clips
from worldloom.models.training.fit_autoencoder import autoencoder_config
from worldloom.models.training.fit_dynamics import dit_config
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.report import STRIP
from worldloom.models.training.versus import CLIPS, Side, check, compare, open_side, swaps, write_versus
from worldloom.models.weights import save_world
from worldloom.models.world import DiTWorld, DreamConfig

from .oracle import Oracle


@pytest.fixture
def sides(toy_recipe: Recipe, recordings: Path) -> tuple[Side, Side]:
    """One that plays the recording on, one that stands still."""
    clips = Clips.open(recordings / "data" / "holdout")
    moving, still = (Oracle(toy_recipe.spec, clips, stride=stride, strict=stride == 1) for stride in (1, 0))
    return Side("moving", cast(DiTWorld, moving), None), Side("still", cast(DiTWorld, still), None)


def videos(page: str) -> list[bytes]:
    return [b64decode(text) for text in re.findall(r"data:video/mp4;base64,([A-Za-z0-9+/=]+)", page)]


@pytest.mark.slow
def test_the_key_says_which_side_moves_and_the_page_does_not(
    sides: tuple[Side, Side], recordings: Path, tmp_path: Path
) -> None:
    path = write_versus(sides, Clips.open(recordings / "data" / "holdout"), tmp_path / "ab", 6)
    key = json.loads((tmp_path / "ab" / "key.json").read_text())
    assert (key["a"], key["b"], len(key["left"])) == ("moving", "still", 6)
    page = path.read_text()
    assert "moving" not in page
    assert "still" not in page
    assert "http" not in page
    for k, video in enumerate(videos(page)):
        (tmp_path / "pair.mp4").write_bytes(video)
        with av.open(str(tmp_path / "pair.mp4")) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float)
        frames = frames[:, 2 * STRIP :]
        half = frames.shape[2] // 2
        changed = [np.abs(np.diff(part, axis=0)).mean() for part in (frames[:, :, :half], frames[:, :, half:])]
        assert key["left"][k] == ("a" if changed[0] > changed[1] else "b")
    assert len(videos(page)) == 6


def test_sides_are_shuffled_and_repeatable() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (64, 2, 2, 2, 3), dtype=np.uint8) for _ in range(2))
    drawn = swaps(a, b)
    assert drawn == swaps(a, b)
    assert 16 < sum(drawn) < 48
    b[0, 0, 0, 0, 0] ^= 1
    assert drawn != swaps(a, b)


def test_worlds_that_differ_in_actions_or_pictures_are_refused(sides: tuple[Side, Side]) -> None:
    one, other = sides
    check(one, other)
    for change in ({"width": 32}, {"actions": replace(one.world.spec.actions, buttons=(), keys={})}):
        odd = Side("odd", cast(DiTWorld, Oracle.__new__(Oracle)), None)
        odd.world.spec = replace(one.world.spec, **change)
        with pytest.raises(ValueError, match="same"):
            check(one, odd)


@pytest.mark.slow
def test_a_file_against_the_weights_of_a_run(toy_recipe: Recipe, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(recordings / "data")
    for seed, name in ((0, "toy-dream"), (1, "other")):
        torch.manual_seed(seed)
        dit, autoencoder = CausalDiT(dit_config(toy_recipe)), Autoencoder(autoencoder_config(toy_recipe))
        config = DreamConfig((1.0, 0.5, 0.0), 0.1, toy_recipe.dynamics.window, azimuth="turn")
        save_world(tmp_path / f"{name}.safetensors", DiTWorld(toy_recipe.spec, dit, autoencoder, config), {})
    page = compare("toy", str(tmp_path / "other.safetensors"), tmp_path / "ab", folder=tmp_path, clips=2)
    assert len(videos(page.read_text())) == 2
    key = json.loads((tmp_path / "ab" / "key.json").read_text())
    assert (key["a"], key["b"]) == ("toy", str(tmp_path / "other.safetensors"))


def test_what_cannot_be_opened_is_said(toy_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        open_side(str(tmp_path / "no.safetensors"), toy_recipe, tmp_path)
    with pytest.raises(ValueError, match="number from 1 after '@'"):
        compare("toy@few", "toy", tmp_path)
    assert CLIPS >= 8  # fewer and a sign test says nothing
