"""`check_world(model)`: does a world keep the promises of `spec.WorldModel`? For implementers, and for our own tests.

Knows only the interface. Raises `AssertionError` with a sentence that says which promise broke.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .spec import Actions, AdjustableWorld, Frames, WorldModel, WorldSpec


def check_world(model: WorldModel[Any], *, chunks: int = 4, tolerance: int = 0) -> None:
    """Check shapes, determinism, isolation, fork, save and load, causality, refusal of bad input, and release.

    Args:
        model: the world to check.
        chunks: how many chunks each stream runs.
        tolerance: largest difference of a pixel (of 255) allowed between a stream alone and the same in a batch.
    """
    spec = model.spec
    plan = [random_actions(spec, k) for k in range(2 * chunks)]
    other = [random_actions(spec, 1000 + k) for k in range(2 * chunks)]
    check_shapes(model, plan[0])
    first = dream(model, 7, plan)
    _same(first, dream(model, 7, plan), "same seed and same actions gave other frames")
    _isolated(model, plan, other, first, tolerance)
    _forks(model, plan, other, first, chunks)
    _saves(model, plan, first, chunks)
    changed = plan[:chunks] + other[chunks:]
    _same(first[:chunks], dream(model, 7, changed)[:chunks], "a later action changed an earlier frame")
    _refuses(model, plan[0])
    if spec.steps != (0, 0):
        _adjusts(cast(AdjustableWorld[Any], model), plan[0])


def random_actions(spec: WorldSpec, seed: int) -> Actions:
    """(1, F, A) actions within the spec's bounds."""
    rng = np.random.default_rng(seed)
    low, high = spec.actions.low, spec.actions.high
    rows = rng.uniform(low, high, (1, spec.chunk, len(low)))
    rows[..., : len(spec.actions.buttons)] = rng.integers(0, 2, (1, spec.chunk, len(spec.actions.buttons)))
    return rows.astype(np.float32)


def dream(model: WorldModel[Any], seed: int, plan: list[Actions]) -> list[Frames]:
    """The chunks of one stream under a plan of actions."""
    state = model.start(seed=seed)
    frames = [model.step([state], actions) for actions in plan]
    model.release(state)
    return frames


def check_shapes(model: WorldModel[Any], actions: Actions) -> None:
    """Frames have the shape and type that the spec says, and a stream owns the frames it was given."""
    spec = model.spec
    state = model.start(seed=1)
    frames = model.step([state], actions)
    want = (1, spec.chunk, spec.height, spec.width, 3)
    assert frames.shape == want, f"expected frames of shape {want}, got {frames.shape}"
    assert frames.dtype == np.uint8, f"expected uint8 frames, got {frames.dtype}"
    kept = frames.copy()
    model.step([state], actions)
    assert np.array_equal(frames, kept), "a later step wrote into frames that were already given out"
    model.release(state)


def _same(a: list[Frames], b: list[Frames], broken: str, tolerance: int = 0) -> None:
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        worst = int(np.abs(x.astype(np.int16) - y.astype(np.int16)).max())
        assert worst <= tolerance, f"{broken} (chunk {k}, largest difference {worst})"


def _isolated(
    model: WorldModel[Any], plan: list[Actions], other: list[Actions], first: list[Frames], tolerance: int
) -> None:
    states = [model.start(seed=3), model.start(seed=7)]
    both = [model.step(states, np.concatenate([b, a])) for a, b in zip(plan, other, strict=True)]
    _same(first, [frames[1:] for frames in both], "a stream in a batch differs from the same stream alone", tolerance)
    for state in states:
        model.release(state)


def _forks(model: WorldModel[Any], plan: list[Actions], other: list[Actions], first: list[Frames], at: int) -> None:
    parent = model.start(seed=7)
    for actions in plan[:at]:
        model.step([parent], actions)
    child = model.fork(parent)
    strayed = [model.step([child], actions) for actions in other[at:]]
    went_on = [model.step([parent], actions) for actions in plan[at:]]
    _same(first[at:], went_on, "stepping a fork changed its parent")
    strays = any(not np.array_equal(a, b) for a, b in zip(strayed, went_on, strict=True))
    assert strays or not model.spec.actions.columns, "actions change nothing"
    model.release(parent)
    model.step([child], plan[0])  # releasing the parent must not hurt the child
    model.release(child)


def _saves(model: WorldModel[Any], plan: list[Actions], first: list[Frames], at: int) -> None:
    state = model.start(seed=7)
    for actions in plan[:at]:
        model.step([state], actions)
    again = model.load(model.save(state))
    model.release(state)
    _same(first[at:], [model.step([again], actions) for actions in plan[at:]], "a loaded stream went another way")
    model.release(again)
    _raises(lambda: model.load(b"not a state"), "load() took damaged bytes")


def _refuses(model: WorldModel[Any], actions: Actions) -> None:
    state = model.start(seed=1)
    short = actions[:, :, :-1] if model.spec.actions.columns else actions[:, :-1]
    _raises(lambda: model.step([state], short), "step() took actions of the wrong length")
    _raises(lambda: model.step([state, state], np.concatenate([actions, actions])), "step() took one state twice")
    if not model.spec.prompts:
        _raises(lambda: model.start(seed=1, prompt="a castle"), "start() took a prompt that the spec rules out")
    model.release(state)
    model.release(state)
    _raises(lambda: model.step([state], actions), "step() took a released state")


def _adjusts(model: AdjustableWorld[Any], actions: Actions) -> None:
    fewest, most = model.spec.steps

    def frames(steps: int | None) -> Frames:
        state = model.start(seed=7)
        made = model.step([state], actions, steps=steps)
        model.release(state)
        return made

    _same([frames(None)], [frames(most)], "all denoising steps gave other frames than no choice of steps")
    for steps in range(fewest, most + 1):
        _same([frames(steps)], [frames(steps)], "as many denoising steps gave other frames")
    _raises(lambda: frames(fewest - 1), "step() took fewer denoising steps than the spec allows")
    _raises(lambda: frames(most + 1), "step() took more denoising steps than the spec allows")


def _raises(call: Any, broken: str) -> None:
    try:
        call()
    except ValueError:
        return
    raise AssertionError(f"{broken}: expected ValueError")
