"""A tiny world that hears a keyboard and a mouse keeps the promises of worlds, from a folder to the engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.serving import ServerMaker
from worldloom.models.catalog import open_world
from worldloom.models.check import check_world, random_actions
from worldloom.models.kv_format import KVFormat
from worldloom.models.memory import FullMemory, chunk_mask
from worldloom.models.rope import rotary
from worldloom.models.wan import open as opening
from worldloom.models.wan.config import Rollout
from worldloom.models.wan.controls import Controls, FullFrames, frame_phases, rope_of_actions
from worldloom.models.wan.memory import memory_of
from worldloom.models.wan.need import Plan, need
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.shown import at, settled, shown_of
from worldloom.models.wan.state import WanState, places
from worldloom.models.wan.vae import VaeConfig
from worldloom.models.wan.world import WanWorld
from worldloom.streamer.embed import EmbeddedWorld

from .folders import HEIGHT, VAE, WIDTH, played
from .test_vae import tiny_vae
from .tiny import ACTIONS, PLAYED, ROLL, with_sinks

CHUNK = 8
NEUTRAL = np.zeros((1, CHUNK, 4), np.float32)
SINKS = with_sinks(ROLL, 2, positions="beside", context=100.0)


def opened(path: Path, roll: Rollout = ROLL) -> WanWorld:
    return open_wan(played(path, roll), dtype=torch.float32)


@pytest.mark.parametrize(
    "roll", [pytest.param(ROLL, id="plain"), pytest.param(SINKS, id="sinks", marks=pytest.mark.slow)]
)
def test_it_keeps_the_promises_of_worlds(tmp_path: Path, roll: Rollout) -> None:
    check_world(opened(tmp_path / "tiny", roll), chunks=2, tolerance=1)


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    spec = open_world(str(played(tmp_path / "tiny"))).spec
    assert spec.actions.columns == ("forward", "left", "yaw", "pitch")
    assert (spec.prompts, spec.images) == (False, False)  # nothing there encodes another picture
    assert spec.help.startswith("W: forward, A: left")


def test_every_stream_begins_with_a_picture(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    one, other = (world.start(seed=seed) for seed in (0, 1))
    assert one.shown is not None
    assert other.shown is not None
    assert not torch.equal(one.shown, other.shown)
    assert world.start(seed=2).shown is one.shown  # and those of the same one share it
    assert world.start(seed=2).said is one.said
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(ValueError, match="takes no picture"):
        world.start(seed=0, image=image)
    with pytest.raises(ValueError, match="takes no prompt"):
        world.start(seed=0, prompt="a castle")
    with pytest.raises(ValueError, match="takes no prompt"):
        world.say(one, "a castle")


DEEPER = VaeConfig(width=4, channels=4, blocks=1, mean=VAE.mean, std=VAE.std)


@pytest.mark.parametrize("config", [VAE, pytest.param(DEEPER, marks=pytest.mark.slow)], ids=["flat", "deep"])
@torch.inference_mode()
def test_what_is_shown_stands_still_when_it_says_so(config: VaeConfig) -> None:
    vae, size = tiny_vae(config), 2 * config.stride
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    shown, still = shown_of(vae, picture), settled(config)
    longer, _ = vae.encode(torch.cat([picture, torch.zeros(4 * (still + 2), 3, size, size)]))
    torch.testing.assert_close(at(shown, range(len(longer)))[:, 4:], longer, rtol=0, atol=1e-6)
    assert (longer[still - 1] - longer[still]).abs().max() > 0
    assert at(shown, [0, 1, 99])[:, :4].mean((1, 2, 3)).tolist() == [1.0, 0.0, 0.0]
    assert settled(VaeConfig()) == 29


def aged(world: WanWorld, chunks: int) -> WanState:
    state = world.start(seed=5)
    for k in range(chunks):
        world.step([state], random_actions(world.spec, k))
    return state


@pytest.mark.parametrize(("roll", "chunks"), [(ROLL, 6), (ROLL, 2), pytest.param(SINKS, 6, marks=pytest.mark.slow)])
@torch.inference_mode()
def test_a_memory_made_anew_equals_a_masked_look_at_what_is_remembered(
    tmp_path: Path, roll: Rollout, chunks: int
) -> None:
    world = opened(tmp_path / "tiny", replace(roll, context=0.0))
    state = world.load(world.park(aged(world, chunks)))
    assert state.shown is not None
    numbers = [place.frame // 2 for place in places(state)]
    told = torch.cat(state.told)[None]
    heard, _ = world.steering.hear(state.carried, torch.from_numpy(random_actions(world.spec, 99)[0]), False)
    x = torch.randn(1, *world._latent, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([*numbers, chunks])
    frames = torch.tensor([2.0 * n + f for n in ids.tolist() for f in range(2)], dtype=torch.float64)
    stand = frames.clone()
    if roll.positions == "beside":
        stand[: roll.sink] += max(0, 2 * chunks - roll.window - roll.sink)
    film = torch.cat([torch.cat(state.history)[None], x], 1)
    film = torch.cat([film, at(state.shown, [int(f) for f in frames])[None]], 2)
    tokens, sinks, window = world._cache.tokens, roll.sink // 2, roll.window // 2
    lines = [ids.repeat_interleave(2 * n) for n in (tokens, 1)]
    phases = frame_phases(rope_of_actions(ACTIONS), frames)
    hands = FullFrames(phases, chunk_mask(lines[1], lines[1], window, 0))
    memory = FullMemory(rotary(world._rope, stand, stand * 0.0), chunk_mask(lines[0], lines[0], window, sinks))
    times = torch.tensor([[0.0] * 2 * len(numbers) + [700.0] * 2])
    controls = Controls(torch.cat([told, heard[None]], 1), hands, hands)
    want = world.dit(film, times, [state.said.keys], memory, controls)[:, -2:]
    cached = memory_of([state.cache], world._rope, world.roll.positions)
    now = torch.cat([x, at(state.shown, [2 * chunks, 2 * chunks + 1])[None]], 2)
    steered = world.steering.controls(heard[None], [state.hands])
    got = world.dit(now, times[:, -2:], [state.said.keys], cached, steered)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def test_parked_streams_come_back(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    for chunks in (0, 2):
        state = aged(world, chunks)
        back = world.load(world.park(state))
        assert back.frame == back.cache.frame == back.hands[0].frame == 2 * chunks
        actions = random_actions(world.spec, 9)
        shown = [world.step([s], actions).astype(int) for s in (state, back)]
        assert np.abs(shown[0] - shown[1]).max() <= 1


def test_forks_share_and_release_frees(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")
    state = aged(world, 3)
    one = world.footprint([state])
    forks = [world.fork(state) for _ in range(3)]
    assert world.footprint([state, *forks]) == one
    for each in (state, *forks):
        world.release(each)
    assert sum(cache.nbytes for each in (state, *forks) for cache in (each.cache, *each.hands)) == 0


@pytest.mark.parametrize("kv", ["native", pytest.param("int8", marks=pytest.mark.slow)])
def test_memory_is_foretold(tmp_path: Path, kv: KVFormat) -> None:
    path = played(tmp_path / "tiny")
    world, about = open_wan(path, dtype=torch.float32, kv=kv), opening.WanFolder.read(path)
    wanted = need(Plan(PLAYED, about.rollout, about.vae, about.height, about.width, torch.float32, kv=kv))
    state = aged(world, 1)
    assert sum(p.nbytes for p in world.dit.parameters()) == wanted.network
    assert state.cache.nbytes + sum(cache.nbytes for cache in state.hands) == wanted.memory
    assert state.shown is not None
    assert state.said.keys.keys.nbytes + state.said.keys.values.nbytes + state.shown.nbytes == wanted.prompt


def test_it_runs_on_the_engine_and_is_steered(tmp_path: Path) -> None:
    world = opened(tmp_path / "tiny")

    def shown(actions: NDArray[np.float32]) -> NDArray[np.uint8]:
        with EmbeddedWorld(world) as embedded:
            embedded.restart(seed=3)
            return np.concatenate([embedded.step(actions[0]) for _ in range(2)])

    left = NEUTRAL.copy()
    left[..., 1] = 1.0
    still, moved = shown(NEUTRAL), shown(left)
    assert np.array_equal(still, shown(NEUTRAL))
    assert not np.array_equal(still, moved)


@pytest.mark.slow  # a server in a process of its own
async def test_it_is_steered_through_the_service(tmp_path: Path, start_server: ServerMaker) -> None:
    """Keys held and the mouse moved by a client, as in any built-in world."""
    from worldloom.client.connection import connect

    server = start_server("--world", str(played(tmp_path / "tiny")))
    server.wait_until_ready()
    shown = []
    for hold, yaw in ((False, 0.0), (True, 0.0), (False, 4.0)):
        async with connect(server.url, mode="lockstep", seed=1) as world:
            assert world.info.actions.buttons == ("forward", "left")
            await world.step()
            if hold:
                world.press("KeyA")
            if yaw:
                world.look(yaw, 0.0)
            shown.append(np.stack([picture.pixels for picture in await world.step()]))
    assert all(not np.array_equal(shown[0], other) for other in shown[1:])


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    path = played(tmp_path / "tiny")
    about = json.loads((path / "wan.json").read_text())
    faults = {
        "columns of the keyboard": about | {"hands": None},
        "a file of first pictures, for": about | {"pictures": ""},
        "file of first pictures:": about | {"pictures": "elsewhere.safetensors"},
        "at most 3 keyboard columns": about | {"hands": about["hands"] | {"columns": ["a", "b", "c", "d"]}},
        "unexpected keyword": about | {"shape": about["shape"] | {"actions": {"feet": 2}}},
    }
    for told, table in faults.items():
        (path / "wan.json").write_text(json.dumps(table))
        with pytest.raises(ValueError, match=told):
            open_world(str(path))


@pytest.mark.slow  # importing transformers takes seconds
def test_an_eye_that_is_missing(tmp_path: Path) -> None:
    path = played(tmp_path / "tiny", clip=True)
    with pytest.raises(ValueError, match="expected CLIP's encoder"):
        open_world(str(path))
