"""Linear layers in eight bits: e4m3, weights with a scale for each output, tokens with one for each as they come.

On CUDA the product is torch's own (`_scaled_mm`, for tensor cores of compute capability 8.9 and later); elsewhere it is
done in float32 on the same eight-bit numbers, which is slower than without and shows what is lost. In eight bits are
the large matrices of the blocks. Embeddings, modulation, what makes keys of a prompt, what hears a player and the last
layer stay as they are. Not for training. Knows layers and names; no files, no sampling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from .config import WanConfig

LinearFormat: TypeAlias = Literal["native", "fp8"]
"""How the large matrices of the blocks are kept and multiplied."""

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0  # number of e4m3
LEAST = (8, 9)  # compute capability that multiplies it
PIECE = 16  # numbers that CUDA's products come in, each way
MATRIX = re.compile(r"blocks\.\d+\.(self_attn\.(qkv|[qkvo])|cross_attn\.[qo]|ffn\.[02])\.weight")
"""Names of what is kept so, in a `WanDiT` and in the original layout."""


class Fp8Linear(nn.Module):
    """`nn.Linear` whose weights are kept in e4m3."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Of the weights (out, in) and the bias (out,) of a layer that computes in their dtype."""
        super().__init__()
        numbers, scale = in_e4m3(weight)
        self.weight = nn.Parameter(numbers, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        rows, scale = in_e4m3(x.flatten(0, -2))
        product = scaled_product if x.is_cuda else emulated_product
        return product(rows, scale, self.weight, self.scale, self.bias, x.dtype).view(*x.shape[:-1], -1)


def in_e4m3(x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, k) -> e4m3 numbers of that shape, and float32 scales (n, 1) that bring them back."""
    wide = x.detach().float()
    scale = wide.abs().amax(-1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (wide / scale).to(E4M3), scale


def scaled_product(
    x: Tensor, x_scale: Tensor, w: Tensor, w_scale: Tensor, bias: Tensor | None, to: torch.dtype
) -> Tensor:
    """Tokens (n, k) by weights (m, k), each with scales (n or m, 1) -> (n, m) in the dtype `to`, by the device."""
    y: Tensor = torch._scaled_mm(x, w.t(), scale_a=x_scale, scale_b=w_scale.t(), bias=bias, out_dtype=to)
    return y


def emulated_product(
    x: Tensor, x_scale: Tensor, w: Tensor, w_scale: Tensor, bias: Tensor | None, to: torch.dtype
) -> Tensor:
    """The same in float32, rounded once."""
    y = (x.float() @ w.float().t()) * x_scale * w_scale.t()
    return (y if bias is None else y + bias).to(to)


def in_eight_bits(network: nn.Module) -> nn.Module:
    """Itself, with its large matrices in eight bits."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear) and MATRIX.fullmatch(f"{name}.weight"):
            network.set_submodule(name, Fp8Linear(layer.weight, layer.bias))
    return network


def quantised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a `WanDiT` -> those of one in eight bits."""
    ready = {}
    for name, tensor in tensors.items():
        if MATRIX.fullmatch(name):
            ready[name], ready[name.removesuffix("weight") + "scale"] = in_e4m3(tensor)
        else:
            ready[name] = tensor
    return ready


def nbytes(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, linears: LinearFormat) -> int:
    """What tensors of the original layout take."""
    total = 0
    for name, shape in shapes.items():
        eight = linears == "fp8" and MATRIX.fullmatch(name) is not None
        total += prod(shape) + torch.float32.itemsize * shape[0] if eight else dtype.itemsize * prod(shape)
    return total


def refuse_fp8(device: torch.device, dtype: torch.dtype, shape: WanConfig) -> None:
    """Where it cannot be done.

    Raises:
        ValueError: a CUDA device that does not multiply e4m3, another dtype than such products give, or widths that
            they do not take.
    """
    if device.type != "cuda":
        return
    has = torch.cuda.get_device_capability(device)
    if has < LEAST:
        raise ValueError(
            f"linears=fp8: expected a device of compute capability {LEAST[0]}.{LEAST[1]} or later, got"
            f" {has[0]}.{has[1]}; use linears=native"
        )
    if dtype != torch.bfloat16:
        raise ValueError(f"linears=fp8: expected bfloat16 beside it on CUDA, got {dtype}; use linears=native")
    if shape.width % PIECE or shape.ffn % PIECE:
        raise ValueError(
            f"linears=fp8: expected widths in multiples of {PIECE}, got {shape.width} and {shape.ffn};"
            " use linears=native"
        )
