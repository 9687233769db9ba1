"""Networks that hear a keyboard and a mouse: a whole film under a mask equals a rollout with caches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from worldloom.models.kv_cache import KVCache
from worldloom.models.memory import FullMemory, chunk_mask
from worldloom.models.rope import rotary
from worldloom.models.wan.config import FORGE, MATRIX_GAME, TEMPLE_RUN, ActionShape, Rollout, WanConfig
from worldloom.models.wan.controls import Controls, FullFrames, frame_phases, rope_of_actions
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.hands import HandSteering, action_spec
from worldloom.models.wan.keys import fused
from worldloom.models.wan.load import public_shapes, shape_of
from worldloom.models.wan.memory import memory_of

from .published import original
from .tiny import ACTIONS, COLUMNS, HANDS, PLAYED, ROWS, cache_of, latents

CLOSE = 1e-5
ROLL = Rollout(steps=(1000,), chunk=2, attention=4)
TOKENS = ROWS * COLUMNS // 4
WITHOUT = replace(PLAYED, actions=replace(ACTIONS, mouse=0))
EVERYWHERE = replace(PLAYED, actions=replace(ACTIONS, blocks=PLAYED.layers))


def made(shape: WanConfig) -> WanDiT:
    dit = WanDiT(shape).eval().requires_grad_(False)
    dit.load_state_dict(fused(original(shape), shape, torch.float32))
    return dit


def rows_of(shape: ActionShape, frames: int, seed: int = 0) -> Tensor:
    """(4 * frames, A) of a session: two buttons, yaw and pitch in degrees."""
    generator = torch.Generator().manual_seed(seed)
    buttons = (torch.rand(4 * frames, 2, generator=generator) > 0.5).float()
    turns = torch.randn(4 * frames, shape.mouse, generator=generator) * 5.0
    return torch.cat([buttons, turns], 1)


def told(shape: ActionShape, rows: Tensor) -> Tensor:
    """(1, F, 12, A) by the rule of Matrix-Game's program: row k leads to picture k + 1, and the first held before."""
    keys = torch.stack([rows[:, 0], ((rows[:, 0] + rows[:, 1]) == 0).float(), rows[:, 1]], 1)
    theirs = torch.cat([keys, rows[:, [3, 2]] / 50.0], 1)[4:] if shape.mouse else keys[4:]
    frames = len(rows) // 4
    return torch.stack([theirs[[max(0, k) for k in range(4 * (n - 3), 4 * n)]] for n in range(frames)])[None]


def steering(shape: WanConfig) -> HandSteering:
    assert shape.actions
    hands = HANDS if shape.actions.mouse else replace(HANDS, degrees=0.0)
    return HandSteering(shape.actions, hands, ROLL, TOKENS)


def whole(dit: WanDiT, film: Tensor, t: float, heard: Tensor, text: Tensor) -> Tensor:
    """A film at one look; every chunk sees itself and the one before."""
    shape, frames = dit.config, torch.arange(film.shape[1]).double()
    assert shape.actions
    chunks = torch.arange(film.shape[1]) // ROLL.chunk
    ids = chunks.repeat_interleave(TOKENS)
    phases = rotary(rope_of(shape, ROWS, COLUMNS), frames, torch.zeros_like(frames))
    full = FullFrames(frame_phases(rope_of_actions(shape.actions), frames), chunk_mask(chunks, chunks, 1, 0))
    memory = FullMemory(phases, chunk_mask(ids, ids, 1, 0))
    return dit(film, torch.full(film.shape[:2], t), [dit.text_keys(text)], memory, Controls(heard, full, full))


def streamed(dit: WanDiT, film: Tensor, t: float, rows: Tensor, text: Tensor) -> Tensor:
    """The same, chunk by chunk with caches; every chunk is looked at as it enters the memory."""
    shape, steer, carried, out = dit.config, steering(dit.config), torch.zeros(0), []
    carried = steer.rest()
    cache, texts = cache_of(shape, ROLL), [dit.text_keys(text)]
    hands = [KVCache.allocate(config, torch.device("cpu"), torch.float32) for config in steer.caches]
    for at in range(0, film.shape[1], ROLL.chunk):
        heard, carried = steer.hear(carried, rows[4 * at : 4 * (at + ROLL.chunk)], at == 0)
        x, times = film[:, at : at + ROLL.chunk], torch.full((1, ROLL.chunk), t)
        for noisy in (x + 1.0, x):  # a look at something else before changes nothing
            memory = memory_of([cache], rope_of(shape, ROWS, COLUMNS), ROLL.positions)
            made = dit(noisy, times, texts, memory, steer.controls(heard[None], [hands]))
        out.append(made)
        memory = memory_of([cache], rope_of(shape, ROWS, COLUMNS), ROLL.positions)
        dit.commit(x, times, texts, memory, steer.controls(heard[None], [hands]))
        for each in (cache, *hands):
            each.advance([0.0] * ROLL.chunk)
    return torch.cat(out, 1)


@pytest.mark.parametrize(
    "shape", [PLAYED, WITHOUT, pytest.param(EVERYWHERE, marks=pytest.mark.slow)], ids=["both", "keys", "everywhere"]
)
@torch.inference_mode()
def test_every_chunk_of_a_cached_rollout(shape: WanConfig) -> None:
    """Ten frames, of which the last see only four: what was forgotten is forgotten everywhere."""
    assert shape.actions
    dit, film = made(shape), latents(10, shape=shape)
    rows, text = rows_of(shape.actions, 10), torch.randn(5, 10, generator=torch.Generator().manual_seed(3))
    want = whole(dit, film, 300.0, told(shape.actions, rows), text)
    torch.testing.assert_close(streamed(dit, film, 300.0, rows, text), want, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("column", range(4), ids=["forward", "left", "yaw", "pitch"])
@torch.inference_mode()
def test_every_column_is_heard_when_it_should_be(column: int) -> None:
    """What changes at picture 24 (latent frame 6) changes nothing before it."""
    dit, film = made(PLAYED), latents(8, shape=PLAYED)
    rows, text = rows_of(ACTIONS, 8), torch.randn(5, 10, generator=torch.Generator().manual_seed(3))
    other = rows.clone()
    other[24:, column] += 1.0
    one, two = (streamed(dit, film, 300.0, r, text) for r in (rows, other))
    assert torch.equal(one[:, :6], two[:, :6])
    assert (one[:, 6:] - two[:, 6:]).abs().max() > 1e-3


def test_columns_of_a_session() -> None:
    spec = action_spec(HANDS)
    assert spec.columns == ("forward", "left", "yaw", "pitch")
    assert spec.look == ("yaw", "pitch")
    assert spec.high.tolist() == pytest.approx([1.0, 1.0, 5.0, 5.0])
    assert spec.keys["KeyA"].column == "left"
    assert spec.keys["ArrowLeft"].value == pytest.approx(-5.0)
    with pytest.raises(ValueError, match="at most 3 keyboard columns and no mouse"):
        HandSteering(replace(ACTIONS, mouse=0), HANDS, ROLL, TOKENS)


def test_published_sizes_and_layouts() -> None:
    """Counted from the tensors of the architecture itself, as its authors' program makes it."""
    sizes = {"distilled": 1_619_242_304, "foundation": 1_824_405_824}
    foundation = replace(MATRIX_GAME, actions=replace(ActionShape(), blocks=30))
    for name, shape in (("distilled", MATRIX_GAME), ("foundation", foundation)):
        assert sum(torch.Size(size).numel() for size in public_shapes(shape).values()) == sizes[name]
    one = [size for name, size in public_shapes(MATRIX_GAME).items() if name.startswith("blocks.3.action_model.")]
    assert sum(torch.Size(size).numel() for size in one) == 13_677_568
    for shape in (MATRIX_GAME, TEMPLE_RUN, FORGE, foundation):
        with torch.device("meta"):
            big = {name: torch.empty(size) for name, size in public_shapes(shape).items()}
        assert shape_of(big, {"text_len": 512}) == shape
    tensors = original(PLAYED)
    assert public_shapes(PLAYED) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    rope = {"rope_dim_list": [4, 2, 2], "rope_theta": 256}
    assert shape_of(tensors, {"num_heads": 2, "action_config": rope}) == replace(PLAYED, text_tokens=257)
