"""A tiny random world of the family keeps the promises of worlds, is opened from a folder and served by the engine."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.catalog import open_world, weights_file
from worldloom.models.check import check_world
from worldloom.models.wan.config import Rollout
from worldloom.models.wan.open import WanFolder, open_wan
from worldloom.models.wan.sampler import levels
from worldloom.models.wan.world import WanWorld
from worldloom.streamer.embed import EmbeddedWorld, WorldBatch
from worldloom.streamer.worlds import Start

from .folders import HEIGHT, PROMPTS, WIDTH, folder
from .tiny import ROLL, with_sinks

CHUNK = 8  # pictures of a step
REST = np.zeros((1, CHUNK, 0), np.float32)


def opened(path: Path, roll: Rollout = ROLL) -> WanWorld:
    return open_wan(folder(path, roll), dtype=torch.float32)


@pytest.mark.parametrize(
    "roll",
    [
        pytest.param(ROLL, id="plain"),
        pytest.param(with_sinks(ROLL, 2, positions="beside"), id="sinks", marks=pytest.mark.slow),
        pytest.param(replace(ROLL, context=100.0, first=(1000, 750, 500)), id="noisy", marks=pytest.mark.slow),
    ],
)
def test_it_keeps_the_promises_of_worlds(tmp_path: Path, roll: Rollout) -> None:
    check_world(opened(tmp_path / "tiny", roll), chunks=2, tolerance=1)


def test_the_catalog_opens_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    world = open_world(str(path))
    assert isinstance(world, WanWorld)
    assert (world.spec.name, world.spec.chunk, world.spec.title) == ("tiny", CHUNK, "A tiny one")
    weights = weights_file(str(path))
    assert weights is not None
    assert weights.is_file()


def test_prompts(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    meadow, harbour = (world.step([world.start(seed=4, prompt=prompt)], REST) for prompt in PROMPTS)
    assert not np.array_equal(meadow, harbour)
    assert np.array_equal(world.step([world.start(seed=4)], REST), meadow)  # the seed chooses
    assert world.start(seed=0).said is world.start(seed=2).said
    with pytest.raises(ValueError, match="'a meadow'; 'a harbour at night'"):
        world.start(seed=0, prompt="a castle")


def test_a_stream_begins_with_one_picture_held(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    state = world.start(seed=1)
    first, second = world.step([state], REST)[0], world.step([state], REST)[0]
    assert all(np.array_equal(first[0], picture) for picture in first[1:4])
    assert not np.array_equal(first[3], first[4])
    assert not np.array_equal(second[0], second[1])


def test_a_stream_can_begin_with_a_picture(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(2)]
    one, other = (world.step([world.start(seed=1, image=image)], REST) for image in images)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0, 0], one[0, 1])  # no first frame any more
    with pytest.raises(ValueError, match="expected a uint8 picture"):
        world.start(seed=1, image=images[0][:-1])


def test_first_chunks_may_take_other_steps_beside_later_ones(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny", replace(ROLL, first=(1000, 750, 250)))
    old, new = world.start(seed=1), world.start(seed=2)
    world.step([old], REST)
    both = world.step([new, old], np.concatenate([REST, REST]))
    young, fresh = world.start(seed=1), world.start(seed=2)
    world.step([young], REST)
    alone = np.concatenate([world.step([fresh], REST), world.step([young], REST)])
    assert np.abs(both.astype(int) - alone).max() <= 1
    assert [len(levels(world.roll, first=first)) for first in (True, False)] == [3, 2]


@dataclass
class Stream:
    seed: int
    frame: int


@torch.inference_mode()
def test_latents_are_the_samplers_and_memory_is_finished_chunks(tmp_path: Path) -> None:
    """A stream by hand: the same levels and noise, a memory of what was finished, and nothing else."""
    from worldloom.models.noise import noise_of
    from worldloom.models.wan.memory import memory_of

    world = opened(tmp_path / "tiny")
    state, cache = world.start(seed=9), world.start(seed=9).cache
    texts, rope = [state.said.keys], world._rope
    for frame in (0, 2, 4, 6):
        film, memory = torch.zeros(0), memory_of([cache], rope, "absolute")
        for k, level in enumerate(levels(ROLL)):
            fresh = noise_of([Stream(9, frame)], world._latent, k)
            x = fresh if k == 0 else (1 - level.sigma) * film + level.sigma * fresh
            film = x - level.sigma * world.dit(x, torch.full((1, 2), level.t), texts, memory)
        world.dit.commit(film, torch.zeros(1, 2), texts, memory_of([cache], rope, "absolute"))
        cache.advance([0.0, 0.0])
        world.step([state], REST)
        torch.testing.assert_close(state.cache.keys, cache.keys, rtol=0, atol=1e-5)
        torch.testing.assert_close(state.cache.values, cache.values, rtol=0, atol=1e-5)


def test_forks_share_and_release_frees(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    state = world.start(seed=1)
    world.step([state], REST)
    one = world.footprint([state])
    forks = [world.fork(state) for _ in range(3)]
    assert world.footprint([state, *forks]) == one
    world.release(state)
    for fork in forks:
        world.release(fork)
    said = state.said.keys.keys.nbytes + state.said.keys.values.nbytes + state.said.encoded.nbytes
    assert world.footprint([state, *forks]) == said  # which is the world's


def test_it_runs_on_the_engine(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    with EmbeddedWorld(world) as embedded:
        embedded.restart(seed=3)
        shown = [embedded.step(REST[0]) for _ in range(3)]
    state = world.start(seed=3)
    want = [world.step([state], REST)[0] for _ in range(3)]
    assert all(np.array_equal(a, b) for a, b in zip(shown, want, strict=True))


def test_batches_of_streams(tmp_path: Path) -> None:
    with WorldBatch(opened(tmp_path / "tiny"), 2) as worlds:
        worlds.start({k: Start(seed=k, prompt=PROMPTS[k]) for k in range(2)})
        chunk = worlds.step(np.concatenate([REST, REST]))
        assert chunk.frames.shape == (2, CHUNK, HEIGHT, WIDTH, 3)


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    about = json.loads((path / "wan.json").read_text())
    faults = {
        "format": about | {"format": 2},
        "unexpected keyword": about | {"colour": "red"},
        "falling timesteps": about | {"rollout": about["rollout"] | {"steps": [250, 1000]}},
        "encoder of prompts": about | {"prompts": ""},
        "nothing is there": about | {"network": "elsewhere.safetensors"},
        "multiples of 8": about | {"height": 12},
        r"blocks.0-2.ffn.0.weight: expected \(44": about | {"shape": about["shape"] | {"ffn": 44}},
        "not the weights of such an autoencoder": about | {"vae": about["vae"] | {"width": 8}},
    }
    for told, table in faults.items():
        (path / "wan.json").write_text(json.dumps(table))
        with pytest.raises(ValueError, match=told):
            open_world(str(path))
    (path / "wan.json").write_text("{")
    with pytest.raises(ValueError, match="description of a Wan world"):
        WanFolder.read(path)
    (path / "wan.json").write_text(json.dumps(about))
    assert open_world(str(path)).spec.height == HEIGHT
