"""What memory a world of this family takes, told before anything is loaded; too little is refused with the numbers.

Of several devices, it is told of the first one, which takes the most: it has the decoder of pictures besides.

Counted are weights and what streams hold. Not counted: what a step needs while it runs, which no rule here foretells.
Knows shapes and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch

from ..kv_cache import CacheConfig, KVCache
from ..kv_format import KVFormat
from .bare import without_numbers
from .config import Rollout, WanConfig
from .fp8 import LinearFormat, nbytes
from .hands import hand_caches
from .load import public_shapes
from .shown import MASK, settled
from .taehv import Taehv, TaehvConfig
from .vae import VaeConfig, WanVae

GB = 1e9


@dataclass(frozen=True)
class Need:
    """Bytes on one device."""

    network: int  # weights
    decoder: int  # weights, of an encoder beside it too
    memory: int  # of a stream: keys and values
    history: int  # of a stream: what its decoder saw
    prompt: int  # keys and values of one, whatever the number of streams; and of a first picture what is shown of it
    spare: int = 0  # keys and values of nobody, where steps are graphs
    split: int = 1  # devices

    @property
    def one_stream(self) -> int:
        """Everything, for a single stream."""
        return self.network + self.decoder + self.memory + self.history + self.prompt + self.spare

    def __str__(self) -> str:
        """One line, in gigabytes (10^9 bytes)."""
        weights, stream = self.network + self.decoder, self.memory + self.history
        spare = f" {self.spare / GB:.2f} GB of nobody's for graphs," if self.spare else ""
        return (
            f"weights {weights / GB:.2f} GB, each stream {stream / GB:.2f} GB ({self.memory / GB:.2f} of it memory,"
            f" {self.history / GB:.2f} its decoder), each prompt or first picture"
            f" {self.prompt / GB:.2f} GB;{spare}"
            f" {self.one_stream / GB:.2f} GB for one stream, besides what a step needs while it runs"
            f"{f'; all of it on the first of {self.split} devices' if self.split > 1 else ''}"
        )


@dataclass(frozen=True)
class Plan:
    """What is to be loaded, and how."""

    shape: WanConfig
    roll: Rollout
    vae: VaeConfig
    height: int  # pixels
    width: int
    dtype: torch.dtype = torch.bfloat16  # of weights, memory and what the decoder saw
    small: TaehvConfig | None = None  # pictures are decoded by this
    kv: KVFormat = "native"  # how memories keep keys and values
    linears: LinearFormat = "native"  # how the network keeps its large matrices
    graphs: bool = False  # memories are rows of one block, with one more that is nobody's
    split: int = 1  # devices, each with all weights and a part of every memory


def need(plan: Plan) -> Need:
    """What such a world takes."""
    size, shape = plan.dtype.itemsize, plan.shape
    rows, columns = plan.height // plan.vae.stride, plan.width // plan.vae.stride
    memory = _memory(plan, (rows // shape.patch) * (columns // shape.patch))
    return Need(
        network=nbytes(public_shapes(shape), plan.dtype, plan.linears),
        decoder=size * (_weights(plan.vae) + (_weights(plan.small) if plan.small else 0)),
        memory=memory,
        spare=memory if plan.graphs else 0,
        history=size * _decoder(plan.small or plan.vae).history(rows * columns),
        prompt=size * 2 * shape.layers * shape.text_tokens * shape.width + _shown(plan, rows * columns),
        split=plan.split,
    )


def refuse_too_little(free: int | None, plan: Plan) -> Need:
    """What the world takes, if one stream of it fits into so many bytes; None: nobody knows how many there are.

    Raises:
        ValueError: it does not; says what is needed, what is there, and what would fit.
    """
    wanted = need(plan)
    if free is None or wanted.one_stream <= free:
        return wanted
    roll, half = plan.roll, torch.bfloat16
    least = roll.sink + 2 * roll.chunk
    fewer = replace(plan, roll=replace(roll, attention=least))
    plans = {"dtype=bfloat16": replace(plan, dtype=half)} if plan.dtype.itemsize > half.itemsize else {}
    plans |= {"graphs=0": replace(plan, graphs=False)} if plan.graphs else {}
    plans |= {"kv=int8": replace(plan, kv="int8"), f"attention={least}": fewer}
    plans |= {f"attention={least}, dtype=bfloat16 and kv=int8": replace(fewer, dtype=half, kv="int8")}
    fitting = [name for name, other in plans.items() if need(other).one_stream <= free]
    advice = f"{fitting[0]} would fit" if fitting else "no option here would fit: a smaller picture or network might"
    raise ValueError(f"expected {wanted.one_stream / GB:.2f} GB, got {free / GB:.2f} GB free ({wanted}); {advice}")


def _memory(plan: Plan, tokens: int) -> int:
    """Bytes of caches that have no numbers."""
    c, roll = plan.shape, plan.roll
    heads = c.heads // plan.split
    configs = [CacheConfig(c.layers, heads, c.head_dim, tokens, roll.chunk, roll.window, roll.sink, plan.kv)]
    if c.actions:
        configs += hand_caches(c.actions, roll, tokens // plan.split, plan.kv)
    caches = [KVCache.allocate(config, torch.device("meta"), plan.dtype) for config in configs]
    return sum(part.nbytes for cache in caches for part in cache.tensors())


def _shown(plan: Plan, cells: int) -> int:
    """Bytes of what frames are shown of a first picture, in float32."""
    if not plan.shape.shown:
        return 0
    return torch.float32.itemsize * (settled(plan.vae) + 1) * (MASK + plan.vae.channels) * cells


@cache
def _decoder(config: VaeConfig | TaehvConfig) -> WanVae | Taehv:
    """One without numbers."""
    with without_numbers():
        return WanVae(config) if isinstance(config, VaeConfig) else Taehv(config)


def _weights(config: VaeConfig | TaehvConfig) -> int:
    return sum(tensor.numel() for tensor in _decoder(config).state_dict().values())
