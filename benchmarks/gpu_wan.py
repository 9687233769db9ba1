"""How long a chunk of the Wan family takes, with random weights: ours, everything anew, and the public cached path.

    python benchmarks/gpu_wan.py                                     # small shapes on this CPU, one thread
    python benchmarks/gpu_wan.py --self-forcing ../Self-Forcing      # beside the public path, from a checkout of it
    python benchmarks/gpu_wan.py --gpu --json wan.json               # the 1.3B network at 480x832 on the GPU
    python benchmarks/gpu_wan.py --gpu --kernels eager --linears fp8 # without Triton's kernels, and in eight bits
    python benchmarks/gpu_wan.py --gpu --graphs                      # a graph for each pass

A checkout of github.com/guandeh17/Self-Forcing and `einops` are all that the public path needs; see `wan_others.py` for
what is done to it. All ways get the same weights and the same noise, make a chunk in turns, and their latents are
compared. Figures are medians over chunks behind the first full window: on a CPU of the time that the process computed
(others may use the machine too), on a GPU of the time between two events. Knows no picture: nothing is decoded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from telling import tell
from torch import Tensor
from wan_others import full, random_weights, self_forcing
from wan_paths import Case, Products, Rolling, ours

from worldloom.models.wan.config import T2V_1_3B, WanConfig
from worldloom.models.wan.fused import fuses
from worldloom.streamer.freed_memory import keep_freed_memory

SMALL = WanConfig(width=256, ffn=1536, heads=2, layers=8, text_width=512)
CASES = {
    "tiny": Case("tiny", SMALL, rows=6, columns=10, attention=12),
    "small": Case("small", SMALL, rows=12, columns=20, attention=12),
    "medium": Case("medium", replace(SMALL, width=512, ffn=3072, heads=4), rows=16, columns=28, attention=12),
}
WAN = Case("wan-1.3b-480x832", T2V_1_3B, rows=60, columns=104, attention=21)
WARM = 1  # chunks behind the first full window that are not counted
MATRIX = 8192  # of the product that says what the device reaches


def measured(case: Case, dtype: torch.dtype, device: torch.device, args: argparse.Namespace) -> dict[str, Any]:
    """One case in one number format."""
    weights, chunks = random_weights(case), args.chunks
    ways: dict[str, Rolling] = {"ours": ours(case, weights, dtype, device, args.kernels, args.linears, args.graphs)}
    if args.self_forcing is not None:
        ways["self_forcing"] = self_forcing(case, weights, dtype, device, args.self_forcing)
    if args.full:
        ways["full"] = full(case, weights, dtype, device)
    ways["products"] = Products(case, dtype, device)
    full_window = case.attention // case.chunk
    clock = _gpu_ms if device.type == "cuda" else _cpu_ms
    times: dict[str, list[float]] = {name: [] for name in ways}
    apart = dict.fromkeys(ways, 0.0)
    for number in range(full_window + WARM + chunks):
        noise = _noise(case, number, device)
        made = {}
        for name, way in ways.items():
            made[name], ms = clock(partial(way.chunk, noise))
            times[name].append(ms)
        largest = float(made["ours"].abs().max())
        for name in ways:  # behind a full window, who looks at it anew sees other keys than who remembered them
            if name != "full" or number < full_window:
                apart[name] = max(apart[name], float((made[name] - made["ours"]).abs().max()) / largest)
    ms = {name: round(median(all_of_it[full_window + WARM :]), 2) for name, all_of_it in times.items()}
    return {
        "case": case.name,
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": case.weights,
        "tokens_a_frame": case.tokens,
        "frames_seen": case.attention,
        "passes": len(case.steps) + 1,
        "tflop_a_chunk": round(work(case) / 1e12, 4),
        "chunk_ms": ms,
        "times_ours": {name: round(value / ms["ours"], 2) for name, value in ms.items() if name != "ours"},
        "largest_difference": {name: apart[name] for name in ways if name not in ("ours", "products")},
    }


def work(case: Case) -> float:
    """Floating-point operations of a chunk behind a full window: products and attention."""
    c, queries = case.shape, case.chunk * case.tokens
    matrices = c.width * (6 * c.width + 2 * c.ffn)  # of a block; the keys and values of the prompt are not made again
    linear = 2 * queries * matrices
    attention = 4 * queries * c.width * (case.attention * case.tokens + c.text_tokens)
    blocks = c.layers * (len(case.steps) + 1) - 1
    return float(blocks * (linear + attention) + 2 * queries * 3 * c.width**2)


def on_gpu(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The 1.3B network. Raises `SystemExit` where there is no GPU."""
    if not torch.cuda.is_available():
        raise SystemExit("expected a CUDA device for --gpu, there is none; without it small shapes run on the CPU")
    device, dtype = torch.device("cuda"), torch.bfloat16
    if args.kernels == "triton" and not fuses(device):
        raise SystemExit("expected Triton for --kernels triton, it cannot be imported: pip install triton")
    args.kernels = "eager" if args.kernels == "eager" else "auto"
    reached = _product_tflops(device, dtype)
    results = []
    for attention in args.windows:
        case = replace(WAN, attention=attention)
        torch.cuda.reset_peak_memory_stats()
        one = measured(case, dtype, device, args)
        rate = one["tflop_a_chunk"] / one["chunk_ms"]["ours"] * 1e3
        one |= {
            "fps": round(4e3 * case.chunk / one["chunk_ms"]["ours"], 2),
            "tflops": round(rate, 1),
            "product_tflops": round(reached, 1),
            "share_of_product": round(rate / reached, 3),
            "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
            "kernels": "triton" if fuses(device, args.kernels) else "eager",
            "linears": args.linears,
            "graphs": args.graphs,
        }
        results.append(one)
    return results


def on_cpu(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Small shapes. Raises `SystemExit` for what only a GPU does faster."""
    if args.linears == "fp8" or args.kernels == "triton" or args.graphs:
        raise SystemExit("expected --gpu: on a CPU eight bits and Triton are emulated, and graphs not captured")
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the server does
    return [
        measured(CASES[name], getattr(torch, dtype), torch.device("cpu"), args)
        for name in args.cases
        for dtype in args.dtypes
    ]


def _noise(case: Case, number: int, device: torch.device) -> list[Tensor]:
    generator = torch.Generator().manual_seed(number)
    shape = (1, case.chunk, case.shape.out_channels, case.rows, case.columns)
    return [torch.randn(shape, generator=generator).to(device) for _ in case.steps]


def _cpu_ms(make: Callable[[], Tensor]) -> tuple[Tensor, float]:
    begun = time.process_time()
    made = make()
    return made, 1e3 * (time.process_time() - begun)


def _gpu_ms(make: Callable[[], Tensor]) -> tuple[Tensor, float]:
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    made = make()
    ended.record()
    torch.cuda.synchronize()
    return made, float(begun.elapsed_time(ended))


def _product_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """What one large product reaches on this device."""
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    return 2.0 * MATRIX**3 / min(_gpu_ms(lambda: a @ b)[1] for _ in range(10)) / 1e9


def _arguments(line: list[str] | None) -> argparse.Namespace:
    said = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said.add_argument("--gpu", action="store_true", help="the 1.3B network on a CUDA device")
    said.add_argument("--self-forcing", type=Path, metavar="CHECKOUT", help="of github.com/guandeh17/Self-Forcing")
    said.add_argument(
        "--full", action=argparse.BooleanOptionalAction, help="everything anew, by diffusers; not on GPUs"
    )
    said.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="shapes on the CPU")
    said.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    said.add_argument("--windows", nargs="+", type=int, default=[12, 21], help="latent frames seen, on the GPU")
    said.add_argument("--kernels", choices=["auto", "triton", "eager"], default="auto", help="of norms; on the GPU")
    said.add_argument("--linears", choices=["native", "fp8"], default="native", help="on the GPU")
    said.add_argument("--graphs", action="store_true", help="passes as CUDA graphs, on the GPU")
    said.add_argument("--chunks", type=int, default=7, help="that are counted")
    said.add_argument("--threads", type=int, default=1, help="of the CPU")
    said.add_argument("--json", type=Path, help="write it here too")
    args = said.parse_args(line)
    args.full = not args.gpu if args.full is None else args.full
    return args


def main(line: list[str] | None = None) -> None:
    """Measure, and print JSON."""
    args = _arguments(line)
    results = on_gpu(args) if args.gpu else on_cpu(args)
    clock = "between two events" if args.gpu else f"time that the process computed, {args.threads} thread(s)"
    tell("gpu_wan.py", line, {"clock": clock, "results": results}, args.json)


if __name__ == "__main__":
    main()
