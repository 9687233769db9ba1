"""A world in two processes behind one `WorldModel`: what goes along with calls, and who refuses what.

What ranks compute is in test_split.py, how they end in test_split_ends.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldloom.models.catalog import open_world
from worldloom.models.check import check_world
from worldloom.models.exchange import refuse_second
from worldloom.models.wan import leader
from worldloom.models.wan.crew import Call, Crew, CrewConfig
from worldloom.models.wan.leader import SplitWorld, open_split, opened
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.world import WanWorld

from .folders import PROMPTS, folder, played
from .test_split import CLOSE, FOUR, SINKS
from .tiny import PLAYED, ROLL

slow = pytest.mark.slow  # each pair of processes loads torch once more

CONFIG = CrewConfig(exchange_s=20.0, grace_s=2.0)
REST = np.zeros((1, 8, 0), np.float32)
OPTIONS: dict[str, Any] = {"dtype": torch.float32}


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(2, "cpu", CONFIG)
    yield crew
    crew.end()
    refuse_second()  # out of the group as well


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("worlds"))


def small(place: Path) -> Path:
    return folder(place / "tiny", replace(SINKS, positions="beside"), FOUR, size=(16, 24))


@pytest.fixture
def world(crew: Crew, path: Path) -> SplitWorld:
    return opened(crew, path, **OPTIONS)


@pytest.fixture
def alone(path: Path) -> WanWorld:
    return open_wan(path, device="cpu", **OPTIONS)


@slow
def test_it_keeps_the_promises_of_worlds(world: SplitWorld) -> None:
    check_world(world, chunks=2, tolerance=1)


@slow
def test_every_call_is_made_everywhere(world: SplitWorld, alone: WanWorld) -> None:
    """The same walk as on one rank; a follower that did something else would have spoilt the pictures."""
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)

    def walk(w: Any) -> list[Any]:
        one, other = w.start(seed=4), w.start(seed=3, prompt=PROMPTS[0], image=image)
        shown = [w.step([one, other], np.concatenate([REST, REST])) for _ in range(4)]
        fork = w.fork(one)
        w.say(one, PROMPTS[1])
        w.say(other, PROMPTS[1], how="blend", chunks=2)
        shown += [w.step([other, one], np.concatenate([REST, REST])) for _ in range(2)]
        w.say(other, PROMPTS[0], how="flush")
        shown += [w.step([other], REST), w.step([fork], REST)]
        parked = w.load(w.park(fork))
        w.release(fork)
        return [*shown, w.step([parked], REST)]

    for split, whole in zip(walk(world), walk(alone), strict=True):
        assert np.abs(split.astype(int) - whole).max() <= 1


@slow
def test_saved_by_two_it_is_loaded_by_one_and_the_other_way_round(world: SplitWorld, alone: WanWorld) -> None:
    state, other = world.start(seed=1), alone.start(seed=1)
    for _ in range(4):
        world.step([state], REST)
        alone.step([other], REST)
    by_two, by_one = world.save(state), alone.save(other)
    assert len(by_two) == len(by_one)
    loaded, back = alone.load(by_two), world.load(by_one)
    torch.testing.assert_close(loaded.cache.keys, other.cache.keys, rtol=0, atol=CLOSE)
    shown = [world.step([state], REST), alone.step([loaded], REST), world.step([back], REST), alone.step([other], REST)]
    assert all(np.abs(shown[0].astype(int) - one).max() <= 1 for one in shown)


@slow
def test_worlds_with_hands(crew: Crew, tmp_path: Path) -> None:
    """They begin with a picture that is known, and hear what is pressed."""
    path = played(tmp_path / "tiny", ROLL, replace(PLAYED, heads=4), (16, 24))
    worlds: list[Any] = [opened(crew, path, **OPTIONS), open_wan(path, device="cpu", **OPTIONS)]
    states = [world.start(seed=1) for world in worlds]
    rows = np.zeros((1, 8, 4), np.float32)
    for k in range(4):
        rows[..., k % 2] = 1.0
        shown = [world.step([state], rows).astype(int) for world, state in zip(worlds, states, strict=True)]
        assert np.abs(shown[0] - shown[1]).max() <= 1


@slow
def test_who_refuses_is_in_step_with_the_others(world: SplitWorld, alone: WanWorld) -> None:
    state, gone = world.start(seed=1), world.start(seed=2)
    world.release(gone)
    world.release(gone)
    refused: dict[str, Callable[[], object]] = {
        "no encoder.*'a castle'": lambda: world.start(seed=1, prompt="a castle"),
        "no encoder.*'a cave'": lambda: world.say(state, "a cave"),
        "at least one chunk": lambda: world.say(state, PROMPTS[1], how="blend", chunks=0),
        "uint8 picture": lambda: world.start(seed=1, image=np.zeros((3, 3, 3), np.uint8)),
        "actions of shape": lambda: world.step([state], REST[:, :-1]),
        "cannot be stepped": lambda: world.step([gone], REST),
        "gone everywhere": lambda: world.fork(gone),
        "saved state": lambda: world.load(b"not a state"),
    }
    for why, do in refused.items():
        with pytest.raises(ValueError, match=why):
            do()
    with pytest.raises(ValueError, match="gone everywhere"):
        world.save(gone)
    world.read(PROMPTS[0])  # on any thread: nobody else is asked
    with pytest.raises(ValueError, match="no encoder"):
        world.read("a castle")
    shown = world.step([world.start(seed=7)], REST), alone.step([alone.start(seed=7)], REST)
    assert np.abs(shown[0].astype(int) - shown[1]).max() <= 1


@slow
def test_what_is_forgotten_is_freed_everywhere(world: SplitWorld) -> None:
    """Released or not: the follower does not know it any more. Were it there, it would wait in an exchange."""
    numbers = [world.start(seed=k).number for k in range(2)]
    assert world._dropped  # the last one: nobody has it any more, and the next call says so
    released = world.start(seed=9)
    assert not world._dropped
    world.release(released)

    def refuse() -> None:
        raise KeyError("as the follower")

    for number in (*numbers, released.number):
        with pytest.raises(KeyError, match="as the follower"):
            world._crew.together(Call("save", (number,)), refuse)
    assert world.start(seed=1).own.frame == 0


@slow
def test_both_fail_alike_and_go_on(world: SplitWorld) -> None:
    """Before any exchange, as where there is no room for another memory."""
    bad: dict[str, Any] = {"seed": 1, "colour": "red"}
    with pytest.raises(TypeError, match="colour"):
        world._crew.together(Call("start", new=99, rest=bad), lambda: world._own.start(**bad))
    assert world.step([world.start(seed=1)], REST).std() > 1


@slow
def test_one_group_a_process(crew: Crew, path: Path) -> None:
    with pytest.raises(ValueError, match="one world on several devices in a process"):
        open_split(path, 2, device="cpu")
    assert not crew.lost


def test_what_cannot_be_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any process is started."""
    path = small(tmp_path)
    monkeypatch.setattr(leader, "Crew", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="expected 2 CUDA devices for split = 2, got 1"):
        open_split(path, 2, device="cuda")
    with pytest.raises(ValueError, match="cuda or cpu.*got cuda:1"):
        open_split(path, 2, device="cuda:1")
    with pytest.raises(ValueError, match="4 heads and 6 tokens of a frame, got 3; possible: 2"):
        open_world(str(path), split=3)
    for world, split in (("toy", 2), ("arm", 2), ("tests.worlds:World", 2), (str(path), 0)):
        with pytest.raises(ValueError, match="expected split = 1 for the world"):
            open_world(world, split=split)
