"""DiTWorld keeps the promises of a world, exactly or within float32 rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.models.autoencoder import to_pictures
from worldloom.models.check import check_world, random_actions
from worldloom.models.state import told_of
from worldloom.models.world import DiTWorld

from .tiny import tiny_world

MORE = [(1, 0, ""), (1, 1, ""), (3, 0, ""), (3, 3, ""), (1, 0, "turn"), (1, 1, "turn"), (3, 0, "turn")]


@pytest.mark.parametrize(
    ("chunk", "sink", "azimuth"),
    [(3, 3, "turn"), *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)],
)
def test_keeps_every_promise(chunk: int, sink: int, azimuth: str) -> None:
    check_world(tiny_world(chunk, sink, azimuth), tolerance=1)  # chunks: four times what it remembers


@pytest.mark.parametrize("chunk", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_world_that_recalls_keeps_every_promise(chunk: int) -> None:
    check_world(tiny_world(chunk, keyframes=5), tolerance=1)


@pytest.mark.parametrize("keyframes", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_a_world_that_moves_its_pictures_keeps_every_promise(keyframes: int) -> None:
    check_world(tiny_world(azimuth="turn", keyframes=keyframes, moves=True), tolerance=1)


def test_it_is_a_world_where_the_floorplan_is_known() -> None:
    check_world(tiny_world(azimuth="turn", moves=True, planned=True), tolerance=1)


def test_a_world_with_a_choice_of_denoising_steps_keeps_every_promise() -> None:
    check_world(tiny_world(steps=(1, 2)), chunks=3, tolerance=1)


def test_fewer_denoising_steps_are_fewer_passes_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    world = tiny_world(steps=(1, 2))
    state, twin = world.start(seed=1), world.start(seed=1)
    rows = random_actions(world.spec, 1)
    levels: list[float] = []
    forward = world.dit.forward

    def watched(x: torch.Tensor, past: torch.Tensor, sigma: torch.Tensor, *rest: object, **more: object) -> object:
        levels.append(float(sigma[0, -1]))  # of the new chunk; the one before may be beside it
        return forward(x, past, sigma, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.dit, "forward", watched)
    one, two = world.step([state], rows, steps=1), world.step([twin], rows)
    assert levels == [1.0, 1.0, 0.5]
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("chunk", [1, 3])
def test_remembering_beside_the_next_chunk_equals_a_pass_of_its_own(chunk: int, moves: bool) -> None:
    if moves and chunk > 1:
        pytest.skip("worlds that move their pictures make one frame at a time")
    world = tiny_world(chunk, azimuth="turn", moves=moves)
    beside, apart = world.start(seed=1), world.start(seed=1)
    for k in range(6):  # beyond the window, where the new chunk takes the oldest one's slot
        rows = random_actions(world.spec, k)
        with torch.inference_mode():
            world._remember([apart])
        assert beside.pending
        assert not apart.pending
        world.step([beside], rows)
        world.step([apart], rows)
        torch.testing.assert_close(beside.past, apart.past, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(beside.cache.keys, apart.cache.keys, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [(0, 2), (2, 1), (1, 3)])
def test_a_range_of_denoising_steps_fits_the_sampler(steps: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="denoising steps"):
        tiny_world(steps=steps)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_world_without_a_choice_of_denoising_steps_refuses_one(steps: int) -> None:
    world = tiny_world()
    with pytest.raises(ValueError, match="denoising steps"):
        world.step([world.start(seed=0)], random_actions(world.spec, 0), steps=steps)


def test_every_frame_is_shown_the_keyframe_nearest_to_the_last() -> None:
    world = tiny_world(keyframes=5)
    state = world.start(seed=0)
    assert world.keyframes
    for k in range(3):
        past = world._given([state], torch.zeros(1, 1, 3))[0].shown[0, 0]
        apart = (world.keyframes.frames.float() - state.past[0]).square().sum((1, 2, 3))
        assert torch.equal(past[:2], state.past)
        assert torch.equal(past[2], world.keyframes.frames[apart.argmin()].float())
        world.step([state], random_actions(world.spec, k))


def test_keyframes_come_with_a_network_that_recalls() -> None:
    world = tiny_world(keyframes=5)
    with pytest.raises(ValueError, match="keyframes if and only if"):
        DiTWorld(world.spec, world.dit, world.autoencoder, world.config, world.scenes)


def test_moved_frames_come_with_a_network_that_is_shown_them() -> None:
    world = tiny_world(moves=True)
    with pytest.raises(ValueError, match="outlook if and only if"):
        DiTWorld(world.spec, world.dit, world.autoencoder, world.config, world.scenes)


def test_a_world_of_several_frames_a_chunk_moves_nothing() -> None:
    with pytest.raises(ValueError, match="one frame at a time"):
        tiny_world(chunk=3, moves=True)


@torch.inference_mode()
def test_the_network_is_shown_the_last_picture_as_the_camera_moves_it() -> None:
    world = tiny_world(azimuth="turn", moves=True)
    assert world.outlook
    state, rows = world.start(seed=0), random_actions(world.spec, 0)
    for _ in range(3):
        assert state.view
        assert state.view.clock == state.frame
        given, _ = world._given([state], torch.from_numpy(rows))
        want = world.outlook.ahead([state.view], given.told[:, 0])
        assert torch.equal(given.shown[:, 0, 0], world.autoencoder.latents(want.filled))
        assert torch.equal(given.shown[0, 0, 1], state.past[0])
        frame = world.step([state], rows)[0, 0]
        assert torch.equal(state.view.way.tensors()["momentum"], want.ways[0].tensors()["momentum"])
        assert torch.equal(state.view.way.tensors()["solid"], want.ways[0].tensors()["solid"])
        assert np.array_equal(to_pictures(state.view.picture), frame)


def test_a_scene_entered_in_the_middle_of_a_walk_goes_on_with_its_momentum() -> None:
    world = tiny_world(moves=True)
    scene = world.scenes[0]
    momenta = torch.arange(6.0).view(3, 2) / 10.0
    state = world.begin(replace(scene, momenta=momenta, clock=7), 0)
    assert state.view
    assert torch.equal(state.view.way.tensors()["momentum"], momenta[-1])
    assert state.view.clock == 10


@pytest.mark.parametrize(
    ("chunk", "sink", "keyframes", "outlook"),
    [
        (3, 3, 0, ""),
        (1, 0, 5, "camera"),
        (1, 0, 5, "hand"),
        pytest.param(1, 0, 0, "", marks=pytest.mark.slow),
        pytest.param(1, 0, 5, "", marks=pytest.mark.slow),
    ],
)
def test_batched_equals_alone(chunk: int, sink: int, keyframes: int, outlook: str) -> None:
    """Streams of different ages, seeds and actions in one batch; latents within rounding."""
    close = 1e-4 if outlook else 1e-5  # where pictures come back as latents, rounding grows
    azimuth = "" if outlook == "hand" else "turn"
    world = tiny_world(chunk, sink, azimuth, keyframes=keyframes, moves=outlook == "camera", hand=outlook == "hand")
    together = [world.start(seed=k) for k in range(3)]
    world.step(together[:1], random_actions(world.spec, 99))  # the first is older than the others
    alone = [world.fork(state) for state in together]
    for k in range(5):  # the window is two
        rows = [random_actions(world.spec, 10 * k + b) for b in range(3)]
        world.step(together, np.concatenate(rows))
        for state, actions in zip(alone, rows, strict=True):
            world.step([state], actions)
    for a, b in zip(together, alone, strict=True):
        assert (a.frame, a.yaw) == (b.frame, b.yaw)
        torch.testing.assert_close(a.past, b.past, atol=close, rtol=close)
        torch.testing.assert_close(a.cache.keys, b.cache.keys, atol=close, rtol=close)
        if a.view and b.view:
            # Resampled at every frame, which makes much of little: a quarter of a grey level.
            torch.testing.assert_close(a.view.picture, b.view.picture, atol=2e-3, rtol=0.0)
            place = "hand" if outlook == "hand" else "momentum"
            torch.testing.assert_close(a.view.way.tensors()[place], b.view.way.tensors()[place], atol=close, rtol=close)
        assert bool(a.view) == bool(b.view) == bool(outlook)


def test_a_frame_is_told_the_latest_actions_newest_first() -> None:
    world = tiny_world(chunk=3)
    state = world.start(seed=0)
    rows = random_actions(world.spec, 1)
    scale = np.maximum(np.abs(world.spec.actions.low), np.abs(world.spec.actions.high))
    told = told_of([state], torch.from_numpy(rows / scale))
    assert told.shape == (1, 3, 2, rows.shape[2])
    np.testing.assert_allclose(told[0, :, 0], rows[0] / scale, rtol=1e-6)
    np.testing.assert_allclose(told[0, 1:, 1], rows[0, :-1] / scale, rtol=1e-6)
    assert torch.equal(told[0, 0, 1], state.recent[0])
    world.step([state], rows)
    assert torch.equal(state.recent, told[0, -1])


@pytest.mark.parametrize("moves", [False, True])
def test_save_and_load_continue_bit_identically(moves: bool) -> None:
    world = tiny_world(1, 1, "turn", moves=moves)
    state = world.start(seed=3)
    for k in range(5):
        world.step([state], random_actions(world.spec, k))
    again = world.load(world.save(state))
    for k in range(5, 9):
        a, b = (world.step([s], random_actions(world.spec, k)) for s in (state, again))
        assert a.tobytes() == b.tobytes()
    assert torch.equal(state.cache.keys, again.cache.keys)


def test_save_of_another_shape_is_refused() -> None:
    blob = tiny_world(3).save(tiny_world(3).start(seed=1))
    with pytest.raises(ValueError, match="keys: expected"):
        tiny_world(1).load(blob)


def test_save_of_a_world_that_moves_nothing_is_refused_by_one_that_does() -> None:
    blob = tiny_world().save(tiny_world().start(seed=1))
    with pytest.raises(ValueError, match="momentum"):
        tiny_world(moves=True).load(blob)


def test_fork_shares_nothing() -> None:
    world = tiny_world(1, 1)
    parent = world.start(seed=3)
    before = parent.cache.keys.clone()
    child = world.fork(parent)
    world.step([child], random_actions(world.spec, 0))
    assert torch.equal(parent.cache.keys, before)
    assert parent.frame == child.frame - 1


def test_seeds_and_actions_matter() -> None:
    world = tiny_world()
    still = world.spec.actions.neutral(1)[None]
    frames = [world.step([world.start(seed=s)], still).tobytes() for s in (0, 2)]
    assert frames[0] != frames[1], "two seeds of one scene dream the same"
    moved = world.step([world.start(seed=0)], random_actions(world.spec, 1)).tobytes()
    assert moved != frames[0]


def test_release_frees_the_buffers() -> None:
    world = tiny_world()
    state = world.start(seed=0)
    assert state.cache.nbytes > 0
    world.release(state)
    assert state.cache.nbytes == 0


def test_out_of_range_actions_are_clipped_and_nan_is_refused() -> None:
    world = tiny_world()
    high = world.spec.actions.high[None, None]
    a, b = (world.step([world.start(seed=0)], rows) for rows in (high, 100.0 * high))
    assert a.tobytes() == b.tobytes()
    with pytest.raises(ValueError, match="finite"):
        world.step([world.start(seed=0)], np.full_like(high, np.nan))


def test_start_from_a_picture() -> None:
    world = tiny_world()
    picture = np.full((32, 48, 3), 90, np.uint8)
    assert world.start(seed=0, image=picture).frame == 4
    with pytest.raises(ValueError, match="expected a uint8 picture"):
        world.start(seed=0, image=picture[:16])
    bare = DiTWorld(world.spec, world.dit, world.autoencoder, world.config)
    with pytest.raises(ValueError, match="no start scenes"):
        bare.start(seed=0)


def test_chunks_stream_as_one_film() -> None:
    """Decoding frame by frame equals decoding the whole film: no frame of the autoencoder looks at another."""
    world = tiny_world()
    latents = torch.randn(1, 5, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = world._pictures(latents, None)
        streamed = torch.cat([world._pictures(latents[:, k : k + 1], None) for k in range(5)], 1)
    torch.testing.assert_close(whole, streamed, atol=1e-5, rtol=1e-5)
