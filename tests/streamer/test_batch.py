"""Streams by the batch: what the world makes, saved and forked, and an end that leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_world
from worldloom.models.catalog import open_world, shipped_worlds
from worldloom.models.check import random_actions
from worldloom.models.spec import Actions, Frames, Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.embed import EmbeddedWorld, WorldBatch, drift
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import BadAction, ModelFault, SessionClosed, Unsupported
from worldloom.streamer.worlds import Start

needs_arm = pytest.mark.skipif("arm" not in shipped_worlds(), reason="arm is not installed")


class Watched(ToyWorld):
    """Counts states and batches; refuses one seed, and breaks on a lever pulled all the way back."""

    def __init__(self) -> None:
        super().__init__(chunk=2)
        self.alive = 0
        self.batches: list[int] = []

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        if seed == 13:
            raise ValueError("not this one")
        self.alive += 1
        return super().start(seed=seed, prompt=prompt, image=image)

    def fork(self, state: ToyState) -> ToyState:
        self.alive += 1
        return super().fork(state)

    def load(self, blob: bytes) -> ToyState:
        state = super().load(blob)
        self.alive += 1
        return state

    def release(self, state: ToyState) -> None:
        self.alive -= not state.released
        super().release(state)

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        self.batches.append(len(states))
        if actions[..., 5].min() <= -1:
            raise RuntimeError("snap")
        return super().step(states, actions)


def rows(*seeds: int) -> Actions:
    rows = np.concatenate([random_actions(ToyWorld(chunk=2).spec, seed) for seed in seeds])
    return np.asarray(rows * 0.9, np.float32)


def test_a_batch_makes_what_each_stream_makes_on_the_engine_of_browsers() -> None:
    world = Watched()
    with WorldBatch(world, 3) as batch:
        batch.start({k: Start(k) for k in range(3)})
        made = [batch.step(rows(k, k + 10, k + 20)).frames for k in range(3)]
    assert world.batches == [3, 3, 3]
    for stream in range(3):
        with EmbeddedWorld(ToyWorld(chunk=2)) as alone:
            alone.restart(seed=stream)
            for k in range(3):
                np.testing.assert_array_equal(alone.step(rows(k + 10 * stream)[0]), made[k][stream])


@needs_arm
@pytest.mark.parametrize("deterministic", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_trained_world_gives_the_same_bytes_alone_and_in_a_batch(deterministic: bool) -> None:
    world = open_world("arm")
    if not deterministic and world.dtype != torch.bfloat16:  # type: ignore[attr-defined]
        pytest.skip("batches of float32 are rounded otherwise; that is what `deterministic` is for")
    plan = [np.concatenate([random_actions(world.spec, 10 * k + b) for b in range(3)]) for k in range(2)]
    with WorldBatch(world, 3, deterministic=deterministic) as batch, WorldBatch(world, 1) as alone:
        batch.start({k: Start(k) for k in range(3)})
        together = [batch.step(part).frames for part in plan]
        for stream in range(3):
            alone.start({0: Start(stream)})
            for part, frames in zip(plan, together, strict=True):
                assert alone.step(part[stream : stream + 1]).frames.tobytes() == frames[stream].tobytes()


def test_deterministic_steps_one_by_one() -> None:
    world = Watched()
    with WorldBatch(world, 3, deterministic=True) as batch:
        batch.start({k: Start(k) for k in range(3)})
        batch.step(rows(1, 2, 3))
    assert world.batches == [1, 1, 1]


def test_some_streams_step_while_others_wait() -> None:
    with WorldBatch(ToyWorld(chunk=2), 3) as batch, WorldBatch(ToyWorld(chunk=2), 3) as other:
        for one in (batch, other):
            one.start({k: Start(k) for k in range(3)})
        first = batch.step(rows(1, 3), [0, 2]).frames
        both = other.step(rows(1, 2, 3)).frames
        np.testing.assert_array_equal(first, both[[0, 2]])
        np.testing.assert_array_equal(batch.step(rows(2), [1]).frames, both[[1]])


def test_a_fork_shares_nothing_and_the_engine_outlives_its_first_batch() -> None:
    before = set(threading.enumerate())
    batch = WorldBatch(ToyWorld(chunk=2), 2)
    batch.start({0: Start(5), 1: Start(6)})
    batch.step(rows(1, 2))
    fork = batch.fork(2)
    ahead = batch.step(rows(3, 4)).frames
    batch.close()
    dreams = fork.step(rows(3, 7, 8, 4)).frames
    np.testing.assert_array_equal(dreams[[0, 3]], ahead)
    assert not np.array_equal(dreams[0], dreams[1])
    fork.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "worldloom-engine"]


def test_what_was_saved_goes_on_in_another_engine() -> None:
    with WorldBatch(ToyWorld(chunk=2), 2) as batch, WorldBatch(ToyWorld(chunk=2), 1) as other:
        batch.start({0: Start(5), 1: Start(6)})
        batch.step(rows(1, 2))
        (saved,) = batch.save([1])
        other.start({0: Start(0, state=saved)})
        np.testing.assert_array_equal(other.step(rows(4)).frames[0], batch.step(rows(3, 4)).frames[1])


def test_every_state_is_freed_also_after_a_refusal_and_a_fault() -> None:
    world = Watched()
    with WorldBatch(world, 2) as batch:
        batch.start({0: Start(1), 1: Start(2)})
        with pytest.raises(Unsupported, match="not this one"):
            batch.start({0: Start(3), 1: Start(13)})
        assert world.alive == 2
        batch.step(rows(1, 2))  # the streams before live on
        wild = rows(1, 2)
        wild[1, 0, 5] = -1.0
        with pytest.raises(ModelFault):
            batch.step(wild)
        assert world.alive == 0
        with pytest.raises(SessionClosed, match="started"):
            batch.step(rows(1, 2))
        batch.start({0: Start(1), 1: Start(2)})
        fork = batch.fork(3)
        assert world.alive == 8
        fork.close()
        fork.close()
    assert world.alive == 0


def test_an_engine_that_was_lent_is_left_running() -> None:
    with Engine(ToyWorld()) as engine:
        with WorldBatch(engine, 1) as batch:
            batch.start({0: Start(1)})
        assert engine.alive
    with pytest.raises(SessionClosed):
        WorldBatch(engine, 1).start({0: Start(1)})


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 5)), np.zeros((1, 2, 6)), np.full((2, 2, 6), np.nan)])
def test_rows_of_another_shape_are_refused_and_the_streams_live_on(wrong: Actions) -> None:
    with WorldBatch(ToyWorld(chunk=2), 2) as batch:
        batch.start({0: Start(1), 1: Start(2)})
        with pytest.raises(BadAction):
            batch.step(wrong)
        batch.step(rows(1, 2))


@pytest.mark.parametrize(
    "start",
    [
        Start(1, prompt="a castle"),
        Start(1, frames=np.zeros((2, 96, 128, 3), np.uint8)),
        Start(1, state=b"nothing"),
    ],
)
def test_what_a_world_does_not_take_is_refused(start: Start) -> None:
    with WorldBatch("toy", 1) as batch, pytest.raises(Unsupported):
        batch.start({0: start})


def test_a_stream_begins_with_recorded_frames_and_the_actions_that_led_to_them() -> None:
    world = tiny_world()
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), np.uint8)
    still = np.zeros((3, 3), np.float32)
    moved = np.concatenate([random_actions(world.spec, k)[0] for k in range(3)])
    row = random_actions(world.spec, 9)
    with WorldBatch(world, 3, deterministic=True) as batch:  # this world is float32
        batch.start({k: Start(1, frames=frames, actions=a) for k, a in enumerate((still, None, moved))})
        a, b, c = batch.step(np.repeat(row, 3, 0)).frames
        assert a.tobytes() == b.tobytes()
        assert a.tobytes() != c.tobytes()
        for wrong in (
            Start(1, frames=frames[:, :16]),
            Start(1, frames=frames, actions=still[:2]),
            Start(1, frames=frames[:0]),
        ):
            with pytest.raises(Unsupported):
                batch.start({0: wrong})


def test_tensors_are_the_pictures_themselves() -> None:
    given: list[torch.Tensor] = []

    class Seen:
        """A world whose tensors are kept."""

        def __init__(self) -> None:
            self.inner = tiny_world()

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def step_tensors(self, states: Sequence[object], actions: Actions) -> torch.Tensor:
            given.append(self.inner.step_tensors(states, actions))  # type: ignore[arg-type]
            return given[-1]

    row = random_actions(tiny_world().spec, 3)
    with WorldBatch(Seen(), 1) as batch, WorldBatch(tiny_world(), 1) as plain:  # type: ignore[arg-type]
        batch.start({0: Start(1)})
        plain.start({0: Start(1)})
        made = batch.step_tensors(torch.from_numpy(row))
        assert made.data_ptr() == given[0].data_ptr()
        np.testing.assert_array_equal(made.numpy(), plain.step(row).frames)
    with WorldBatch(ToyWorld(), 1) as toy:
        toy.start({0: Start(1)})
        assert toy.step_tensors(torch.zeros(1, 1, 6)).shape == (1, 1, 96, 128, 3)


def test_drift_is_the_worst_of_three_fractions() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    assert drift(grey, ()) is None
    (off,) = drift(grey, (80.0, 1.0, 1.0))  # type: ignore[misc]
    assert off == pytest.approx(1.0)  # neither colour nor edges, where both were expected
    (bright,) = drift(grey, (40.0, 1.0, 1.0))  # type: ignore[misc]
    assert bright == pytest.approx(1.5)
