"""How long the transformer of a world takes for a chunk, beside a public implementation of the same size.

    python benchmarks/dit_public.py --json dit.json       # doom, one thread; about two minutes

- ours: the transformer as it streams. What the window holds is remembered; the pass that makes a chunk also leaves the
  chunk before it in the memory.
- public: diffusers' `SkyReelsV2Transformer3DModel`, which remembers nothing: in every pass it looks at all frames so
  far anew, those before the chunk at noise level 0.
- public_window: the same for as many frames as our window holds.

Width, layers, heads, patches and latents are ours; the width of the public feed-forward is what makes the parameters
equal. diffusers draws a causal mask for chunks of several frames alone: with a frame a chunk, its attention has none,
which is less work. Times are medians of what the process computed, for the n-th chunk. Its weights are random, ours
as they ship: time does not depend on them. Knows no picture: nothing is encoded, warped or decoded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from telling import tell
from torch import Tensor, nn

from worldloom.models.autoencoder import unit_cells
from worldloom.models.catalog import weights_file
from worldloom.models.dit import CausalDiT, DiTConfig
from worldloom.models.state import Given
from worldloom.models.weights import load_world
from worldloom.models.world import DiTWorld
from worldloom.streamer.freed_memory import keep_freed_memory

CHUNKS = (1, 16, 64)
"""That are timed."""


class Ours:
    """A stream of a world without its pictures."""

    def __init__(self, world: DiTWorld) -> None:
        self._world, self._state = world, world.start(seed=0)
        self._state.pending = None  # the memory is empty, as before a first chunk
        self._state.cache = world._network.cache()
        c = world.dit.config
        self._shown = torch.randn(1, 1, 2 + c.recalls, c.channels, c.rows, c.columns)
        self._told = torch.zeros(1, 1, c.history, c.actions)

    @torch.inference_mode()
    def chunk(self, noise: Tensor) -> Tensor:
        """The next one (1, 1, C, h, w)."""
        given, world = Given(self._shown, self._told, torch.zeros(1, 1)), self._world
        made = world._denoise([self._state], noise, given, world.config.sigmas)
        world._finish([self._state], made, given)
        return made


class Public:
    """What was made so far, looked at anew for each chunk; or the last `window` frames of it."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, window: int | None) -> None:
        self._network, self._dtype, self._window = network, dtype, window
        self._past: list[Tensor] = []
        self._text = torch.zeros(1, 1, TEXT, dtype=dtype)

    @torch.inference_mode()
    def chunk(self, noise: Tensor) -> Tensor:
        """The next one (1, 1, C, h, w)."""
        film = torch.cat([*self._past, noise], 1).transpose(1, 2).to(self._dtype)
        at = torch.zeros(1, film.shape[2])
        at[:, -1] = 1000.0
        velocity = self._network(film, at, self._text, enable_diffusion_forcing=True).sample
        made = unit_cells(noise - velocity[:, :, -1:].transpose(1, 2).float())
        self._past = [*self._past, made]
        if self._window:
            self._past = self._past[-self._window :]
        return made


TEXT = 16
"""Numbers of the one token that stands for a prompt, which our worlds have not."""


def public_network(c: DiTConfig, ffn: int) -> nn.Module:
    """Of that width inside the feed-forward."""
    from diffusers import SkyReelsV2Transformer3DModel

    return SkyReelsV2Transformer3DModel(
        patch_size=(1, c.patch, c.patch),
        num_attention_heads=c.heads,
        attention_head_dim=c.width // c.heads,
        in_channels=c.channels,
        out_channels=c.channels,
        text_dim=TEXT,
        freq_dim=128,
        ffn_dim=ffn,
        num_layers=c.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
    )


def numbers(network: nn.Module) -> int:
    """Parameters."""
    return sum(part.numel() for part in network.parameters())


def equal_ffn(c: DiTConfig) -> int:
    """With which the public network has as many parameters as ours, to within a feature of each layer."""
    with torch.device("meta"):
        ours, thin, wider = numbers(CausalDiT(c)), numbers(public_network(c, 64)), numbers(public_network(c, 65))
    return max(64, 64 + round((ours - thin) / (wider - thin)))


def measured(path: Path, dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Milliseconds of each way, in one number format."""
    world = load_world(path, device="cpu", dtype=dtype)
    c, window = world.dit.config, world.config.window
    ffn = equal_ffn(c)
    network = public_network(c, ffn).eval().requires_grad_(False).to(dtype)
    ways: dict[str, Callable[[], Ours | Public]] = {
        "ours": partial(Ours, world),
        "public": partial(Public, network, dtype, None),
        "public_window": partial(Public, network, dtype, window),
    }
    times: dict[str, dict[int, list[float]]] = {name: {n: [] for n in CHUNKS} for name in ways}
    for _ in range(rounds + 1):  # the first is not counted
        for name, way in ways.items():
            stream = way()
            for n in range(1, max(CHUNKS) + 1):
                noise = torch.randn(1, 1, c.channels, c.rows, c.columns)
                begun = time.process_time()
                stream.chunk(noise)
                if n in CHUNKS:
                    times[name][n].append(1e3 * (time.process_time() - begun))
    ms = {name: {str(n): round(median(all_of_it[1:]), 2) for n, all_of_it in of.items()} for name, of in times.items()}
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": {"ours": numbers(world.dit), "public": numbers(network)},
        "tokens_a_frame": c.tokens,
        "window": window,
        "ffn": {"ours": c.width * c.ffn, "public": ffn},
        "chunk_ms": ms,
        "times_ours": {
            name: {n: round(value / ms["ours"][n], 1) for n, value in of.items()}
            for name, of in ms.items()
            if name != "ours"
        },
    }


def main(line: list[str] | None = None) -> None:
    """Measure, and print JSON."""
    said = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said.add_argument("--world", default="doom", help="that ships, or a .safetensors file")
    said.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    said.add_argument("--rounds", type=int, default=9, help="streams that are counted")
    said.add_argument("--threads", type=int, default=1, help="of the CPU")
    said.add_argument("--json", type=Path, help="write it here too")
    args = said.parse_args(line)
    path = weights_file(args.world)
    if path is None or not path.is_file():
        raise SystemExit(f"expected a world with weights, got {args.world!r}")
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the server does
    figures = {
        "clock": f"time that the process computed, {args.threads} thread(s)",
        "world": args.world,
        "results": [measured(path, getattr(torch, dtype), args.rounds) for dtype in args.dtypes],
    }
    tell("dit_public.py", line, figures, args.json)


if __name__ == "__main__":
    main()
