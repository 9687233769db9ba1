"""What eight bits lose in a world of the Wan family: the error of a product, and of pictures over a rollout.

    python benchmarks/wan_fp8.py FOLDER            # a world that was converted
    python benchmarks/wan_fp8.py FOLDER --chunks 8 --dtype bfloat16 --device cuda

The same streams are dreamed natively and with linears=fp8, from the same seeds and prompts; the PSNR of each chunk's
pictures is a mean over streams. Differences grow from chunk to chunk, for each stream goes on from its own pictures; so
the same is told of one that is natively another number format (`--beside`), which is what rounding alone does.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from worldloom.models.wan.fp8 import Fp8Linear
from worldloom.models.wan.open import open_wan

WIDE = (1536, 8960)  # of a layer of the 1.3B network
TOKENS = 1560


def product_error(dtype: torch.dtype) -> float:
    """Length of the error over length of the result, random numbers, against float64."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    layer = nn.Linear(*WIDE, bias=False)
    layer.weight.data = drawn(WIDE[1], WIDE[0])
    x = drawn(TOKENS // 4, WIDE[0])
    with torch.inference_mode():
        want = x.double() @ layer.weight.double().t()
        return float((Fp8Linear(layer.weight, None)(x).double() - want).norm() / want.norm())


def films(folder: Path, args: argparse.Namespace, dtype: str, linears: Any) -> NDArray[np.float64]:
    """(streams, chunks, F, H, W, 3) pictures."""
    world = open_wan(folder, device=args.device, dtype=getattr(torch, dtype), linears=linears)
    states = [world.start(seed=seed) for seed in range(args.streams)]
    rest = world.spec.actions.neutral(world.spec.chunk)[None]
    made = [[world.step([state], rest)[0] for _ in range(args.chunks)] for state in states]
    return np.array(made, np.float64)


def psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[float | None]:
    """dB of each chunk, the mean over streams; None: the same pictures."""
    errors = np.square(one - other).mean((2, 3, 4, 5))  # (streams, chunks)
    return [round(float(np.mean(10 * np.log10(255**2 / e))), 2) if e.all() else None for e in errors.T]


def main(line: list[str] | None = None) -> None:
    """Measure, and print JSON."""
    said = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said.add_argument("folder", type=Path)
    said.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    said.add_argument("--beside", default="bfloat16", choices=["float32", "bfloat16"])
    said.add_argument("--device", default="cpu")
    said.add_argument("--streams", type=int, default=4)
    said.add_argument("--chunks", type=int, default=6)
    args = said.parse_args(line)
    native = films(args.folder, args, args.dtype, "native")
    error = product_error(getattr(torch, args.dtype))
    told = {
        "dtype": args.dtype,
        "product_error": round(error, 5),
        "product_db": round(-20 * math.log10(error), 1),
        "fp8_db": psnr(native, films(args.folder, args, args.dtype, "fp8")),
        f"{args.beside}_db": psnr(native, films(args.folder, args, args.beside, "native")),
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
