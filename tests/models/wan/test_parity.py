"""The network against diffusers', which we did not write, on the same random weights in float32.

Slow: importing diffusers takes seconds.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.tiny import randomise
from worldloom.models.memory import FullMemory
from worldloom.models.rope import rotary
from worldloom.models.wan.config import Rollout, WanConfig
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.keys import fused, original_names

from .test_memory import streamed
from .tiny import COLUMNS, ROWS, SHAPE, diffusers_config, latents, prompt

pytestmark = pytest.mark.slow
CLOSE = 1e-5  # of the largest number; at timestep 0 it is a fifth of that: diffusers takes timesteps' angles in float32
TI2V = WanConfig(
    width=72, ffn=40, heads=3, layers=2, channels=6, out_channels=6, time_waves=16, text_width=12, text_tokens=6
)


def pair(kind: str, shape: WanConfig, **more: Any) -> tuple[Any, WanDiT]:
    """Their network with random weights, and ours with the same."""
    import diffusers

    theirs = getattr(diffusers, kind)(**diffusers_config(shape), **more).eval().requires_grad_(False)
    randomise(theirs, 3, 0.2)
    names = original_names(theirs.state_dict())
    ours = WanDiT(shape).eval().requires_grad_(False)
    tensors = {names[name]: tensor for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(fused(tensors, shape, torch.float32))
    return theirs, ours


def agrees(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=CLOSE * float(want.abs().max()))


def whole(ours: WanDiT, film: Tensor, t: Tensor, text: Tensor) -> Tensor:
    frames = torch.arange(film.shape[1]).double()
    phases = rotary(rope_of(ours.config, ROWS, COLUMNS), frames, torch.zeros_like(frames))
    return ours(film, t, [ours.text_keys(text)], FullMemory(phases, None))


@pytest.mark.parametrize("shape", [SHAPE, TI2V], ids=["T2V", "TI2V"])
@torch.inference_mode()
def test_a_whole_clip(shape: WanConfig) -> None:
    theirs, ours = pair("WanTransformer3DModel", shape)
    film, text = latents(5, shape=shape), prompt(shape=shape)
    want = theirs(film.transpose(1, 2), torch.tensor([937.5]), text[None]).sample.transpose(1, 2)
    agrees(whole(ours, film, torch.full((1, 5), 937.5), text), want)


@torch.inference_mode()
def test_a_timestep_for_every_token() -> None:
    """As Wan2.2 TI2V runs: the first frame clean, the others noisy."""
    theirs, ours = pair("WanTransformer3DModel", TI2V)
    film, text = latents(3, shape=TI2V), prompt(shape=TI2V)
    t = torch.tensor([[0.0, 625.0, 625.0]])
    tokens = t.repeat_interleave(ROWS * COLUMNS // 4, 1)
    want = theirs(film.transpose(1, 2), tokens, text[None]).sample.transpose(1, 2)
    agrees(whole(ours, film, t, text), want)


@pytest.mark.parametrize("positions", ["absolute", "beside", "relative"])
@torch.inference_mode()
def test_every_chunk_of_a_cached_rollout(positions: Any) -> None:
    """Against SkyReels-V2's block-causal attention over the whole clip."""
    theirs, ours = pair("SkyReelsV2Transformer3DModel", SHAPE, num_frame_per_block=2)
    roll = Rollout(steps=(1000,), chunk=2, attention=8, positions=positions)  # the clip is eight frames
    film, text = latents(8), prompt()
    want = theirs(film.transpose(1, 2), torch.tensor([250.0]), text[None]).sample.transpose(1, 2)
    agrees(streamed(ours, roll, film, t=250.0), want)


@torch.inference_mode()
def test_the_prompts_that_are_compared_are_not_the_same() -> None:
    """A reference that ignored its input would agree with anything."""
    theirs, _ = pair("WanTransformer3DModel", SHAPE)
    film, t = latents(2).transpose(1, 2), torch.tensor([500.0])
    said = [theirs(film, t, prompt(k)[None]).sample for k in range(2)]
    assert (said[0] - said[1]).abs().max() > 1e-2
