"""Which number format a machine multiplies natively, and trains in. Knows devices; no network, no world."""

from __future__ import annotations

from functools import cache

import torch


def native_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and any(_cpu_has(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16")):
        return torch.bfloat16
    return torch.float32


def mixed(device: torch.device) -> torch.autocast:
    """Products in bfloat16 where the hardware multiplies it natively; elsewhere float32 is many times as fast."""
    return torch.autocast(device.type, torch.bfloat16, enabled=native_dtype(device) == torch.bfloat16)


@cache
def _cpu_has(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo") as cpu:
            return any(flag in line.split() for line in cpu if line.startswith(("flags", "Features")))
    except OSError:  # not Linux: float32 is always right
        return False
